// The counters on the screen, and no others: a page of them is asked for, and only these are
// listened to, however many there are. In the order of values or rates it is the first page.

import { Sparkline } from "./chart.js";
import * as node from "./node.js";
import { isMeant } from "./question.js";
import { Ranking } from "./ranking.js";
import { Rate } from "./series.js";
import { byId, digits, element, longTime, rate, say, write } from "./text.js";
import { exactly, largerFirst } from "./whole.js";

/** Rows of a page: what a tall screen shows. */
const PAGE = 50;

/** Rates that a sparkline shows: a minute, at one a second. */
const SPARK = 60;

/** As long a list of names as fits the head of a request, with room for what else is there. */
const NAMES_BYTES_MAX = 8000;

/** Rest after a key before the search begins. */
const TYPING_MS = 150;

/** How often a page that is not listened to as a whole is asked for again, for new names. */
const RENEW_MS = 5000;

/** How soon after the first look the second one tells the first rates. */
const FIRST_RATES_MS = 1000;

class Row {
  constructor(counters, name) {
    this.counters = counters;
    this.name = name;
    this.rate = new Rate(SPARK);
    this.line = new Sparkline();
    this.opens = element(
      "button",
      { type: "button", class: "opens name", "aria-expanded": "false" },
      name,
    );
    this.value = element("td", { class: "number value" });
    this.perSecond = element("td", { class: "number rate" });
    this.one = element("button", { type: "button", "aria-label": `Add 1 to ${name}` }, "+1");
    this.element = element(
      "tr",
      { "data-counter": name },
      element("td", {}, this.opens),
      this.value,
      this.perSecond,
      element("td", { class: "drawing" }, this.line.element),
      element("td", { class: "number" }, this.one),
    );
    this.opens.addEventListener("click", () => this.toggle());
    this.one.addEventListener("click", () => this.add(1));
  }

  /** @param told a row as the node tells it */
  set(told) {
    this.exact = exactly(told);
    this.counters.later(this);
  }

  show() {
    write(this.value, digits(this.exact));
  }

  look(atMs) {
    this.rate.look(this.exact, atMs);
    write(this.perSecond, rate(this.rate.now));
    this.line.draw(this.rate.series, 1);
    if (this.details) this.renew();
  }

  add(by) {
    return this.change(() => node.add(this.name, by));
  }

  /** Brings it to a value, whatever it is, and leaves its lifetime as it is. */
  reset(to) {
    return this.change(() => node.reset(this.name, to));
  }

  async change(ask) {
    try {
      const answer = await ask();
      this.set(answer);
      say(`${this.name} is now ${digits(this.exact)}`);
      this.counters.complain("");
    } catch (error) {
      this.counters.complain(`${this.name}: ${error.message}`);
    }
  }

  async remove() {
    const value = digits(this.exact);
    const kept = "What other nodes count at this moment is kept.";
    if (!(await isMeant(`Delete “${this.name}”? It is ${value}. ${kept}`, "Delete"))) return;
    try {
      const { before, before_exact } = await node.remove(this.name);
      this.counters.drop(this.name);
      const was = exactly({ value: before, exact: before_exact });
      say(`${this.name} was ${digits(was)}, and is deleted`);
      this.counters.complain("");
    } catch (error) {
      this.counters.complain(`${this.name}: ${error.message}`);
    }
  }

  toggle() {
    const isOpen = !this.details;
    this.opens.setAttribute("aria-expanded", String(isOpen));
    if (!isOpen) {
      this.details.remove();
      this.details = null;
      return;
    }
    const add = numberForm(
      { value: "10", title: "A whole number; a negative one subtracts" },
      `How much to add to ${this.name}`,
      "Add",
      (by) => this.add(by),
    );
    const set = numberForm(
      { value: "0", title: "A whole number" },
      `What to set ${this.name} to`,
      "Set",
      (to) => this.reset(to),
    );
    const button = (name, text, does) => {
      const made = element("button", { type: "button", class: name }, text);
      made.addEventListener("click", does);
      return made;
    };
    this.lifetime = element("p", { class: "lifetime muted" });
    const controls = element(
      "div",
      { class: "controls" },
      add,
      set,
      button("reset", "Reset to 0", () => this.reset(0)),
      button("delete", "Delete…", () => this.remove()),
      this.lifetime,
    );
    this.shares = element("tbody");
    const heading = (text, kind = "number") => element("th", { scope: "col", class: kind }, text);
    this.details = element(
      "tr",
      { class: "details" },
      element(
        "td",
        // A phone shows three of the columns, and cells that span more would make new ones.
        { colspan: matchMedia("(max-width: 760px)").matches ? "3" : "5" },
        controls,
        element(
          "table",
          {},
          element("caption", {}, `Who has contributed to ${this.name}`),
          element(
            "thead",
            {},
            element(
              "tr",
              {},
              heading("Origin: a start of a node", ""),
              heading("Added"),
              heading("Subtracted"),
              heading("Raised", "number wide-only"),
            ),
          ),
          this.shares,
        ),
      ),
    );
    this.element.after(this.details);
    this.renew();
  }

  async renew() {
    if (this.isRenewing) return;
    this.isRenewing = true;
    try {
      const [{ origins }, counter] = await Promise.all([
        node.origins(this.name),
        node.counter(this.name),
      ]);
      const left = counter.ttl_ms;
      write(this.lifetime, left === undefined ? "Does not expire" : `Expires in ${longTime(left)}`);
      const number = (digitsOf, kind = "number") => element("td", { class: kind }, digits(digitsOf));
      this.shares.replaceChildren(
        ...origins.map(({ origin, address, plus, minus, raise }) =>
          element(
            "tr",
            {},
            element("td", {}, element("code", {}, address ?? `${origin} (out of reach)`)),
            number(plus),
            number(minus),
            number(raise, "number wide-only"),
          ),
        ),
      );
    } catch {
      // What is shown stays; that the node is lost is said elsewhere.
    } finally {
      this.isRenewing = false;
    }
  }
}

/** A field for a whole number of any size, and a button that does something with it. */
function numberForm(attributes, label, verb, does) {
  // Text, since a number of an input is a double.
  const number = element("input", {
    type: "text",
    pattern: "\\s*[+\\-]?[0-9]+\\s*",
    autocomplete: "off",
    required: "",
    "aria-label": label,
    ...attributes,
  });
  const form = element("form", {}, number, element("button", {}, verb));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    does(BigInt(number.value));
  });
  return form;
}

/** Moves the focus on, or to the counters where this element cannot take it. */
function moveFocus(element) {
  element.focus();
  if (document.activeElement !== element) byId("counters").focus();
}

const ORDERS = {
  name: (a, b) => (a.name < b.name ? -1 : 1),
  value: (a, b) => largerFirst(a.exact, b.exact) || ORDERS.name(a, b),
  rate: (a, b) => (b.rate.now ?? 0) - (a.rate.now ?? 0) || ORDERS.name(a, b),
};

export class Counters {
  /** @param listen takes what to listen to, as `Stream.listen` does */
  constructor(listen) {
    this.listen = (what) => {
      this.listened = what;
      listen(what);
    };
    /** What is listened to. */
    this.listened = { names: [] };
    this.rows = new Map();
    this.order = "name";
    /** What else than names puts them in order. */
    this.ranking = null;
    this.prefix = "";
    /** Where the pages before this one begin. */
    this.pages = [null];
    this.next = null;
    this.changed = new Set();
    this.asked = 0;
    this.listedAtMs = 0;

    byId("prefix").addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.search(byId("prefix").value), TYPING_MS);
    });
    byId("search").addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(this.typing);
      this.search(byId("prefix").value);
    });
    byId("next").addEventListener("click", () => this.turn([...this.pages, this.next]));
    byId("previous").addEventListener("click", () => this.turn(this.pages.slice(0, -1)));
    byId("create").addEventListener("click", () => this.create(byId("prefix").value));
    for (const button of document.querySelectorAll(".sort")) {
      button.addEventListener("click", () => this.sort(button));
    }
  }

  search(prefix) {
    if (prefix === this.prefix) return;
    this.prefix = prefix;
    this.begin();
  }

  /** Asks for the first page of what is searched for, in the order that is wanted. */
  begin() {
    this.ranking = this.order === "name" ? null : new Ranking(this.prefix, this.order);
    return this.turn([null]);
  }

  turn(pages) {
    this.pages = pages;
    return this.load();
  }

  /** Asks for the page. */
  async load() {
    const asked = ++this.asked;
    try {
      const page = this.ranking
        ? { counters: await this.ranking.first(PAGE), next: null }
        : await node.list(this.prefix, this.pages.at(-1), PAGE);
      // Another question was asked meanwhile.
      if (asked !== this.asked) return;
      this.listedAtMs = Date.now();
      this.next = page.next;
      this.fill(page.counters);
      this.complain("");
      this.listen(this.isWhole ? { prefix: this.prefix } : { names: this.names() });
    } catch (error) {
      if (asked !== this.asked) return;
      this.complain(error.message);
      // What happens to the cluster is to be seen all the same.
      this.listen({ prefix: this.prefix });
    }
  }

  /** Whether all that the search finds is on the screen. */
  get isWhole() {
    if (this.ranking) return this.ranking.isAll && this.ranking.found <= PAGE;
    return this.pages.length === 1 && !this.next;
  }

  /** The names on the screen, as many as can be asked for at once. */
  names() {
    let bytes = 0;
    return [...this.rows.keys()].filter((name) => {
      bytes += encodeURIComponent(name).length + "&counter=".length;
      return bytes < NAMES_BYTES_MAX;
    });
  }

  fill(counters) {
    const shown = new Set(counters.map(({ name }) => name));
    for (const name of [...this.rows.keys()]) {
      if (!shown.has(name)) this.remove(name);
    }
    for (const counter of counters) this.set(counter);
    this.arrange();
    this.showPlace();
  }

  remove(name) {
    const row = this.rows.get(name);
    const parts = [row.element, row.details];
    const hasFocus = parts.some((part) => part?.contains(document.activeElement));
    // Where a row was, others are: the keyboard goes on there and not at the top of the page.
    if (hasFocus) byId("counters").focus();
    row.element.remove();
    row.details?.remove();
    this.rows.delete(name);
  }

  /** A counter does not exist any more. */
  drop(name) {
    if (!this.rows.has(name)) return;
    const wasWhole = this.isWhole;
    this.remove(name);
    this.showPlace();
    // Another one has its place; asked for at the next look, since many may end at once.
    if (!wasWhole) this.listedAtMs = 0;
  }

  set(counter) {
    let row = this.rows.get(counter.name);
    const isNew = !row;
    if (isNew) {
      row = new Row(this, counter.name);
      this.rows.set(counter.name, row);
    }
    row.set(counter);
    return isNew;
  }

  /** This is all that is listened to, or the first of it: what is not there has ended. */
  hearAll(counters, hasMore) {
    const told = new Set(counters.map(({ name }) => name));
    const { names, prefix } = this.listened;
    const isHeard = (name) => (names ? names.includes(name) : !hasMore && name.startsWith(prefix));
    for (const name of [...this.rows.keys()]) {
      if (isHeard(name) && !told.has(name)) this.drop(name);
    }
    this.hear(counters);
  }

  /** Values have changed. */
  hear(counters) {
    let hasNew = false;
    for (const counter of counters) {
      if (counter.deleted) this.drop(counter.name);
      else if (this.rows.has(counter.name)) this.set(counter);
      else if (this.isWhole && counter.name.startsWith(this.prefix)) {
        hasNew = true;
        if (this.rows.size < PAGE) this.set(counter);
      }
    }
    if (!hasNew) return;
    this.arrange();
    this.showPlace();
    if (this.rows.size >= PAGE) this.load();
  }

  /** Shows a row's value in the next picture that the browser draws, with all others. */
  later(row) {
    if (this.changed.size === 0) {
      requestAnimationFrame(() => {
        for (const changed of this.changed) changed.show();
        this.changed.clear();
      });
    }
    this.changed.add(row);
  }

  /** Once a second. */
  look(atMs) {
    for (const row of this.rows.values()) row.look(atMs);
    if (this.order !== "name") this.arrange();
    const restMs = this.ranking?.isFresh ? FIRST_RATES_MS : RENEW_MS;
    const isDue = !this.isWhole && Date.now() - this.listedAtMs > restMs;
    if (isDue && !(this.ranking && this.isPointedAt)) this.load();
  }

  /** Whether somebody is about to press a button in a row, who shall not find another one under
   *  the finger. */
  get isPointedAt() {
    return byId("rows").matches(":hover, :focus-within");
  }

  sort(button) {
    this.order = button.dataset.sort;
    for (const other of document.querySelectorAll("#counters thead th")) {
      other.removeAttribute("aria-sort");
    }
    const way = this.order === "name" ? "ascending" : "descending";
    button.closest("th").setAttribute("aria-sort", way);
    this.arrange();
    this.begin();
  }

  /** Puts the rows in order, and moves only those that stand elsewhere. */
  arrange() {
    if (this.order !== "name" && this.isPointedAt) return;
    const body = byId("rows");
    let at = body.firstElementChild;
    for (const row of [...this.rows.values()].sort(ORDERS[this.order])) {
      for (const part of [row.element, row.details]) {
        if (!part) continue;
        if (part === at) at = at.nextElementSibling;
        else body.insertBefore(part, at);
      }
    }
  }

  showPlace() {
    const number = this.rows.size;
    const page = this.pages.length;
    const found = number === 0 ? "no counter" : number === 1 ? "1 counter" : `${number} counters`;
    write(byId("place"), this.isWhole ? found : `${this.whichPart(page)}${found}`);
    const [previous, next, create] = ["previous", "next", "create"].map(byId);
    const focused = document.activeElement;
    previous.disabled = page === 1;
    next.disabled = !this.next;
    // Of a ranking only the first are here.
    const wouldBeHere = page === 1 && (!this.ranking || this.isWhole);
    const isUnknown = this.prefix !== "" && wouldBeHere && !this.rows.has(this.prefix);
    create.hidden = !isUnknown;
    write(create, isUnknown ? `Add 1 to “${this.prefix}”` : "");
    // A button that goes while it has the focus would leave the keyboard at the top of the page.
    if (!focused?.disabled && !focused?.hidden) return;
    if (focused === previous) moveFocus(next);
    if (focused === next) moveFocus(previous);
    // To the counter that it made.
    if (focused === create) moveFocus(this.rows.get(this.prefix)?.opens ?? byId("prefix"));
  }

  whichPart(page) {
    if (!this.ranking) return `page ${page}, `;
    const { found, isAll } = this.ranking;
    const all = isAll ? `all ${digits(found)}` : `the first ${digits(found)} names: search for fewer`;
    return `the first of ${all}; `;
  }

  async create(name) {
    try {
      const made = await node.add(name, 1);
      this.set(made);
      this.arrange();
      this.complain("");
      say(`${name} is now ${digits(exactly(made))}`);
    } catch (error) {
      this.complain(error.message);
    }
  }

  complain(text) {
    const place = byId("place");
    place.classList.toggle("complaint", text !== "");
    if (text) write(place, text);
    else this.showPlace();
  }
}
