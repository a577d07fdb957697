"use strict";

// Puts the parts together: one part of the report is shown at a time, one or two drawings of it.

const VIEWS = [
  ["side", "Before and after", ["before", "after"]],
  ["after", "Tasks", ["after"]],
  ["nodes", "Nodes in their tasks", ["nodes"]],
];

// A run, which works from when it is first opened.
class RunPart {
  constructor(part, run) {
    const figure = part.querySelector("figure");
    if (figure === null) return;
    this.panel = new RunPanel(part.querySelector("aside.details"), run, () => this.close());
    this.drawing = new Drawing(figure, run.view, (_, number, { toDetails }) => {
      this.drawing.mark(number);
      this.panel.show(this.drawing, number);
      if (toDetails) this.panel.focus();
    });
  }

  close() {
    this.panel.aside.hidden = true;
    const { chosen } = this.drawing;
    this.drawing.mark(null);
    this.drawing.focus(chosen);
  }
}

class PipelineSection {
  constructor(section, data) {
    this.section = section;
    this.data = data;
    const aside = section.querySelector("aside.details");
    this.panel = new PipelinePanel(
      aside,
      data,
      (kind, name) => this.go(kind, name, { toDetails: true }),
      () => this.close(),
    );
    this.drawings = new Map(
      data.views.map((view) => {
        const figure = section.querySelector(`figure[data-kind="${view.kind}"]`);
        const choose = (...chosen) => this.choose(...chosen);
        return [view.kind, new Drawing(figure, view, choose)];
      }),
    );
    this.buttons = new Map();
    section.querySelector(".drawings").before(this.viewButtons());
    this.show("side");
    for (const part of section.querySelectorAll("details.run")) {
      const open = () => new RunPart(part, data.runs[Number(part.dataset.run)]);
      part.addEventListener("toggle", open, { once: true });
    }
  }

  viewButtons() {
    const bar = element("div");
    bar.className = "views";
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", "What is drawn");
    for (const [name, label] of VIEWS) {
      const button = linkTo(label, () => this.show(name));
      this.buttons.set(name, button);
      bar.append(button);
    }
    const keys = "Arrow keys go from shape to shape, Enter tells more, + and \u2212 zoom, 0 shows all.";
    const hint = element("p", keys);
    hint.className = "hint";
    bar.append(hint);
    return bar;
  }

  show(name) {
    const [, , kinds] = VIEWS.find(([view]) => view === name);
    for (const [view, button] of this.buttons) {
      button.setAttribute("aria-pressed", String(view === name));
    }
    for (const [kind, drawing] of this.drawings) drawing.figure.hidden = !kinds.includes(kind);
  }

  choose(drawing, number, { toDetails }) {
    const name = drawing.names[number];
    const isTask = drawing.kind === "after";
    for (const other of this.drawings.values()) {
      other.mark(null);
      if (isTask) other.markMates(this.data.tasks[name].nodes);
      else other.markMates(other.kind === "after" ? [this.data.nodes[name].task] : [name]);
    }
    drawing.mark(number);
    this.last = { drawing, number };
    this.panel.show(drawing, number);
    if (toDetails) this.panel.focus();
  }

  close() {
    this.panel.aside.hidden = true;
    for (const drawing of this.drawings.values()) drawing.mark(null);
    if (this.last) this.last.drawing.focus(this.last.number);
  }

  // Shows a node or a task where it is drawn, and tells of it.
  go(kind, name, { toDetails }) {
    const drawing = this.drawings.get(kind);
    if (drawing.figure.hidden) this.show(kind === "nodes" ? "nodes" : "side");
    const number = drawing.number.get(name);
    drawing.focus(number);
    this.choose(drawing, number, { toDetails });
  }
}

class ReportPage {
  constructor(data) {
    this.parts = [...document.querySelectorAll("main > section")];
    this.links = [...document.querySelectorAll("nav a")];
    this.pipelines = data.pipelines;
    this.sections = new Map();
    document.documentElement.classList.add("scripted");
    new Search(document.querySelector(".search"), this.pipelines, {
      go: (pipeline, view, name) => this.go(pipeline, view, name),
      find: (text) => this.find(text),
    });
    this.found = "";
    addEventListener("hashchange", () => this.turn(true));
    addEventListener("beforeprint", () => {
      for (const part of document.querySelectorAll("details")) part.open = true;
    });
    this.turn(false);
  }

  // Shows the part that the address names.
  turn(byReader) {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const part = target?.closest("main > section") ?? this.parts[0];
    for (const each of this.parts) each.hidden = each !== part;
    for (const link of this.links) {
      if (link.hash === `#${part.id}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    this.open(part);
    if (byReader) (target === part ? part.querySelector("h2") : (target ?? part)).focus();
  }

  // Makes a pipeline's section work when it is first shown.
  open(part) {
    const number = /^pipeline-(\d+)$/.exec(part.id)?.[1];
    if (number === undefined || this.sections.has(Number(number))) return;
    const section = new PipelineSection(part, this.pipelines[Number(number)]);
    this.sections.set(Number(number), section);
    for (const drawing of section.drawings.values()) drawing.find(this.found);
  }

  go(number, view, name) {
    const id = `pipeline-${number}`;
    history.pushState(null, "", `#${id}`);
    this.turn(false);
    this.sections.get(number).go(view, name, { toDetails: false });
  }

  find(text) {
    this.found = text;
    for (const section of this.sections.values()) {
      for (const drawing of section.drawings.values()) drawing.find(text);
    }
  }
}

new ReportPage(JSON.parse(document.getElementById("data").textContent));
