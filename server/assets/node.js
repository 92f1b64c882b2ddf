// Talks to the node that this page came from: questions, increments, and the stream of events.

/** How long a question may take: a node that is this slow is as good as gone. */
const ANSWER_TIME_MAX_MS = 4000;

/** Rest before a broken stream is opened anew. The browser does so by itself, but gives up where a
 *  node that starts answers that it does. */
const RETRY_MS = 1000;

/** How often a counter's value is told. */
const EVERY = "100ms";

/** Strings, which are left alone, and numbers. */
const STRINGS_AND_NUMBERS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g;

/** A key that no answer has. */
const DIGITS = "\0digits";

/** Reads JSON. A whole number that a double cannot hold becomes a BigInt: it is wrapped before the
 *  browser reads it, since not every browser tells a number's digits when it has. */
function read(text) {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  const wrapped = text.replace(STRINGS_AND_NUMBERS, (part) => {
    const isLong = /^-?\d{16,}$/.test(part) && !Number.isSafeInteger(Number(part));
    return isLong ? `{"\\u0000digits":"${part}"}` : part;
  });
  return JSON.parse(wrapped, (_, value) => {
    const digits = value?.[DIGITS];
    return digits === undefined ? value : BigInt(digits);
  });
}

/** Asks. @param {string} body what is posted, if anything is @throws {Error} that says what was wrong, in the node's own words */
async function ask(path, body, method = body ? "POST" : "GET") {
  const signal = AbortSignal.timeout(ANSWER_TIME_MAX_MS);
  const options = { signal, cache: "no-store", method, body };
  const response = await fetch(path, options);
  const answer = read(await response.text());
  if (!response.ok) throw new Error(answer.detail ?? answer.error ?? response.statusText);
  return answer;
}

export const status = () => ask("status");

/** A histogram of the node's metrics: its steps, which end in milliseconds, with their totals since
 *  the node's start. */
function steps(metrics, name) {
  const found = metrics.matchAll(new RegExp(`^${name}_seconds_bucket\\{le="([^"]+)"\\} (\\d+)`, "gm"));
  return [...found].map(([, end, total]) => ({
    end: end === "+Inf" ? Infinity : Number(end) * 1000,
    total: Number(total),
  }));
}

/** How old the others' changes were when they were safe here, and how long this node's own took
 *  until the others had confirmed them. */
export async function lags() {
  const options = { signal: AbortSignal.timeout(ANSWER_TIME_MAX_MS), cache: "no-store" };
  const text = await (await fetch("metrics", options)).text();
  return {
    here: steps(text, "quipu_convergence_lag"),
    there: steps(text, "quipu_confirmation_time"),
  };
}

export function list(prefix, after, limit) {
  return ask(`counters?${new URLSearchParams({ prefix, after: after ?? "", limit })}`);
}

/** Where a counter's calls are. A browser takes a dot segment out of a path, however it is encoded,
 *  and would call for another counter; nor does a node take such a name. Those that an earlier release
 *  took are listed, and no more.
 *  @throws {Error} that says so */
function pathOf(name) {
  if (name === "." || name === "..") {
    throw new Error(`expected a counter name other than "." and "..", found "${name}"`);
  }
  return `counters/${encodeURIComponent(name)}`;
}

export const origins = async (name) => ask(`${pathOf(name)}/origins`);

/** @param {number|bigint} by whole, and as a number one that a double holds */
export const add = async (name, by) => ask(`${pathOf(name)}/increment`, `{"by":${by}}`);

/** A counter with what is left of its lifetime. */
export const counter = async (name) => ask(pathOf(name));

/** Sets a counter and leaves its lifetime as it is. @param {number|bigint} to as for `add` */
export const reset = async (name, to) => ask(`${pathOf(name)}/reset`, `{"to":${to}}`);

/** Deletes a counter; the answer's `before` is what it was. */
export const remove = async (name) => ask(pathOf(name), undefined, "DELETE");

/** The stream of events, kept open. */
export class Stream {
  /** @param {{[event: string]: Function}} hears what is done with each event, `open` and `broken` */
  constructor(hears) {
    this.hears = hears;
    this.query = null;
    this.source = null;
    this.timer = null;
  }

  /** Listens to these counters from now on. @param {{prefix: string}|{names: string[]}} what */
  listen(what) {
    const query = new URLSearchParams({ every: EVERY });
    if (what.names) what.names.forEach((name) => query.append("counter", name));
    else query.append("prefix", what.prefix);
    if (this.query === query.toString()) return;
    this.query = query.toString();
    this.open();
  }

  open() {
    clearTimeout(this.timer);
    this.source?.close();
    const source = new EventSource(`events?${this.query}`);
    this.source = source;
    source.onopen = () => this.hears.open();
    source.onerror = () => {
      this.hears.broken();
      if (source.readyState === EventSource.CLOSED && source === this.source) {
        this.timer = setTimeout(() => this.open(), RETRY_MS);
      }
    };
    for (const name of ["snapshot", "change", "peers", "log"]) {
      source.addEventListener(name, (event) => this.hears[name](read(event.data)));
    }
  }
}
