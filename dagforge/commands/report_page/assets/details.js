"use strict";

// What is told of a chosen node or task. Everything is put into the page as text, never as HTML.

function element(tag, text, ...children) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

function linkTo(name, go) {
  const button = element("button", name);
  button.type = "button";
  button.addEventListener("click", go);
  return button;
}

function factsList(facts) {
  const list = element("dl");
  for (const [name, lines] of facts) {
    list.append(element("dt", name), ...lines.map((line) => element("dd", line)));
  }
  return list;
}

function listOf(title, items) {
  if (!items.length) return [element("h4", title), element("p", "none")];
  const list = element("ul");
  list.append(...items.map((item) => element("li", "", ...item)));
  return [element("h4", title), list];
}

function settingsTable(rows) {
  const table = element("table");
  const head = element("tr");
  for (const name of ["setting", "value", "written at"]) {
    const cell = element("th", name);
    cell.scope = "col";
    head.append(cell);
  }
  table.append(element("thead", "", head));
  const body = element("tbody");
  for (const [name, value, at, layer] of rows) {
    const first = element("th", name);
    first.scope = "row";
    body.append(element("tr", "", first, element("td", value), element("td", at || layer)));
  }
  table.append(body);
  return table;
}

const SEEN = 120; // Pixels of it that show that it is there.

class DetailsPanel {
  // `close()` is told when the reader has read enough.
  constructor(aside, close) {
    this.aside = aside;
    this.close = close;
    aside.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
  }

  fill(title, ...parts) {
    this.head = element("h3", title);
    this.head.tabIndex = -1;
    this.aside.replaceChildren(linkTo("Close", () => this.close()), this.head, ...parts);
    this.aside.hidden = false;
    // On a narrow page it stands below the drawing.
    const isBelow = this.aside.getBoundingClientRect().top > innerHeight - SEEN;
    if (isBelow) this.aside.scrollIntoView({ block: "nearest" });
  }

  focus() {
    this.head.focus();
  }
}

// Of a run's task, as it was.
class RunPanel extends DetailsPanel {
  constructor(aside, run, close) {
    super(aside, close);
    this.run = run;
  }

  show(drawing, number) {
    const name = drawing.names[number];
    this.fill(`task ${name}`, factsList(this.run.tasks[name]));
  }
}

// Of a pipeline's node or task, as it is defined; `go(kind, name)` shows another one.
class PipelinePanel extends DetailsPanel {
  constructor(aside, pipeline, go, close) {
    super(aside, close);
    this.pipeline = pipeline;
    this.go = go;
  }

  show(drawing, number) {
    const name = drawing.names[number];
    const isTask = drawing.kind === "after";
    const about = this.pipeline[isTask ? "tasks" : "nodes"][name];
    const parts = [factsList(about.facts)];
    if (isTask) {
      parts.push(...listOf("nodes", about.nodes.map((node) => [this.nodeLink(node)])));
    } else {
      const task = linkTo(about.task, () => this.go("after", about.task));
      parts.push(...listOf("in the task", [[task]]));
    }
    const near = (links) =>
      links.map(({ shape, datasets }) => [
        linkTo(drawing.names[shape], () => this.go(drawing.kind, drawing.names[shape])),
        datasets.length ? ` by ${datasets.join(", ")}` : " by after",
      ]);
    parts.push(...listOf("upstream", near(drawing.upstream[number])));
    parts.push(...listOf("downstream", near(drawing.downstream[number])));
    if (isTask) parts.push(...this.settings(about));
    this.fill(`${isTask ? "task" : "node"} ${name}`, ...parts);
  }

  nodeLink(node) {
    return linkTo(node, () => this.go("nodes", node));
  }

  settings(about) {
    const own = new Set(about.settings.map(([name]) => name));
    const shared = this.pipeline.settings.filter(([name]) => !own.has(name));
    const parts = [];
    if (about.settings.length) {
      parts.push(element("h4", "settings of this task"), settingsTable(about.settings));
    }
    const summary = element("summary", `settings of the DAG (${shared.length})`);
    parts.push(element("details", "", summary, settingsTable(shared)));
    return parts;
  }
}
