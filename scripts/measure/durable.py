"""What it costs that an acknowledgement is on the disk."""

import statistics

from .bare_sync import BareSync
from .load import throughput
from .quipu import Node
from .stage import Failed

TITLE = "`--fsync always`"
CONNECTIONS = 32
# A disk's time is another from one moment to the next, so the two alternate quickly.
TURNS, TURN_SYNCS, TURN_S = 4, 100, 60


def measure(bench):
    with bench.stage() as stage:
        kept = Node(stage, "kept", stage.directory("kept.data"))
        in_memory = Node(stage, "memory")
        _throughput(bench, kept, in_memory)
        _alone(bench, kept, BareSync(stage.scratch / "bare"))


def _throughput(bench, kept, in_memory):
    increments, syncs = [], []

    def durable():
        before, syncs_before = kept.count(), kept.metric("journal_syncs_total")
        line = throughput([kept.url], CONNECTIONS, bench.seconds)
        syncs.append(kept.metric("journal_syncs_total") - syncs_before)
        grown = kept.count() - before
        _must_be(line, grown)
        increments.append(grown)
        return line["per_second"]

    def volatile():
        before = in_memory.count()
        line = throughput([in_memory.url], CONNECTIONS, bench.seconds)
        _must_be(line, in_memory.count() - before)
        return line["per_second"]

    found = bench.in_turn(durable=durable, volatile=volatile)
    bench.results.compare(
        f"`POST /increment`, {CONNECTIONS} connections", found["durable"], found["volatile"],
        "Quipu in memory", least=0.5,
    )
    bench.results.figure(
        "fdatasyncs in these rounds",
        f"{sum(syncs):,.0f}",
        f"for {sum(increments):,} increments, {sum(increments) / sum(syncs):.1f} each",
    )


def _must_be(line, grown):
    if not line["acknowledged"] <= grown <= line["acknowledged"] + line["unanswered"]:
        raise Failed(f"expected {line['acknowledged']:.0f} to be counted, found {grown}")


def _alone(bench, kept, bare):
    def increment_us():
        return throughput([kept.url], 1, TURN_S, "--requests", TURN_SYNCS)["p50_us"]

    def bare_us():
        return statistics.median(bare.times(TURN_SYNCS))

    ours, theirs = [], []
    for _ in range(TURNS):
        found = bench.in_turn(ours=increment_us, bare=bare_us)
        ours += found["ours"]
        theirs += found["bare"]
    bench.results.compare(
        "one lone `POST /increment`, p50", ours, theirs, "one bare fdatasync",
        unit="µs", most=2,
    )
