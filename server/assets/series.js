// Numbers over time, the last so many of them.

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
      // BigInt, where the number is beyond what a double counts one by one.
      const grown = Number(BigInt(total) - BigInt(this.before.total));
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

/** What so much of the numbers does not exceed (nearest rank). */
export function quantile(numbers, of) {
  if (numbers.length === 0) return null;
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(of * sorted.length) - 1)];
}
