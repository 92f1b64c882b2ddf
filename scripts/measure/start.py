"""From start to ready: with many counters, from a snapshot and from journals; and a long journal of
one counter."""

import json
import re
import statistics

from .quipu import Node
from .stage import Failed, built, output

TITLE = "Start to ready"
MILLION = 1_000_000
INCREMENTS = 10_000_000
REPLAY_CONNECTIONS = 64
# More than the snapshots that any of these directories would otherwise get.
SNAPSHOTS_MAX = 400


def measure(bench):
    counts = [(MILLION, 3, 2)] + ([(10 * MILLION, 1, 10)] if bench.huge else [])
    for count, origins, goal_s in counts:
        for snapshot in (True, False):
            with bench.stage() as stage:
                _counters(bench, stage, count, origins, goal_s, snapshot)
    if not bench.huge:
        bench.results.figure("10,000,000 counters", "only with `scripts/bench --huge start`")
    with bench.stage() as stage:
        _replay(bench, stage)


def _counters(bench, stage, count, origins, goal_s, snapshot):
    directory = stage.directory("node.data")
    for start in range(1, origins + 1):
        node = Node(stage, "node", directory)
        if not snapshot:
            _prevent_snapshots(directory)
        with node.client() as client:
            client.increment_each(count)
            # So that what the start reads is a snapshot, with as little behind it as comes.
            while snapshot and start == origins and not node.metric("snapshots_total"):
                client.increment_each(count)
        node.stop()
        _allow_snapshots(directory)
    source = "a snapshot" if snapshot else "journals alone"
    _starts(bench, stage, directory, f"{count:,} counters of {origins} origins from {source}", goal_s)


def _prevent_snapshots(directory):
    """Journals alone: a directory stands wherever a snapshot would be begun, which a node takes for
    a disk that will not have it, and gives the snapshot up."""
    for number in range(1, SNAPSHOTS_MAX):
        (directory / f"{number:08}.snapshot.unfinished").mkdir(exist_ok=True)


def _allow_snapshots(directory):
    for entry in directory.glob("*.snapshot.unfinished"):
        if entry.is_dir():
            entry.rmdir()


def _starts(bench, stage, directory, what, goal_s):
    found = []
    held = _held(directory)
    for _ in range(bench.rounds):
        node = Node(stage, "node", directory)
        found.append(node.ready_after_s)
        node.stop()
    took_s = statistics.median(found)
    bench.results.figure(
        what, f"{took_s:.2f} s", f"{held}; {min(found):.2f} to {max(found):.2f} s in {len(found)} starts",
        f"≤ {goal_s} s", took_s <= goal_s,
    )


def _held(directory):
    """What a start will read."""
    sizes = {
        kind: sum(file.stat().st_size for file in directory.glob(f"*.{kind}"))
        for kind in ("snapshot", "segment")
    }
    return f"snapshot {sizes['snapshot'] / 1e6:.1f} MB, journals {sizes['segment'] / 1e6:.1f} MB"


def _replay(bench, stage):
    directory = stage.directory("node.data")
    node = Node(stage, "node", directory)
    _prevent_snapshots(directory)
    said = output(
        built("quipu"), "bench", "--node", f"127.0.0.1:{node.http}", "--protocol", "redis",
        "--redis", f"127.0.0.1:{node.redis}", "--connections", REPLAY_CONNECTIONS,
        "--requests", INCREMENTS, "--seconds", 3600, "--json",
    )
    made = json.loads(said)
    if made["acknowledged"] != INCREMENTS:
        raise Failed(f"expected {INCREMENTS} acknowledged, found {made['acknowledged']}")
    batches = node.metric("journal_batches_total")
    size = node.metric("journal_written_bytes_total")
    syncs = node.metric("journal_syncs_total")
    node.stop()
    _allow_snapshots(directory)
    records = sum(map(int, re.findall(r"journal, (\d+) records", output(built("quipu"), "check", directory))))
    what = f"the journal of {INCREMENTS:,} increments of one counter by {REPLAY_CONNECTIONS} connections"
    _starts(bench, stage, directory, what, 1)
    bench.results.note(
        f"That journal: {records:,} records of {batches:,.0f} batches, {size:,.0f} bytes, {syncs:,.0f} fdatasyncs, "
        f"written in {made['seconds']:.0f} s ({made['per_second']:,.0f} increments a second)."
    )
    after = Node(stage, "node", directory)
    if after.value("bench") != INCREMENTS:
        raise Failed(f"expected {INCREMENTS} after the starts, found {after.value('bench')}")
    after.stop()
