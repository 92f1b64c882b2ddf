"""What a hundred watchers take from those who count."""

import json
import re
import sys

from .quipu import Node
from .stage import Failed, built, output, processor_s, within

TITLE = "A hundred watchers of `/events`"
WATCHERS = 100
COUNTERS = 100_000
RATE = 100_000
CONNECTIONS = 50
PIPELINE = 16
JOIN_S = 10


def measure(bench):
    with bench.stage() as stage:
        node = Node(stage, "node")
        # So that what is measured is counting, and not the growth of a table.
        _load(node, COUNTERS, 2)
        for what, rate in ((f"{RATE:,} changes a second", RATE), ("as many changes as it takes", None)):
            costs = {"watched": [], "alone": []}

            def watched():
                listeners = _listen(stage, node)
                per_second, cost = _load(node, rate, bench.seconds)
                stage.stop(listeners)
                within(JOIN_S, "the watchers have left", lambda: _watchers(node) == 0)
                costs["watched"].append(cost)
                return per_second

            def alone():
                per_second, cost = _load(node, rate, bench.seconds)
                costs["alone"].append(cost)
                return per_second

            found = bench.in_turn(watched=watched, alone=alone)
            row = f"{what} on {COUNTERS:,} counters"
            bench.results.compare(row, found["watched"], found["alone"], "nobody watches", least=0.9)
            bench.results.compare(
                f"{row}: processor time of the node, an increment", costs["watched"], costs["alone"],
                "nobody watches", unit="ns",
            )


def _listen(stage, node):
    """All watchers in one process, which reads what comes and forgets it."""
    watchers = stage.start("watchers", [sys.executable, "-B", "-c", LISTENER, node.http, WATCHERS])
    within(JOIN_S, f"{WATCHERS} watchers", lambda: _watchers(node) == WATCHERS)
    return watchers


LISTENER = """
import selectors, socket, sys
port, count = map(int, sys.argv[1:])
ready = selectors.DefaultSelector()
for _ in range(count):
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(b"GET /events HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r\\n")
    ready.register(connection, selectors.EVENT_READ)
room = bytearray(1 << 20)
while True:
    for key, _ in ready.select():
        if not key.fileobj.recv_into(room):
            sys.exit("the node has ended a stream")
"""


def _watchers(node):
    found = re.findall(r"^quipu_watchers\{[^}]*\} (\S+)$", node.get("/metrics"), re.M)
    return sum(map(float, found))


def _load(node, rate, seconds):
    """Increments a second, and what one of them cost the node in nanoseconds."""
    command = [built("quipu"), "bench", "--node", f"127.0.0.1:{node.http}", "--protocol", "redis"]
    command += ["--redis", f"127.0.0.1:{node.redis}", "--connections", CONNECTIONS]
    command += ["--pipeline", PIPELINE, "--names", COUNTERS, "--seconds", max(1, round(seconds))]
    command += ["--rate", rate] if rate else []
    used = processor_s(node.process.pid)
    found = json.loads(output(*command, "--json"))
    used = processor_s(node.process.pid) - used
    if found["unanswered"]:
        raise Failed(f"expected an answer to every increment; {found['unanswered']} have none")
    return found["per_second"], 1e9 * used / found["acknowledged"]
