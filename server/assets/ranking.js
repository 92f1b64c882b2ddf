// Which counters come first by value or by rate among all that a search finds, not only among those
// on the screen. A node lists by name, so all of them are asked for, as many at a time as it gives,
// and the first are picked here.

import { list } from "./node.js";
import { exactly, largerFirst, more } from "./whole.js";

/** Counters that are ranked at most: ten answers, of some 60 KB each. Where there are more, the
 *  page says so, and a longer beginning of the name finds fewer. */
export const RANKED_MAX = 10_000;

/** Rows that a node gives at once. */
const ROWS = 1000;

const byName = (a, b) => (a.name < b.name ? -1 : 1);

const BY = {
  value: (a, b) => largerFirst(exactly(a), exactly(b)) || byName(a, b),
  rate: (a, b) => b.rate - a.rate || BY.value(a, b),
};

export class Ranking {
  /** @param {"value"|"rate"} by */
  constructor(prefix, by) {
    this.prefix = prefix;
    this.by = by;
    /** What the values were at the last look. */
    this.before = null;
    this.looks = 0;
    this.found = 0;
    this.isAll = true;
  }

  /** Whether rates are wanted, and were not told yet: that takes two looks. */
  get isFresh() {
    return this.by === "rate" && this.looks < 2;
  }

  /** Asks for all of them, and hands back the first `count`. */
  async first(count) {
    const all = [];
    let next = null;
    do {
      const page = await list(this.prefix, next, ROWS);
      all.push(...page.counters);
      next = page.next;
    } while (next && all.length < RANKED_MAX);
    this.looks += 1;
    this.found = all.length;
    this.isAll = !next;
    const { before } = this;
    for (const row of all) {
      row.rate = before ? more(exactly(row), before.get(row.name) ?? 0) : 0;
    }
    if (this.by === "rate") this.before = new Map(all.map((row) => [row.name, exactly(row)]));
    return all.sort(BY[this.by]).slice(0, count);
  }
}
