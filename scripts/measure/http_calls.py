"""HTTP: `POST /increment` beside the least that axum can do, three nodes at once, `/batch`."""

import json
import re
import socket

from .load import throughput
from .quipu import cluster, must_agree
from .stage import example, free_ports, missing, output, within

TITLE = "HTTP, 32 connections"
CONNECTIONS = 32
MILLION = 1_000_000
OPERATIONS = 1000


def measure(bench):
    with bench.stage() as stage:
        nodes = cluster(stage, "node")
        (port,) = free_ports(1)
        bare = f"http://127.0.0.1:{port}"
        stage.start("bare_axum", [example("bare_axum"), f"127.0.0.1:{port}"])
        within(5, "the bare handler answers", lambda: _answers(port))
        _beside_bare(bench, nodes, bare)
        _beside_bare_by_wrk(bench, stage, nodes, bare)
        _all_nodes(bench, nodes)
        _batches(bench, stage, nodes)
        _bytes_on_a_link(bench, nodes)


def _answers(port):
    socket.create_connection(("127.0.0.1", port), 1).close()
    return True


def _beside_bare(bench, nodes, bare):
    latencies = {"ours": [], "bare": []}

    def ours():
        before = nodes[0].count()
        line = throughput([nodes[0].url], CONNECTIONS, bench.seconds)
        _must_count(nodes, before, line)
        latencies["ours"].append(line["p99_us"])
        return line["per_second"]

    def theirs():
        line = throughput([bare], CONNECTIONS, bench.seconds)
        latencies["bare"].append(line["p99_us"])
        return line["per_second"]

    found = bench.in_turn(ours=ours, bare=theirs)
    what = "`POST /increment` on one node of three"
    bench.results.compare(what, found["ours"], found["bare"], "a bare axum handler", least=0.5)
    bench.results.compare(
        f"{what}, p99", latencies["ours"], latencies["bare"], "a bare axum handler", unit="µs"
    )


def _beside_bare_by_wrk(bench, stage, nodes, bare):
    what = "the same, measured by wrk"
    if missing("wrk"):
        bench.results.skipped(what, "wrk is not installed")
        return
    script = stage.scratch / "post.lua"
    script.write_text('wrk.method = "POST"\n')

    def run(url):
        command = ["wrk", "--threads", 1, "--connections", CONNECTIONS, "--script", script]
        seconds = max(1, round(bench.seconds))
        said = output(*command, "--duration", f"{seconds}s", f"{url}/increment")
        return int(re.search(r"(\d+) requests in", said)[1]), float(
            re.search(r"Requests/sec:\s*(\S+)", said)[1]
        )

    def ours():
        before = nodes[0].count()
        answered, per_second = run(nodes[0].url)
        _must_count(nodes, before, {"acknowledged": answered, "unanswered": CONNECTIONS})
        return per_second

    found = bench.in_turn(ours=ours, bare=lambda: run(bare)[1])
    bench.results.compare(what, found["ours"], found["bare"], "a bare axum handler", least=0.5)


def _must_count(nodes, before, line):
    least = before + int(line["acknowledged"])
    most = least + int(line["unanswered"])
    return must_agree(nodes, least, most, lambda node: node.count())


def _all_nodes(bench, nodes):
    before = nodes[0].count()
    line = throughput([node.url for node in nodes], 8, 10)
    took_s = _must_count(nodes, before, line)
    bench.results.figure(
        "8 connections to each of three nodes for 10 s: all nodes exact, after the load ended",
        f"{1000 * took_s:.0f} ms",
        f"{line['acknowledged']:,.0f} acknowledged, {line['unanswered']:.0f} unanswered",
        "≤ 1 s",
        True,
    )


def _batches(bench, stage, nodes):
    body = stage.scratch / "batch.json"
    operations = [
        {"op": "increment", "name": f"batch:{number:014d}"} for number in range(OPERATIONS)
    ]
    body.write_text(json.dumps({"operations": operations}))
    found = []
    for _ in range(bench.rounds):
        before = nodes[0].value("batch:00000000000000")
        line = throughput([nodes[0].url], CONNECTIONS, bench.seconds, "--path", "/batch", "--body", body)
        least = before + int(line["acknowledged"])
        most = least + int(line["unanswered"])
        for name in ("batch:00000000000000", f"batch:{OPERATIONS - 1:014d}"):
            must_agree(nodes, least, most, lambda node, name=name: node.value(name))
        found.append(OPERATIONS * line["per_second"])
    found.sort()
    median = found[len(found) // 2]
    bench.results.figure(
        f"`POST /batch` of {OPERATIONS:,} increments of as many names",
        f"{median:,.0f} operations/s",
        f"{found[0]:,.0f} to {found[-1]:,.0f} in {bench.rounds} rounds",
    )


def _bytes_on_a_link(bench, nodes):
    def moved():
        return sum(nodes[0].metric(f"link_{way}_bytes_total") for way in ("sent", "received"))

    before, moved_before = nodes[0].count(), moved()
    line = throughput([nodes[0].url], CONNECTIONS, 600, "--requests", MILLION)
    _must_count(nodes, before, line)
    bytes_each = (moved() - moved_before) / 2
    bench.results.figure(
        f"{MILLION:,} increments of one counter, over each link, both ways",
        f"{bytes_each / 1e6:.2f} MB",
        f"in {line['seconds']:.1f} s",
        "< 1 MB",
        bytes_each < 1e6,
    )
