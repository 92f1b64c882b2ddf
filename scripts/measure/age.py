"""A node of ten years beside a young one that shows the same counts.

What core does is measured by `core/examples/age.rs`, old and young in turn, as time of a processor;
starts, joins and links at rest by real nodes on the directories that it leaves.
"""

import pathlib
import re
import statistics
import time

from .quipu import Node
from .stage import Failed, example, output, within

TITLE = "A node of ten years beside a young one of the same counts"
# Starts of nodes that the old one remembers, in 40,000 of which ten years of ten nodes come to; each
# has a slot of the counter that all have counted on.
ORIGINS = (40_000, 100_000)
COUNTERS = 20_000
# As the example has them.
BUSY, ADDED, VALUE = "visits", 10_000, 3_000
RATIO_MAX = 2
JOIN_S, SETTLE_S, REST_S = 30, 5, 10
YOUNG_ORIGINS = 3
# What a joiner takes for a slot that is the only one of its origin: a row of the digest, a question, a
# delta of its own in the answer and in the journal, and a claim, where a young one's slots share
# these by the thousand. For both nodes together.
JOIN_NS, JOIN_BYTES = 2_000, 50
# The same for real nodes, by the clock on the wall: a joiner syncs each part of an answer, and asks for
# 4,096 origins at a time.
START_NS, JOINED_NS = 2_000, 6_000
# A slot takes 32 bytes and its place in the index, an origin 72, its place by name and its part.
MEMORY_BYTES = 200
# The hashes of 256 parts of the records of removals, each way, where the young one has none.
MEETING_BYTES = 8_000


NOTES = (
    "A counter has one slot of each origin at most, so 100,000 slots in one counter are those of as many origins, and the "
    "old node holds more than the young one, whose counts are the same: 160,000 slots beside 60,003, and 100,000 origins "
    "beside 3. What is compared is therefore the time for each slot and origin, which is to be within twice; the time of "
    "all of it stands beside it.",
    "A joiner takes longer for each, since nearly every slot is the only one of its origin on its way: its row of the "
    "digest, its question, its delta in the answer and in the journal, and its claim are made, sent and read for it alone, "
    "where a young table's slots share them by the thousand. The bounds in nanoseconds and bytes say what that may take.",
)


def measure(bench):
    for note in NOTES:
        bench.results.note(note)
    for origins in ORIGINS:
        _core(bench, origins)
    with bench.stage() as stage:
        _nodes(bench, stage, ORIGINS[-1])


def _core(bench, origins):
    """The procedures of core, each run of the example in a process of its own."""
    found = bench.in_turn(
        old=lambda: _read(output(example("age"), "time", "old", origins)),
        young=lambda: _read(output(example("age"), "time", "young", origins)),
    )
    old, young = found["old"], found["young"]
    slots, title = (old[0]["slots"], young[0]["slots"]), f"{origins:,} origins"
    bench.results.figure(
        title, f"{slots[0]:,.0f} slots, {old[0]['directory'] / 1e6:.1f} MB on the disk",
        f"young: {slots[1]:,.0f} slots, {young[0]['directory'] / 1e6:.1f} MB",
    )
    things = slots[0] + origins, slots[1] + YOUNG_ORIGINS
    for what in ("start", "snapshot", "check", "repair of a journal", "repair of a snapshot", "join"):
        ours, theirs = [one[what] for one in old], [one[what] for one in young]
        bench.results.compare(f"{title}: {what}", ours, theirs, "young", "ms")
        each = [[1e6 * ms / count for ms in found] for found, count in zip((ours, theirs), things)]
        name = f"{title}: {what}, for each slot and origin"
        if what != "join":
            bench.results.compare(name, *each, "young", "ns", most=RATIO_MAX)
            continue
        bench.results.compare(name, *each, "young", "ns")
        took = statistics.median(each[0])
        bench.results.figure(f"{name}, at most", f"{took:,.0f} ns", "", f"≤ {JOIN_NS:,} ns", took <= JOIN_NS)
    each, beside = (one[0]["join, link"] / count for one, count in zip((old, young), things))
    bench.results.figure(
        f"{title}: join, on the link, for each slot and origin", f"{each:.0f} bytes", f"young: {beside:.0f} bytes",
        f"≤ {JOIN_BYTES} bytes", each <= JOIN_BYTES,
    )
    for what, seconds in (("after a restart", 5), ("a minute of rest", 60)):
        ours, theirs = [1000 * one[what] for one in old], [1000 * one[what] for one in young]
        name = f"{title}: both nodes of a link, {seconds} s {'from its beginning' if seconds == 5 else 'at rest'}"
        bench.results.compare(name, ours, theirs, "young", "µs", most=RATIO_MAX)
        sent, beside = old[0][f"{what}, link"], young[0][f"{what}, link"]
        goal = MEETING_BYTES if seconds == 5 else RATIO_MAX * beside
        bench.results.figure(
            f"{name}: sent", f"{sent:,.0f} bytes", f"young: {beside:,.0f} bytes", f"≤ {goal:,.0f} bytes", sent <= goal
        )


def _read(said):
    """Lines of "what: number unit"."""
    return {what: float(number) for what, number in re.findall(r"^(.*): ([\d.]+) \w+$", said, re.M)}


def _nodes(bench, stage, origins):
    """Real nodes."""
    kept = {}
    for age in ("old", "young"):
        kept[age] = stage.directory(f"{age}.kept")
        output(example("age"), "write", age, origins, kept[age])
    numbers = iter(range(1_000_000))

    def copy(age):
        directory = stage.directory(f"{age}{next(numbers)}.data")
        for file in kept[age].iterdir():
            (directory / file.name).write_bytes(file.read_bytes())
        return directory

    def start(age):
        node = Node(stage, "node", copy(age))
        node.stop()
        return 1000 * node.ready_after_s

    found = bench.in_turn(old=lambda: start("old"), young=lambda: start("young"))
    title = f"{origins:,} origins, real nodes"
    what = "from start to ready"
    bench.results.compare(f"{title}: {what}", found["old"], found["young"], "young", "ms")
    _bound(bench, f"{title}: {what}", found["old"], START_NS, origins)
    found = bench.in_turn(
        old=lambda: _joined(stage, copy("old"), origins), young=lambda: _joined(stage, copy("young"), origins)
    )
    old, young = ([list(column) for column in zip(*found[age])] for age in ("old", "young"))
    what = "an empty node joins and has all, from its start"
    bench.results.compare(f"{title}: {what}", old[0], young[0], "young", "ms")
    _bound(bench, f"{title}: {what}", old[0], JOINED_NS, origins)
    for at, what, unit in ((1, "one at rest, sent to its peer", "bytes/s"), (2, "one at rest, of a processor", "µs/s")):
        bench.results.compare(f"{title}: {what}", old[at], young[at], "young", unit, most=RATIO_MAX)
    what = "memory of one, VmRSS"
    bench.results.compare(f"{title}: {what}", old[3], young[3], "young", "MB")
    more = [1e6 * (ours - theirs) for ours, theirs in zip(old[3], young[3])]
    each = statistics.median(more) / (2 * origins)
    bench.results.figure(
        f"{title}: {what}, more than the young one, for each slot and origin more",
        f"{each:.0f} bytes", "", f"≤ {MEMORY_BYTES} bytes", each <= MEMORY_BYTES,
    )


def _bound(bench, what, took, most_ns, origins):
    """What is bounded for each slot and origin, since the old one holds more of them."""
    things = 3 * COUNTERS + 2 * origins
    each = 1e6 * statistics.median(took) / things
    bench.results.figure(
        f"{what}, for each slot and origin", f"{each:,.0f} ns", "", f"≤ {most_ns:,} ns", each <= most_ns
    )


def _joined(stage, directory, origins):
    node = Node(stage, "node", directory)
    began = time.monotonic()
    joiner = Node(stage, "joiner", stage.directory(f"{directory.name}.joiner"), [node])
    with joiner.client() as client:
        within(JOIN_S, "all counts on the joiner", lambda: _has_all(client, origins), pause_s=0.002)
        took_ms = 1000 * (time.monotonic() - began)
        if not client.all_are(COUNTERS, VALUE):
            within(JOIN_S, "every counter on the joiner", lambda: client.all_are(COUNTERS, VALUE))
    # What has just come is told for two seconds; then both are at rest.
    time.sleep(SETTLE_S)
    sent, ran = node.metric("link_sent_bytes_total"), _processor_ns(node.process.pid)
    time.sleep(REST_S)
    spent_us = _spent_ns(ran, _processor_ns(node.process.pid)) / 1000
    sent = node.metric("link_sent_bytes_total") - sent
    memory = node.resident_bytes() / 1e6
    joiner.stop()
    node.stop()
    if sent <= 0:
        raise Failed("expected something on a link at rest, found nothing")
    return took_ms, sent / REST_S, spent_us / REST_S, memory


def _has_all(client, origins):
    # The last counter of the list, and the slots of the one that all have counted on.
    return client.call("DBSIZE") == COUNTERS + 1 and client.call("GET", BUSY) == b"%d" % (origins * ADDED)


def _processor_ns(pid):
    """How long each thread of a process has run so far."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return {task.name: int((task / "schedstat").read_text().split()[0]) for task in tasks}


def _spent_ns(before, after):
    """How long threads have run meanwhile; of one that has ended nobody tells any more."""
    return sum(ran - before.get(thread, 0) for thread, ran in after.items())
