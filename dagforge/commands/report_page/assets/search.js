"use strict";

// Finds nodes, tasks and datasets of all pipelines by a part of their names.

const MOST_HITS = 30;
const WAIT = 60; // Milliseconds after the last key.

// Returns what can be found: for a dataset, the node that writes it, or else the first that reads it.
function searchable(pipelines) {
  const entries = [];
  pipelines.forEach((pipeline, number) => {
    const add = (kind, text, view, name) =>
      entries.push({ kind, text, view, name, pipeline: number, lower: text.toLowerCase() });
    for (const name of Object.keys(pipeline.tasks)) add("task", name, "after", name);
    const datasets = new Map();
    for (const [name, about] of Object.entries(pipeline.nodes)) {
      add("node", name, "nodes", name);
      const facts = new Map(about.facts);
      for (const dataset of facts.get("inputs") ?? []) {
        if (!datasets.has(dataset)) datasets.set(dataset, name);
      }
      for (const dataset of facts.get("outputs") ?? []) datasets.set(dataset, name);
    }
    for (const [dataset, name] of datasets) add("dataset", dataset, "nodes", name);
  });
  return entries;
}

class Search {
  constructor(box, pipelines, { go, find }) {
    this.input = box.querySelector("input");
    this.count = box.querySelector("#count");
    this.hits = box.querySelector("#hits");
    this.pipelines = pipelines;
    this.entries = searchable(pipelines);
    this.go = go;
    this.find = find;
    box.hidden = false;
    let waiting;
    this.input.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => this.search(), WAIT);
    });
    box.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("keydown", (event) => {
      const writes = event.target.closest("input, textarea, select");
      if (event.key !== "/" || writes || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      this.input.focus();
    });
  }

  search() {
    const text = this.input.value.trim().toLowerCase();
    const found = text ? this.entries.filter((entry) => entry.lower.includes(text)) : [];
    // What begins with the text comes first.
    found.sort((one, other) => other.lower.startsWith(text) - one.lower.startsWith(text));
    this.hits.replaceChildren(...found.slice(0, MOST_HITS).map((entry) => this.hit(entry)));
    const more = found.length > MOST_HITS ? `, the first ${MOST_HITS} are shown` : "";
    this.count.textContent = text ? `${found.length} found${more}` : "";
    this.find(text);
  }

  hit(entry) {
    const button = element("button", entry.text);
    button.type = "button";
    const where = `${entry.kind} of ${this.pipelines[entry.pipeline].name}`;
    button.append(element("small", where));
    button.addEventListener("click", () => {
      this.hits.replaceChildren();
      this.count.textContent = "";
      this.go(entry.pipeline, entry.view, entry.name);
    });
    return element("li", "", button);
  }

  key(event) {
    const buttons = [...this.hits.querySelectorAll("button")];
    const at = buttons.indexOf(document.activeElement);
    if (event.key === "Escape") {
      this.input.value = "";
      this.search();
      this.input.focus();
    } else if (event.key === "Enter" && event.target === this.input) {
      this.search();
      this.hits.querySelector("button")?.click();
    } else if (event.key === "ArrowDown" && at + 1 < buttons.length) {
      buttons[at + 1].focus();
    } else if (event.key === "ArrowUp" && at >= 0) {
      (at ? buttons[at - 1] : this.input).focus();
    } else {
      return;
    }
    event.preventDefault();
  }
}
