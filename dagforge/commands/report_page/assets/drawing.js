"use strict";

// One drawing: its shapes can be chosen with the mouse and the keyboard. One of them at a time is in
// the order of the Tab key; from there, arrow keys lead on.

class Drawing {
  constructor(figure, data, choose) {
    this.figure = figure;
    this.kind = data.kind;
    this.names = data.shapes;
    this.scene = figure.querySelector(".scene");
    const svg = figure.querySelector("svg");
    svg.setAttribute("role", "group");
    this.viewport = new Viewport(this.scene, svg);
    this.shapes = [...svg.querySelectorAll(".shape")];
    this.arrows = [...svg.querySelectorAll("path.arrow")];
    this.links = data.arrows;
    this.upstream = this.names.map(() => []);
    this.downstream = this.names.map(() => []);
    this.links.forEach(([start, end, datasets], arrow) => {
      this.upstream[end].push({ shape: start, datasets, arrow });
      this.downstream[start].push({ shape: end, datasets, arrow });
    });
    this.number = new Map(this.names.map((name, number) => [name, number]));
    this.shapes.forEach((shape, number) => {
      shape.setAttribute("role", "button");
      shape.setAttribute("aria-label", this.label(shape, number));
      shape.setAttribute("aria-pressed", "false");
      shape.setAttribute("tabindex", "-1");
    });
    this.reached = null;
    this.chosen = null;
    if (this.shapes.length) this.reach(0);
    this.choose = choose;
    this.scene.addEventListener("click", (event) => this.clicked(event));
    this.scene.addEventListener("keydown", (event) => this.pressed(event));
    this.addButtons();
  }

  // What is read aloud: the words in the shape, and where its name is shortened there, all of it.
  label(shape, number) {
    const words = [...shape.querySelectorAll("text")].map((text) => text.textContent).join(" ");
    const name = this.names[number];
    return words.startsWith(name) ? words : `${words}, ${name}`;
  }

  addButtons() {
    const bar = document.createElement("div");
    bar.className = "bar";
    const buttons = [
      ["\u2212", "Zoom out", () => this.viewport.zoom(1 / STEP)],
      ["+", "Zoom in", () => this.viewport.zoom(STEP)],
      ["Fit", "Fit: show all of it", () => this.viewport.fit()],
    ];
    for (const [sign, label, action] of buttons) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = sign;
      button.title = label;
      button.setAttribute("aria-label", label);
      button.addEventListener("click", action);
      bar.append(button);
    }
    this.figure.querySelector("figcaption").append(bar);
  }

  // Makes a shape the one that the Tab key leads to.
  reach(number) {
    if (this.reached !== null) this.shapes[this.reached].setAttribute("tabindex", "-1");
    this.reached = number;
    this.shapes[number].setAttribute("tabindex", "0");
  }

  focus(number) {
    this.reach(number);
    this.viewport.reveal(this.shapes[number]);
    this.shapes[number].focus({ preventScroll: true });
  }

  clicked(event) {
    const shape = event.target.closest(".shape");
    if (shape === null || this.viewport.isDrag) return;
    this.reach(this.shapes.indexOf(shape));
    this.choose(this, this.reached, { toDetails: false });
  }

  pressed(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const number = this.shapes.indexOf(event.target);
    if (number === -1 ? this.viewport.key(event.key) : this.keyOnShape(event.key, number)) {
      event.preventDefault();
    }
  }

  keyOnShape(key, number) {
    const last = this.shapes.length - 1;
    const first = (links) => (links.length ? links[0].shape : number);
    const places = {
      ArrowDown: first(this.downstream[number]),
      ArrowUp: first(this.upstream[number]),
      ArrowRight: Math.min(number + 1, last),
      ArrowLeft: Math.max(number - 1, 0),
      Home: 0,
      End: last,
    };
    if (Object.hasOwn(places, key)) this.focus(places[key]);
    else if (key === "Enter" || key === " ") this.choose(this, number, { toDetails: true });
    else return this.viewport.key(key);
    return true;
  }

  // Shows which shape is chosen, what is before it and what after it.
  mark(number) {
    if (this.chosen !== null) {
      this.shapes[this.chosen].setAttribute("aria-pressed", "false");
    }
    for (const name of ["chosen", "before", "after", "mate", "near"]) {
      for (const marked of this.figure.querySelectorAll(`.${name}`)) marked.classList.remove(name);
    }
    this.chosen = number;
    if (number === null) return;
    this.shapes[number].setAttribute("aria-pressed", "true");
    this.shapes[number].classList.add("chosen");
    for (const { shape, arrow } of this.upstream[number]) {
      this.shapes[shape].classList.add("before");
      this.arrows[arrow].classList.add("near");
    }
    for (const { shape, arrow } of this.downstream[number]) {
      this.shapes[shape].classList.add("after");
      this.arrows[arrow].classList.add("near");
    }
  }

  // Shows which shapes stand for what is chosen in another drawing.
  markMates(names) {
    for (const name of names) this.shapes[this.number.get(name)]?.classList.add("mate");
  }

  // Shows which shapes a search has found.
  find(text) {
    this.shapes.forEach((shape, number) => {
      const isFound = text !== "" && this.names[number].toLowerCase().includes(text);
      shape.classList.toggle("found", isFound);
    });
  }
}
