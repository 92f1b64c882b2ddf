// Who is there, how far behind each is, and how much each counts.

import { Chart, Sparkline } from "./chart.js";
import { Rate, Series, quantile } from "./series.js";
import { byId, digits, duration, element, rate, write } from "./text.js";

/** Looks that a sparkline shows: two minutes, at one a second. */
const SPARK = 120;

/** Looks that the charts show: ten minutes. */
const CHART = 601;

/** Looks between which the quantiles of the lag are taken: half a minute. */
const LAGS = 30;

/** A look may be so many seconds late, on a browser that has other things to do. */
const MISSED_MOST = 3;

/** What is in trouble is shown first, since a hundred rows do not fit a screen. */
const ORDER = { down: 1, suspect: 2, joining: 3, alive: 4, removed: 5 };

/** Tells rows when they come into sight: lines that nobody sees are not drawn. */
const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) target.row.isInSight = isIntersecting;
  for (const { target, isIntersecting } of entries) if (isIntersecting) target.row.drawLines();
});

class Row {
  constructor(address) {
    this.address = address;
    this.isInSight = false;
    this.rate = new Rate(SPARK);
    this.lags = new Series(SPARK);
    this.lagLine = new Sparkline();
    this.rateLine = new Sparkline();
    this.state = element("span", { class: "state" });
    this.lag = element("td", { class: "number" });
    this.perSecond = element("td", { class: "number" });
    this.name = element("td", {}, element("code", {}, address));
    this.element = element(
      "tr",
      { "data-node": address },
      this.name,
      element("td", {}, this.state),
      this.lag,
      element("td", { class: "drawing" }, this.lagLine.element),
      this.perSecond,
      element("td", { class: "drawing" }, this.rateLine.element),
    );
    this.element.row = this;
    sight.observe(this.element);
  }

  remove() {
    sight.unobserve(this.element);
    this.element.remove();
  }

  drawLines() {
    this.lagLine.draw(this.lags, 5);
    this.rateLine.draw(this.rate.series, 1);
  }

  /** @param node as the status of the node tells */
  show({ state, origin, counted, link, isMe }, atMs) {
    if (isMe && !this.badge) {
      this.badge = element("span", { class: "badge" }, "this node");
      this.name.append(this.badge);
    }
    // After a restart it counts under a new name, from nothing.
    if (origin !== this.origin || counted < this.rate.before?.total) this.rate.restart();
    this.origin = origin;
    if (state === "alive" || state === "suspect") this.rate.look(counted, atMs);
    else this.rate.series.push(null);
    const lag = link ? link.lag_ms : null;
    this.lags.push(lag);
    this.stateNow = state;

    write(this.state, state);
    this.state.dataset.state = state;
    this.element.classList.toggle("trouble", state === "down");
    write(this.lag, isMe ? "–" : link?.behind ? "catching up" : duration(lag));
    write(this.perSecond, rate(this.now));
    if (this.isInSight) this.drawLines();
  }

  get now() {
    return this.stateNow === "alive" ? this.rate.now : null;
  }
}

/** The quantiles of a histogram that only grows, over the last half minute. */
class Lag {
  constructor() {
    this.recent = [];
    this.p50 = new Series(CHART);
    this.p99 = new Series(CHART);
    this.series = [this.p50, this.p99];
  }

  look(steps) {
    // A restarted node counts from nothing.
    const before = this.recent.at(-1) ?? [];
    const isOther = steps.length !== before.length || steps.at(-1)?.total < before.at(-1)?.total;
    if (isOther) this.recent = [];
    this.recent.push(steps);
    if (this.recent.length > LAGS) this.recent.shift();
    this.p50.push(quantile(this.recent[0], steps, 0.5));
    this.p99.push(quantile(this.recent[0], steps, 0.99));
  }
}

export class Cluster {
  constructor() {
    this.rows = new Map();
    this.shownAtMs = performance.now();
    /** Operations on this node, however much each adds. */
    this.increments = new Rate(SPARK);
    this.total = new Series(CHART);
    this.ours = new Series(CHART);
    this.here = new Lag();
    this.there = new Lag();
    this.charts = [
      new Chart(
        byId("rate-chart"),
        [
          { label: "all nodes", series: this.total },
          { label: "this node", series: this.ours, look: "second" },
        ],
        rate,
        10,
      ),
      new Chart(
        byId("lag-chart"),
        [
          { label: "others’ here, p99", series: this.here.p99 },
          { label: "p50", series: this.here.p50, look: "dashed" },
          { label: "ours confirmed, p99", series: this.there.p99, look: "second" },
          { label: "p50", series: this.there.p50, look: "second dashed" },
        ],
        duration,
        1,
      ),
    ];
  }

  /**
   * @param status what the node says of itself and of the others; `null` if it is lost
   * @param lags the histograms of its lag, as `node.lags` gives them
   */
  show(status, lags) {
    const series = [this.total, this.ours, ...this.here.series, ...this.there.series];
    // A page in the background does not look; the time goes on.
    const seconds = Math.floor((performance.now() - this.shownAtMs) / 1000);
    const missed = seconds > MISSED_MOST ? Math.min(seconds, CHART) : 0;
    for (let second = 0; second < missed; second++) series.forEach((s) => s.push(null));
    this.shownAtMs = performance.now();
    if (!status) {
      series.forEach((s) => s.push(null));
      this.increments.restart();
      for (const { rate } of this.rows.values()) rate.restart();
      return this.charts.forEach((chart) => chart.draw());
    }
    const atMs = Number(status.uptime_ms);
    const me = {
      address: status.node_id,
      state: status.removed ? "removed" : "alive",
      origin: status.origin,
      counted: status.counted,
      isMe: true,
    };
    const nodes = [me, ...status.peers.map((peer) => ({ ...peer, origin: peer.node }))];
    this.showRows(nodes, atMs);
    this.showTiles(status, nodes);
    // A restarted node counts from nothing.
    if (status.increments < this.increments.before?.total) this.increments.restart();
    this.increments.look(status.increments, atMs);
    this.draw(status, lags);
  }

  showRows(nodes, atMs) {
    const known = new Set(nodes.map((node) => node.address));
    for (const [address, row] of this.rows) {
      if (!known.has(address)) {
        row.remove();
        this.rows.delete(address);
      }
    }
    for (const node of nodes) {
      if (!this.rows.has(node.address)) this.rows.set(node.address, new Row(node.address));
      this.rows.get(node.address).show(node, atMs);
    }
    const place = (node) => (node.isMe ? 0 : (ORDER[node.state] ?? 9));
    const sorted = nodes.toSorted(
      (a, b) => place(a) - place(b) || a.address.localeCompare(b.address, "en", { numeric: true }),
    );
    const body = byId("nodes");
    sorted.forEach((node, at) => {
      const { element: row } = this.rows.get(node.address);
      if (body.children[at] !== row) body.insertBefore(row, body.children[at] ?? null);
    });
  }

  showTiles(status, nodes) {
    const members = nodes.filter((node) => node.state !== "removed" || node.isMe);
    const alive = members.filter((node) => node.state === "alive").length;
    const others = {};
    for (const { state } of members) if (state !== "alive") others[state] = (others[state] ?? 0) + 1;
    const list = Object.entries(others).map(([state, number]) => `${number} ${state}`);
    write(byId("tile-nodes"), `${alive} of ${members.length}`);
    write(byId("tile-nodes-note"), list.join(", ") || "all of them");
    byId("tile-nodes").classList.toggle("trouble", alive < members.length);
    write(byId("tile-counters"), digits(status.counters));
    const isKept = status.fsync !== "in-memory";
    write(byId("tile-kept"), isKept ? `on disk, fsync ${status.fsync}` : "in memory only");
    write(byId("version"), `Quipu ${status.version}`);
  }

  draw(status, lags) {
    const rows = [...this.rows.values()];
    const rates = rows.map((row) => row.now).filter((now) => now !== null);
    const total = rates.length ? rates.reduce((sum, now) => sum + now, 0) : null;
    this.total.push(total);
    this.ours.push(this.rows.get(status.node_id)?.now ?? null);

    this.here.look(lags.here);
    this.there.look(lags.there);

    write(byId("tile-rate"), rate(total));
    const nodes = rates.length === 1 ? "1 node" : `${rates.length} nodes`;
    write(byId("tile-rate-note"), `${nodes}; here ${rate(this.increments.now)} increments/s`);
    const p99s = [this.here.p99.last, this.there.p99.last].filter((p99) => p99 !== null);
    write(byId("tile-lag"), duration(p99s.length ? Math.max(...p99s) : null));
    this.charts.forEach((chart) => chart.draw());
  }
}
