// A map of points on a canvas, without tiles. Drag, pinch, wheel with Ctrl, arrow keys, + - 0 move it; its text says the same.

import { el } from "./tables.js";
import { count, currentLanguage, t } from "./text.js";

/** Colours of sheets (Okabe and Ito); further sheets share the last one. */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7b61c4", "#777"];
const OUTLINES = ["world", "korea"];
/** Degrees that are shown at least at first. */
const SPAN_MIN = 0.5;
const ZOOM = [2, 60000];

let outlines = null;

/** Encoded Polyline (Google): pairs of differences, zigzag, five bits a character. */
function decode(text, scale) {
  const points = [];
  const at = [0, 0];
  let [axis, shift, value] = [0, 0, 0];
  for (const char of text) {
    const bits = char.charCodeAt(0) - 63;
    value |= (bits & 31) << shift;
    shift += 5;
    if (bits >= 32) continue;
    at[axis] += value & 1 ? ~(value >> 1) : value >> 1;
    if (axis) points.push([at[0] / scale, at[1] / scale]);
    [axis, shift, value] = [1 - axis, 0, 0];
  }
  return points;
}

async function load(name) {
  const { scale, arcs, areas } = await (await fetch(`/assets/${name}.json`)).json();
  const lines = arcs.split(" ").map((arc) => decode(arc, scale));
  const path = new Path2D();
  for (const { rings } of areas) {
    for (const ring of rings) {
      ring.flatMap((arc) => (arc < 0 ? [...lines[~arc]].reverse() : lines[arc])).forEach(([x, y], n) => path[n ? "lineTo" : "moveTo"](x, y));
      path.closePath();
    }
  }
  return { path, labels: areas.filter((area) => area.at) };
}

const names = (areas) => areas.map((area) => `${area[currentLanguage()]} ${count(area.points)}`).join(", ");

/** Where the points are, in words. */
export function describe(map, rejects, all) {
  const land = map.areas.reduce((sum, area) => sum + area.points, 0);
  const sea = map.points - land;
  const parts = [t("mapPoints", map.points, names(map.areas.slice(0, 5)), map.areas.length - 5)];
  if (sea > 0) parts.push(t("mapSea", sea));
  if (rejects > 0) parts.push(t("mapRejects", rejects, all));
  if (map.is_gridded) parts.push(t("mapGrid"));
  return parts.join(" ");
}

export class PointMap {
  constructor(figure) {
    this.figure = figure;
    this.canvas = el("canvas", { tabIndex: 0, role: "img" });
    this.caption = el("figcaption", {}, el("p", {}), el("ul", { className: "legend" }));
    const tool = (sign, key, action) => {
      const button = el("button", { type: "button", className: "tool", onclick: action }, sign);
      button.dataset.label = key;
      return button;
    };
    const tools = el("div", { className: "map-tools" }, tool("+", "zoomIn", () => this.zoom(1.6)), tool("−", "zoomOut", () => this.zoom(1 / 1.6)), tool("⌂", "zoomFit", () => this.fit()));
    figure.append(el("div", { className: "map-frame" }, this.canvas, tools), this.caption);
    this.wire();
  }

  /** Shows points by sheet, and those of rejected rows. Stays where it was moved to while the same file is tried again. */
  show(map, rejects = [], all = 0) {
    const rejected = rejects.filter((reject) => reject.at).map((reject) => reject.at);
    this.figure.hidden = !map || map.points + rejected.length === 0;
    if (this.figure.hidden) return;
    const text = describe(map, rejected.length, all);
    this.canvas.setAttribute("aria-label", `${t("map")}: ${text} ${t("mapKeys")}`);
    this.caption.firstChild.textContent = text;
    const shown = map.sheets.filter((sheet) => sheet.points > 0).slice(0, COLOURS.length - 1);
    const chips = shown.map((sheet, n) => {
      const dot = el("span", { className: "dot" });
      dot.style.background = COLOURS[n];
      return el("li", {}, dot, `${sheet.name} ${count(sheet.points)}`);
    });
    const further = map.sheets.filter((sheet) => sheet.points > 0).length - shown.length;
    if (further > 0) chips.push(el("li", {}, t("more", further)));
    if (rejected.length) chips.push(el("li", { className: "rejected" }, `✕ ${t("rejected")} ${count(all)}`));
    this.caption.lastChild.replaceChildren(...chips);
    const signature = JSON.stringify(map.sheets.map((sheet) => sheet.at.slice(0, 60)));
    const isNew = signature !== this.signature;
    Object.assign(this, { map, rejected, signature });
    outlines ??= Promise.all(OUTLINES.map(load));
    outlines.then((loaded) => {
      this.outlines = loaded;
      this.draw();
    });
    if (isNew || !this.view) this.fit();
    else this.draw();
  }

  size() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    return [width || 600, height || 320];
  }

  fit() {
    const xs = [], ys = [];
    for (const { at } of this.map.sheets) for (let n = 0; n < at.length; n += 3) xs.push(at[n] / 1e5), ys.push(at[n + 1] / 1e5);
    for (const [x, y] of this.rejected) if (!this.map.points) xs.push(x), ys.push(y);
    const bounds = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
    const [[west, east], [south, north]] = [bounds(xs), bounds(ys)];
    const [width, height] = this.size();
    const lat = (south + north) / 2;
    // Points that are rejected may be anywhere: then more of the world tells where.
    const least = this.map.points ? SPAN_MIN : 8;
    const span = (low, high) => Math.max(high - low, least) * 1.25;
    const scale = Math.min(height / span(south, north), width / (span(west, east) * Math.cos((lat * Math.PI) / 180)));
    this.view = { x: (west + east) / 2, y: lat, scale: Math.min(Math.max(scale, ZOOM[0]), ZOOM[1]), squeeze: Math.cos((lat * Math.PI) / 180) };
    this.draw();
  }

  zoom(factor, px, py) {
    const [width, height] = this.size();
    const { view } = this;
    const [dx, dy] = [(px ?? width / 2) - width / 2, (py ?? height / 2) - height / 2];
    const scale = Math.min(Math.max(view.scale * factor, ZOOM[0]), ZOOM[1]);
    view.x += (dx / view.scale - dx / scale) / view.squeeze;
    view.y -= dy / view.scale - dy / scale;
    view.scale = scale;
    this.draw();
  }

  pan(dx, dy) {
    this.view.x -= dx / this.view.scale / this.view.squeeze;
    this.view.y += dy / this.view.scale;
    this.draw();
  }

  draw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.paint();
    });
  }

  paint() {
    const { canvas, view } = this;
    const [width, height] = this.size();
    const dots = window.devicePixelRatio || 1;
    [canvas.width, canvas.height] = [width * dots, height * dots];
    const context = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(name).trim();
    const place = (x, y) => [width / 2 + (x - view.x) * view.scale * view.squeeze, height / 2 - (y - view.y) * view.scale];
    context.scale(dots, dots);
    context.fillStyle = colour("--sea");
    context.fillRect(0, 0, width, height);
    for (const { path } of this.outlines ?? []) {
      context.save();
      context.translate(width / 2, height / 2);
      context.scale(view.scale * view.squeeze, -view.scale);
      context.translate(-view.x, -view.y);
      context.fillStyle = colour("--land");
      context.fill(path);
      context.lineWidth = 1 / view.scale;
      context.strokeStyle = colour("--border");
      context.stroke(path);
      context.restore();
    }
    const side = this.map.is_gridded ? 4 : 5;
    this.map.sheets.forEach(({ at }, n) => {
      context.fillStyle = COLOURS[Math.min(n, COLOURS.length - 1)];
      for (let k = 0; k < at.length; k += 3) {
        const [x, y] = place(at[k] / 1e5, at[k + 1] / 1e5);
        context.globalAlpha = this.map.is_gridded ? Math.min(0.95, 0.35 + at[k + 2] / 40) : 0.8;
        if (x > -9 && y > -9 && x < width + 9 && y < height + 9) context.fillRect(x - side / 2, y - side / 2, side, side);
      }
    });
    context.globalAlpha = 1;
    context.strokeStyle = colour("--bad");
    context.lineWidth = 2;
    for (const point of this.rejected) {
      const [x, y] = place(...point);
      context.beginPath();
      for (const [dx, dy] of [[-5, -5], [5, 5], [-5, 5], [5, -5]]) context[dx < 0 ? "moveTo" : "lineTo"](x + dx, y + dy);
      context.stroke();
    }
    context.font = style.font;
    context.textAlign = "center";
    context.lineWidth = 3;
    for (const area of view.scale > 45 ? this.outlines?.[1].labels ?? [] : []) {
      const [x, y] = place(...area.at);
      context.strokeStyle = colour("--land");
      context.fillStyle = colour("--soft");
      context.strokeText(area[currentLanguage()], x, y);
      context.fillText(area[currentLanguage()], x, y);
    }
  }

  wire() {
    const { canvas } = this;
    const held = new Map();
    canvas.onpointerdown = (event) => {
      held.set(event.pointerId, [event.offsetX, event.offsetY]);
      canvas.setPointerCapture(event.pointerId);
    };
    canvas.onpointermove = (event) => {
      const before = held.get(event.pointerId);
      if (!before) return;
      const now = [event.offsetX, event.offsetY];
      const other = [...held].find(([id]) => id !== event.pointerId)?.[1];
      if (other) {
        const apart = ([x, y]) => Math.hypot(x - other[0], y - other[1]) || 1;
        this.zoom(apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
      } else {
        this.pan(now[0] - before[0], now[1] - before[1]);
      }
      held.set(event.pointerId, now);
    };
    canvas.onpointerup = canvas.onpointercancel = (event) => held.delete(event.pointerId);
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey && document.activeElement !== canvas) return; // the page is scrolled
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.onkeydown = (event) => {
      const step = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
      if (step) this.pan(...step);
      else if (event.key === "+" || event.key === "=") this.zoom(1.4);
      else if (event.key === "-") this.zoom(1 / 1.4);
      else if (event.key === "0") this.fit();
      else return;
      event.preventDefault();
    };
    new ResizeObserver(() => this.view && this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.view && this.draw());
  }
}
