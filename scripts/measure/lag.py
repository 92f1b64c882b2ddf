"""Replication lag: from the acknowledgement on one node until another node shows it.

The reader polls over a kept connection, so its last poll's time is in every figure.
"""

import time

from .bare_sync import BareSync, percentile
from .load import load, throughput
from .quipu import cluster
from .stage import example

TITLE = "Replication lag"
TRIES = 500
PAUSE_MS = 10
CONNECTIONS = 32
GOAL_US = 2000


def measure(bench):
    for durable in (False, True):
        with bench.stage() as stage:
            nodes = cluster(stage, "node", durable=durable)
            bare = BareSync(stage.scratch / "bare") if durable else None
            syncs = bare.times(TRIES // 2, PAUSE_MS / 1000) if bare else []
            idle = _lag(nodes)
            syncs += bare.times(TRIES // 2, PAUSE_MS / 1000) if bare else []
            _report(bench, f"{_mode(durable)}, idle", idle, syncs)
            syncs = []
            full = throughput([nodes[0].url], CONNECTIONS, bench.seconds)["per_second"]
            busy, reached = _under_load(stage, nodes, full / 2, bare, syncs)
            _report(bench, f"{_mode(durable)}, at half load ({reached:,.0f}/s)", busy, syncs)


def _mode(durable):
    return "synced always on every node" if durable else "in memory"


def _lag(nodes):
    urls = ["--write", nodes[0].url, "--read", nodes[1].url]
    return load("visibility", *urls, "--tries", TRIES, "--pause-ms", PAUSE_MS)


def _under_load(stage, nodes, per_second, bare, syncs):
    """While half of what the node can take is put on another counter of it."""
    command = [example("load"), "throughput", "--url", nodes[0].url, "--path"]
    command += ["/counters/load/increment", "--connections", CONNECTIONS, "--seconds", 600]
    command += ["--per-second", int(per_second)]
    background = stage.start("load", command)
    began = time.monotonic()
    found = _lag(nodes)
    reached = nodes[0].value("load") / (time.monotonic() - began)
    if bare:
        syncs += bare.times(TRIES // 2, PAUSE_MS / 1000)
    stage.stop(background)
    return found, reached


def _report(bench, what, line, syncs):
    p50, p99, most = (line[f"{name}_us"] / 1000 for name in ("p50", "p99", "max"))
    beside = f"from before it is sent: p99 {line['sent_p99_us'] / 1000:.2f} ms"
    if syncs:
        p99_sync, max_sync = percentile(syncs, 99) / 1000, max(syncs) / 1000
        beside = f"a bare fdatasync: p99 {p99_sync:.2f}, max {max_sync:.2f} ms; {beside}"
    in_memory = not syncs
    bench.results.figure(
        f"{what}, {TRIES} tries",
        f"p50 {p50:.2f}, p99 {p99:.2f}, max {most:.2f} ms",
        beside,
        f"p99 ≤ {GOAL_US // 1000} ms" if in_memory else "",
        line["p99_us"] <= GOAL_US if in_memory else "",
    )
