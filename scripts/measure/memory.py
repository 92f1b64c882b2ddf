"""What a million idle counters take, and how soon an empty node has them."""

import statistics
import time

from .quipu import Node, cluster
from .stage import example, output, within

TITLE = "A million idle counters of 20-byte names, three origins each"
MILLION = 1_000_000
ORIGINS = 3
GOAL_BYTES = 200
GOAL_LONE_BYTES = 100
GOAL_S = 3
JOIN_S = 60
# A look at every counter would be most of what the join takes; all are looked at when it is over.
SAMPLE_STEP = 1009


def measure(bench):
    said = output(example("table"), "memory", MILLION)
    told = [line.rsplit(": ", 1)[1].split()[0] for line in said.splitlines()]
    lone, table = int(told[0]), int(told[-1])
    bench.results.figure(
        "the table alone, one origin each",
        f"{lone} bytes each",
        "",
        f"≤ {GOAL_LONE_BYTES}",
        lone <= GOAL_LONE_BYTES,
    )
    bench.results.figure(
        "the table alone", f"{table} bytes each", "", f"≤ {GOAL_BYTES}", table <= GOAL_BYTES
    )
    with bench.stage() as stage:
        nodes = cluster(stage, "node", ORIGINS)
        before = [node.resident_bytes() for node in nodes]
        for node in nodes:
            with node.client() as client:
                client.increment_each(MILLION)
        for node in nodes:
            within(JOIN_S, f"all counters on {node.name}", lambda node=node: _has_all(node, 1))
        grown = [node.resident_bytes() - was for node, was in zip(nodes, before)]
        bench.results.figure(
            "a whole node (VmRSS; the largest of three)",
            f"{max(grown) / MILLION:.0f} bytes each",
            f"{max(grown) / 1e6:.0f} MB",
        )
        _joins(bench, stage, nodes, durable=False)
        _joins(bench, stage, nodes, durable=True)


def _has_all(node, step=SAMPLE_STEP):
    with node.client() as client:
        return client.call("DBSIZE") == MILLION and client.all_are(MILLION, ORIGINS, step)


def _joins(bench, stage, nodes, durable):
    found = []
    for number in range(min(bench.rounds, 3)):
        name = f"joiner{number}{'d' if durable else ''}"
        began = time.monotonic()
        joiner = Node(stage, name, stage.directory(f"{name}.data") if durable else None, nodes[:1])
        within(JOIN_S, f"all counters on {name}", lambda: _has_all(joiner))
        found.append(time.monotonic() - began)
        within(1, f"every counter on {name}", lambda: _has_all(joiner, 1))
        joiner.stop()
    took_s = statistics.median(found)
    kept = "its disk synced" if durable else "in memory"
    bench.results.figure(
        f"an empty node joins and has all, from its start ({kept})",
        f"{took_s:.2f} s",
        f"{min(found):.2f} to {max(found):.2f} s in {len(found)} joins",
        f"≤ {GOAL_S} s",
        took_s <= GOAL_S,
    )
