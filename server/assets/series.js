// Numbers over time, the last so many of them.

import { more } from "./whole.js";

export class Series {
  /** @param {number} most how many are kept */
  constructor(most) {
    this.most = most;
    this.values = [];
  }

  /** `null` stands for a moment of which nothing is known. */
  push(value) {
    this.values.push(value);
    if (this.values.length > this.most) this.values.shift();
  }

  get last() {
    return this.values.at(-1) ?? null;
  }
}

/** A number that only grows, looked at again and again, as what it grows by in a second. */
export class Rate {
  /** @param {number} most how many rates are kept */
  constructor(most) {
    this.series = new Series(most);
    this.before = null;
  }

  /** @param {number|bigint} total what it is at `atMs` */
  look(total, atMs) {
    if (this.before !== null && atMs > this.before.atMs) {
      const grown = more(total, this.before.total);
      this.series.push((grown * 1000) / (atMs - this.before.atMs));
    }
    this.before = { total, atMs };
  }

  /** The count began anew, as after a restart. */
  restart() {
    this.before = null;
  }

  get now() {
    return this.series.last;
  }
}

/** What so much of what was noted between two looks at a histogram does not exceed, as Prometheus
 *  reckons it; `null` if nothing was noted.
 *  @param {{end: number, total: number}[]} before totals up to and including each step's end */
export function quantile(before, now, of) {
  const grown = now.map(({ end, total }, at) => ({ end, total: total - before[at].total }));
  const all = grown.at(-1)?.total ?? 0;
  if (all <= 0) return null;
  const at = grown.findIndex(({ total }) => total >= of * all);
  const { end, total } = grown[at];
  const below = grown[at - 1] ?? { end: 0, total: 0 };
  if (end === Infinity) return below.end;
  return below.end + ((end - below.end) * (of * all - below.total)) / (total - below.total);
}
