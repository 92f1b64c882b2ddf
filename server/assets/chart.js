// Lines over time, in SVG.

import { element, write } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";

function drawn(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A path through values, the last at the right edge; it is broken where nothing is known. */
function path(values, most, width, height, top) {
  const step = width / Math.max(1, most - 1);
  const start = width - (values.length - 1) * step;
  let pen = "M";
  let text = "";
  values.forEach((value, at) => {
    if (value === null) {
      pen = "M";
      return;
    }
    const y = height - (Math.max(0, value) / top) * height;
    text += `${pen}${(start + at * step).toFixed(1)} ${y.toFixed(1)}`;
    pen = "L";
  });
  return text;
}

/** The line's path, closed along the ground. */
function area(values, most, width, height, top) {
  const known = values.findIndex((value) => value !== null);
  if (known < 0) return "";
  const step = width / Math.max(1, most - 1);
  const left = width - (values.length - 1 - known) * step;
  const line = path(values.slice(known).map((value) => value ?? 0), most, width, height, top);
  return `${line}L${width} ${height}L${left.toFixed(1)} ${height}Z`;
}

/** A line without axes, beside the number that it ends in: for the eye only. */
export class Sparkline {
  constructor(width = 116, height = 22) {
    Object.assign(this, { width, height });
    this.area = drawn("path", { class: "area" });
    this.line = drawn("path", { class: "line" });
    const size = { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" };
    this.element = drawn("svg", size, this.area, this.line);
  }

  /** @param {Series} series  @param {number} least what fills the height at least */
  draw(series, least) {
    const { values, most } = series;
    const top = Math.max(least, ...values.map((value) => value ?? 0)) * 1.05;
    this.line.setAttribute("d", path(values, most, this.width, this.height, top));
    this.area.setAttribute("d", area(values, most, this.width, this.height, top));
  }
}

/** The next number of 1, 2 and 5 times a power of ten. */
function roundUp(number) {
  const power = 10 ** Math.floor(Math.log10(number));
  return [1, 2, 5, 10].map((times) => times * power).find((round) => round >= number * 0.999);
}

/** Moments that a chart spans: the least of these that its lines fit. */
const SPANS = [121, 301, 601];

const WIDTH = 600;
const HEIGHT = 150;

/** A chart of a few lines with a scale, a legend, and a cursor that reads out a moment. */
export class Chart {
  /**
   * @param {Element} where an empty element
   * @param {{label: string, series: Series, look?: string}[]} lines the first is drawn with an area; how
   *   the others look: "second", "dashed"
   * @param {(number) => string} format how its numbers are written
   * @param {number} least what the height shows at least
   */
  constructor(where, lines, format, least) {
    Object.assign(this, { lines, format, least, pointed: null });
    const grid = [0, 0.5, 1].map((part) => {
      const y = HEIGHT * (1 - part);
      return drawn("line", { class: "grid", x1: 0, x2: WIDTH, y1: y, y2: y });
    });
    this.area = drawn("path", { class: "area" });
    this.paths = lines.map(({ look }) => drawn("path", { class: `line ${look ?? ""}` }));
    this.cursor = drawn("line", { class: "cursor", y1: 0, y2: HEIGHT, visibility: "hidden" });
    const picture = drawn(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      ...grid,
      this.area,
      // The first on top: it is what the chart is about.
      ...this.paths.toReversed(),
      this.cursor,
    );
    this.marks = [0, 0.5, 1].map((part) => {
      const mark = element("span");
      mark.style.bottom = `${100 * part}%`;
      return mark;
    });
    this.numbers = lines.map(() => element("b"));
    this.moment = element("span", { class: "at muted" });
    const legend = lines.map(({ label, look }, at) =>
      element("span", { class: look ?? "first" }, `${label} `, this.numbers[at]),
    );
    this.since = element("span");
    where.append(
      element("div", { class: "scale" }, ...this.marks),
      picture,
      element("div", { class: "times" }, this.since, element("span", {}, "now")),
      element("div", { class: "legend" }, ...legend, this.moment),
    );
    picture.addEventListener("pointermove", (event) => {
      const box = picture.getBoundingClientRect();
      this.point((event.clientX - box.left) / box.width);
    });
    picture.addEventListener("pointerleave", () => this.point(null));
  }

  point(part) {
    this.pointed = part;
    this.draw();
  }

  draw() {
    const number = Math.max(...this.lines.map(({ series }) => series.values.length));
    const most = SPANS.find((span) => span >= number) ?? this.lines[0].series.most;
    const known = this.lines.flatMap(({ series }) => series.values).filter((v) => v !== null);
    const top = roundUp(Math.max(this.least, ...known));
    this.lines.forEach(({ series }, at) => {
      this.paths[at].setAttribute("d", path(series.values, most, WIDTH, HEIGHT, top));
    });
    this.area.setAttribute("d", area(this.lines[0].series.values, most, WIDTH, HEIGHT, top));
    this.marks.forEach((mark, at) => write(mark, this.format((top * at) / 2)));
    write(this.since, `${Math.round((most - 1) / 60)} min ago`);
    this.readOut(most);
  }

  /** The numbers of the moment that is pointed at, else those of now. */
  readOut(most) {
    const back = this.pointed === null ? 0 : Math.round((1 - this.pointed) * (most - 1));
    this.lines.forEach(({ series }, at) => {
      write(this.numbers[at], this.format(series.values.at(-1 - back) ?? null));
    });
    write(this.moment, this.pointed === null ? "" : `${back} s ago`);
    const x = WIDTH * (1 - back / (most - 1));
    this.cursor.setAttribute("visibility", this.pointed === null ? "hidden" : "visible");
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
  }
}
