"use strict";

// Moves and scales a drawing inside of its scene: by dragging, wheel, two fingers, keys and buttons.
// Only a CSS transform changes, once a frame, so that the browser moves what it has painted.

const MOST = 4;
const STEP = 1.25;
const FAR = 0.3; // Names are not painted when they are too small to be read.
const REST = 200; // Milliseconds after which a drawing is painted anew, sharp in its new size.
const MOVED = 4; // Pixels from which a press is a drag and no click.

class Viewport {
  constructor(scene, svg) {
    this.scene = scene;
    this.svg = svg;
    // The element that is moved: the browser lays out the texts of an SVG anew when that itself is.
    this.sheet = document.createElement("div");
    this.sheet.className = "sheet";
    svg.replaceWith(this.sheet);
    this.sheet.append(svg);
    this.size = { width: svg.viewBox.baseVal.width, height: svg.viewBox.baseVal.height };
    this.origin = { x: svg.viewBox.baseVal.x, y: svg.viewBox.baseVal.y };
    this.at = { x: 0, y: 0, scale: 1 };
    this.painted = 1; // The scale at which the browser has painted it.
    this.seen = null; // The size of the scene when the drawing was last placed in it.
    this.isWhole = true;
    this.frame = null;
    this.pointers = new Map();
    new ResizeObserver(() => this.place()).observe(scene);
    scene.addEventListener("pointerdown", (event) => this.press(event));
    scene.addEventListener("pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel"]) {
      scene.addEventListener(end, (event) => this.release(event));
    }
    scene.addEventListener("wheel", (event) => this.turn(event), { passive: false });
  }

  // Shows the whole drawing, or where the reader has moved it, keeps its middle in the middle.
  place() {
    const { clientWidth: width, clientHeight: height } = this.scene;
    if (!width || (this.seen?.width === width && this.seen.height === height)) return;
    const before = this.seen ?? { width, height };
    this.seen = { width, height };
    if (this.isWhole) this.fit();
    else this.move((width - before.width) / 2, (height - before.height) / 2);
  }

  get whole() {
    const { clientWidth, clientHeight } = this.scene;
    return Math.min(1, clientWidth / this.size.width, clientHeight / this.size.height);
  }

  fit() {
    const scale = this.whole;
    const x = (this.scene.clientWidth - scale * this.size.width) / 2;
    this.set(x, 0, scale);
    this.isWhole = true;
  }

  set(x, y, scale) {
    this.at = { x, y, scale };
    this.isWhole = false;
    if (this.frame !== null) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      const { x, y, scale } = this.at;
      this.rest(scale);
      this.sheet.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
      this.svg.classList.toggle("far", scale < FAR);
    });
  }

  // Has the drawing painted once and then only moved, until it rests or its size is quite another:
  // what was painted large would take the most time just when all of it is in view.
  rest(scale) {
    const grown = scale / this.painted;
    const isNear = grown > 0.5 && grown < 2;
    if (!isNear) this.painted = scale;
    this.sheet.classList.toggle("moving", isNear);
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      this.painted = scale;
      this.sheet.classList.remove("moving");
    }, REST);
  }

  move(right, down) {
    this.set(this.at.x + right, this.at.y + down, this.at.scale);
  }

  // Scales around a point of the scene, its middle when none is given.
  zoom(factor, x = this.scene.clientWidth / 2, y = this.scene.clientHeight / 2) {
    const least = Math.min(this.whole, 1 / MOST);
    const scale = Math.min(MOST, Math.max(least, this.at.scale * factor));
    const grown = scale / this.at.scale;
    this.set(x - grown * (x - this.at.x), y - grown * (y - this.at.y), scale);
  }

  // Brings a shape into view, large enough to be read.
  reveal(shape) {
    this.place();
    const box = shape.getBBox();
    const scale = Math.max(this.at.scale, 0.75);
    const { clientWidth, clientHeight } = this.scene;
    const x = clientWidth / 2 - scale * (box.x + box.width / 2 - this.origin.x);
    const y = clientHeight / 2 - scale * (box.y + box.height / 2 - this.origin.y);
    this.set(x, y, scale);
  }

  press(event) {
    if (event.button !== 0) return;
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.start = { x: event.clientX, y: event.clientY };
    this.isDrag = false;
  }

  drag(event) {
    const last = this.pointers.get(event.pointerId);
    if (last === undefined) return;
    const now = { x: event.clientX, y: event.clientY };
    if (!this.isDrag) {
      if (Math.hypot(now.x - this.start.x, now.y - this.start.y) < MOVED) return;
      this.isDrag = true;
      this.scene.classList.add("dragged");
      this.scene.setPointerCapture(event.pointerId);
    }
    if (this.pointers.size === 1) {
      this.move(now.x - last.x, now.y - last.y);
    } else {
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
      const apart = (point) => Math.hypot(point.x - other.x, point.y - other.y);
      const frame = this.scene.getBoundingClientRect();
      const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
      this.zoom(apart(now) / (apart(last) || 1), middle.x - frame.left, middle.y - frame.top);
    }
    this.pointers.set(event.pointerId, now);
  }

  release(event) {
    this.pointers.delete(event.pointerId);
    this.scene.classList.remove("dragged");
  }

  // The page scrolls as ever, until somebody works in the drawing or holds Ctrl.
  turn(event) {
    if (!event.ctrlKey && !event.metaKey && !this.scene.contains(document.activeElement)) return;
    event.preventDefault();
    const frame = this.scene.getBoundingClientRect();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 20 : 1;
    const factor = Math.exp(-event.deltaY * lines * 0.0015);
    this.zoom(factor, event.clientX - frame.left, event.clientY - frame.top);
  }

  // Returns whether a key was one of the drawing's own.
  key(name) {
    const way = 60;
    const actions = {
      "+": () => this.zoom(STEP),
      "=": () => this.zoom(STEP),
      "-": () => this.zoom(1 / STEP),
      0: () => this.fit(),
      ArrowLeft: () => this.move(way, 0),
      ArrowRight: () => this.move(-way, 0),
      ArrowUp: () => this.move(0, way),
      ArrowDown: () => this.move(0, -way),
    };
    if (!Object.hasOwn(actions, name)) return false;
    actions[name]();
    return true;
  }
}
