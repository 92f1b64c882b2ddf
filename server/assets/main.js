// The page: asks its node once a second how things are, hears what changes, and says plainly when
// it has lost it.

import { Cluster } from "./cluster.js";
import { Counters } from "./counters.js";
import * as node from "./node.js";
import { byId, element, timeOfDay, write } from "./text.js";

/** Between two looks at the cluster. */
const LOOK_MS = 1000;

/** Lines of events that are shown. */
const EVENTS_MAX = 100;

/** Whether the stream and the last look went well, if that is known, and since when one did not. */
const connection = { stream: null, look: null, lostAt: null };

const cluster = new Cluster();

const stream = new node.Stream({
  open: () => connected("stream", true),
  broken: () => connected("stream", false),
  snapshot({ counters: rows, more }) {
    byId("events").replaceChildren();
    counters.hearAll(rows, more);
  },
  change: ({ counters: rows }) => counters.hear(rows),
  peers: () => look(),
  log: showEvent,
});

const counters = new Counters((what) => stream.listen(what));

function connected(part, isWell) {
  connection[part] = isWell;
  const isLost = connection.stream === false || connection.look === false;
  const isLive = connection.stream && connection.look;
  const wasLost = connection.lostAt !== null;
  const me = byId("me").textContent;
  if (isLost && !wasLost) connection.lostAt = new Date();
  if (!isLost) connection.lostAt = null;
  const state = byId("connection");
  state.dataset.state = isLost ? "down" : isLive ? "alive" : "joining";
  write(state.firstElementChild, isLost ? "node lost" : isLive ? "live" : "connecting");
  document.body.classList.toggle("lost", isLost);
  byId("lost").classList.toggle("shown", isLost);
  write(
    byId("lost"),
    isLost
      ? `This page has lost its node ${me} at ${timeOfDay(connection.lostAt)}. It keeps trying; what is below is the last that it heard.`
      : "",
  );
  // What was missed meanwhile.
  if (wasLost && !isLost) {
    look();
    counters.load();
  }
}

let looking = null;

/** Looks at the cluster; a look that is under way serves whoever asks meanwhile. */
function look() {
  looking ??= lookOnce().finally(() => {
    looking = null;
  });
  return looking;
}

async function lookOnce() {
  try {
    const [status, lags] = await Promise.all([node.status(), node.lags()]);
    write(byId("me"), status.node_id);
    document.title = `${status.node_id} – Quipu`;
    cluster.show(status, lags);
    connected("look", true);
  } catch {
    connected("look", false);
    cluster.show(null);
  }
}

function showEvent({ at_ms, level, text }) {
  const at = new Date(Number(at_ms));
  const isBad = / is down| was removed/.test(text);
  const kind = isBad ? "bad" : level === "warn" || / is suspect/.test(text) ? "warn" : "";
  const events = byId("events");
  events.prepend(
    element(
      "li",
      {},
      element("time", { datetime: at.toISOString(), title: at.toString() }, timeOfDay(at)),
      element("span", { class: kind }, text),
    ),
  );
  while (events.children.length > EVENTS_MAX) events.lastElementChild.remove();
}

/** Nobody looks at a page in the background, so it asks nothing. */
async function everySecond() {
  if (!document.hidden) {
    await look();
    if (!connection.lostAt) counters.look(performance.now());
  }
}

await look();
counters.load();
// A look that takes longer than its second is not asked for twice.
setInterval(everySecond, LOOK_MS);
