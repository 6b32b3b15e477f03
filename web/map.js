// The map of experts: a row for each layer, a column for each expert.
import {append, byId, h, replace, setText} from "./dom.js";
import {color, prepare} from "./charts.js";
import {deviceColor} from "./palette.js";

const LEFT = 30;
const OWN = "coordinator";

// From the background to the accent: how much there is.
function shade(part) {
  return {fill: color("--map-strong"), alpha: 0.08 + 0.92 * Math.min(1, part)};
}

export class ExpertMap {
  constructor() {
    this.canvas = byId("map");
    this.map = null;
    this.names = new Map();
    this.mode = "holder";
    this.at = null;  // {row, column}
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerdown", (event) => this.point(event));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    for (const input of document.querySelectorAll("[name=map-mode]")) {
      input.addEventListener("change", () => {
        this.mode = input.value;
        this.draw();
      });
    }
  }

  // workers: of the pool's report.
  show(map, workers) {
    this.map = map?.layers?.length ? map : null;
    this.names = new Map([...workers].sort((a, b) => a.number - b.number).map((worker) => [worker.number, worker.name]));
    byId("map-section").hidden = this.map === null;
    if (this.map === null) return;
    this.draw();
    this.table();
  }

  get columns() {
    return Math.max(...this.map.layers.map((layer) => layer.cells.length));
  }

  geometry() {
    const rows = this.map.layers.length;
    const row = Math.max(6, Math.min(22, Math.floor(360 / rows)));
    return {rows, row, height: rows * row + 18,
            column: (this.canvas.clientWidth - LEFT) / this.columns};
  }

  draw() {
    if (!this.map) return;
    const {row, column, height} = this.geometry();
    const {context} = prepare(this.canvas, height);
    const gap = column > 6 && row > 8 ? 1 : column > 3 ? 0.5 : 0;
    context.font = "10px system-ui, sans-serif";
    this.map.layers.forEach((layer, r) => {
      if (r % Math.ceil(14 / row) === 0) {
        context.fillStyle = color("--muted");
        context.textAlign = "right";
        context.textBaseline = "middle";
        context.fillText(layer.layer, LEFT - 6, r * row + row / 2);
      }
      layer.cells.forEach((_, c) => {
        this.cell(context, layer, c, LEFT + c * column, r * row, column - gap, row - gap);
      });
    });
    this.axis(context, column, height);
    if (this.at) this.frame(context, row, column);
    this.legend();
  }

  cell(context, layer, c, x, y, width, height) {
    if (this.mode !== "holder") {
      const part = this.mode === "copies" ? this.copies(layer, c) / 3 : Number(layer.heat[c]) / 9;
      const {fill, alpha} = shade(part);
      context.globalAlpha = this.mode === "copies" && part === 0 ? 1 : alpha;
      context.fillStyle = this.mode === "copies" && part === 0 ? color("--bad") : fill;
      context.fillRect(x, y, width, height);
      context.globalAlpha = 1;
      return;
    }
    const holders = this.holders(layer, c);
    if (holders.length === 0) {
      context.fillStyle = color("--map-empty");
      context.fillRect(x, y, width, height);
      return;
    }
    // Bands one above the other: as many as there are holders.
    holders.slice(0, 4).forEach((holder, i, shown) => {
      context.fillStyle = holder === OWN ? color("--own") : deviceColor(holder);
      context.fillRect(x, y + i * height / shown.length, width, height / shown.length);
    });
  }

  axis(context, column, height) {
    const step = [1, 2, 4, 8, 16, 32, 64, 128].find((every) => every * column >= 34) ?? 128;
    context.fillStyle = color("--muted");
    context.textAlign = "left";
    context.textBaseline = "bottom";
    for (let c = 0; c < this.columns; c += step) context.fillText(c, LEFT + c * column, height - 2);
  }

  frame(context, row, column) {
    context.strokeStyle = color("--text");
    context.lineWidth = 2;
    context.strokeRect(LEFT + this.at.column * column - 1, this.at.row * row - 1, column + 1, row + 1);
  }

  holders(layer, c) {
    const workers = this.map.sets[layer.cells[c]] ?? [];
    return c < layer.own ? [OWN, ...workers] : workers;
  }

  copies(layer, c) {
    return Number(layer.copies[c]) + (c < layer.own ? 1 : 0);
  }

  name(holder) {
    if (holder === OWN) return "this coordinator";
    return this.names.has(holder) ? `${this.names.get(holder)} (${holder})` : `device ${holder}`;
  }

  say() {
    const layer = this.map.layers[this.at.row];
    const c = this.at.column;
    if (c >= layer.cells.length) return;
    const holders = this.holders(layer, c).map((holder) => this.name(holder));
    const copies = this.copies(layer, c);
    const where = holders.length === 0 ? "on no device yet: the coordinator reads it from the model file"
      : `on ${holders.join(", ")}; ${copies === 1 ? "1 copy" : `${copies} copies`}`;
    setText(byId("map-said"), `Layer ${layer.layer}, expert ${c}: ${where}; use ${layer.heat[c]} of 9`);
  }

  point(event) {
    if (!this.map) return;
    const {rows, row, column} = this.geometry();
    const box = this.canvas.getBoundingClientRect();
    this.move(Math.floor((event.clientY - box.top) / row), Math.floor((event.clientX - box.left - LEFT) / column), rows);
  }

  move(row, column, rows) {
    if (row < 0 || row >= rows || column < 0 || column >= this.columns) return;
    if (this.at?.row === row && this.at?.column === column) return;
    this.at = {row, column};
    this.draw();
    this.say();
  }

  key(event) {
    const step = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]}[event.key];
    if (!step || !this.map) return;
    event.preventDefault();
    const {row, column} = this.at ?? {row: 0, column: -1};
    this.move(row + step[0], column + step[1], this.map.layers.length);
  }

  legend() {
    const swatch = (style, text) => {
      const box = h("i", {class: "swatch", "aria-hidden": "true"});
      Object.assign(box.style, style);
      return h("li", {}, box, text);
    };
    const items = [];
    if (this.mode === "holder") {
      if (this.map.layers.some((layer) => layer.own > 0)) items.push(swatch({background: color("--own")}, "this coordinator"));
      for (const [number] of this.names) items.push(swatch({background: deviceColor(number)}, this.name(number)));
      items.push(swatch({background: color("--map-empty")}, "no device yet"));
      items.push("Bands: several devices have it, or parts of it");
    } else {
      const steps = this.mode === "copies" ? ["1 copy", "2 copies", "3 or more"] : ["rarely used", "", "", "often used"];
      if (this.mode === "copies") items.push(swatch({background: color("--bad")}, "on no device"));
      steps.forEach((text, i) => {
        const {fill, alpha} = shade(this.mode === "copies" ? (i + 1) / 3 : i / (steps.length - 1));
        items.push(swatch({background: fill, opacity: alpha}, text));
      });
    }
    replace(byId("map-legend"), items.map((item) => typeof item === "string" ? h("li", {}, item) : item));
  }

  // One row for each layer: how many experts each device has, and the weakest of them.
  table() {
    const numbers = [...this.names.keys()];
    const own = this.map.layers.some((layer) => layer.own > 0);
    const head = ["Layer", "Experts", ...(own ? ["This coordinator"] : []), ...numbers.map((n) => this.name(n)), "On no device", "Fewest copies"];
    const rows = this.map.layers.map((layer) => {
      const holders = layer.cells.map((_, c) => this.holders(layer, c));
      const of = (holder) => holders.filter((list) => list.includes(holder)).length;
      const cells = [layer.cells.length, ...(own ? [of(OWN)] : []), ...numbers.map(of),
                     holders.filter((list) => list.length === 0).length,
                     Math.min(...layer.cells.map((_, c) => this.copies(layer, c)))];
      return h("tr", {}, h("th", {scope: "row"}, layer.layer), cells.map((cell) => h("td", {}, cell)));
    });
    const table = byId("map-table");
    table.replaceChildren();
    append(table, [h("thead", {}, h("tr", {}, head.map((text) => h("th", {scope: "col"}, text)))), h("tbody", {}, rows)]);
  }
}
