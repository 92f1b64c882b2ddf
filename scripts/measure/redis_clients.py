"""`redis-benchmark`, INCR from 50 connections: Quipu beside Redis.

In memory; every acknowledgement on the disk; with two peers beside two replicas; and on a million
names instead of one. In memory also beside a server that answers and counts nothing, which tells how
much of a difference redis-benchmark can show on this machine.
"""

import csv
import resource
import statistics

from . import resp
from .quipu import Node, cluster, must_agree
from .stage import Failed, example, free_ports, missing, output, processor_s, within

TITLE = "`redis-benchmark` INCR, 50 connections"
CONNECTIONS = 50
MILLION = 1_000_000
HOT = "hits"
# A first look at how fast a server is, so that a round can be given as many requests as fill it.
LOOK_REQUESTS = 20_000
# How long two replicas may take to have what their primary has.
FOLLOW_S = 10

IN_MEMORY = ["--save", "", "--appendonly", "no"]
ON_DISK = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]


class Redis:
    """A Redis server with a directory of its own."""

    def __init__(self, stage, name, options, primary=None):
        (self.redis,) = free_ports(1)
        command = ["redis-server", "--port", self.redis, "--bind", "127.0.0.1", *options]
        command += ["--dir", stage.directory(f"{name}.data"), "--daemonize", "no"]
        # Else it waits for more replicas before it begins with the first.
        command += ["--repl-diskless-sync-delay", 0]
        if primary:
            command += ["--replicaof", f"127.0.0.1 {primary.redis}"]
        self.process = stage.start(name, command)
        within(10, f"{name} answers", lambda: self._call("PING") == b"PONG")

    def _call(self, *words):
        with resp.Client(self.redis) as client:
            return client.call(*words)

    def value(self, name):
        return int(self._call("GET", name) or 0)

    def has_replicas(self, count):
        return self._call("INFO", "replication").count(b"state=online") == count


class Bare:
    """A server that answers whatever it is told, and knows nothing."""

    def __init__(self, stage):
        (self.redis,) = free_ports(1)
        command = [example("bare_resp"), f"127.0.0.1:{self.redis}"]
        self.process = stage.start("bare_resp", command)
        within(5, "the bare server answers", self._answers)

    def _answers(self):
        with resp.Client(self.redis) as client:
            return client.call("INCR", HOT) == 1_000_000

    def value(self, _name):
        return None


def measure(bench):
    if lacks := missing("redis-server", "redis-benchmark"):
        bench.results.skipped("all of this part", f"{lacks} is not installed")
        return
    _in_memory(bench)
    _durable(bench)
    _replicated(bench)
    bench.results.note(
        "redis-benchmark works in one thread, and what it takes itself for an increment is its limit: "
        "1,000 ns are 1,000,000 a second at most, however quick the server is. No server can be shown "
        "to be more than the ratio in the row of that limit, and one that only answers, one "
        "connection after the other, is no quicker than its own row says."
    )


def _in_memory(bench):
    with bench.stage() as stage:
        ours, theirs, bare = Node(stage, "quipu"), Redis(stage, "redis", IN_MEMORY), Bare(stage)
        for pipeline, goal in ((1, 1.0), (16, 1.4), (64, 2.5)):
            what = f"in memory, pipeline {pipeline}"
            _side_by_side(bench, what, pipeline, ours, theirs, goal, bare=bare)
        for server in (ours, theirs):
            with resp.Client(server.redis) as client:
                _create_names(client)
        names = f"in memory, pipeline 16, random names of {MILLION:,}"
        _side_by_side(bench, names, 16, ours, theirs, 1.4, "key:__rand_int__", bare)


def _durable(bench):
    with bench.stage() as stage:
        ours = Node(stage, "quipu", stage.directory("quipu.data"))
        theirs = Redis(stage, "redis", ON_DISK)
        for pipeline, goal in ((1, None), (16, 2.0), (64, None)):
            _side_by_side(bench, f"synced always, pipeline {pipeline}", pipeline, ours, theirs, goal)


def _replicated(bench):
    with bench.stage() as stage:
        nodes = cluster(stage, "quipu")
        primary = Redis(stage, "redis", IN_MEMORY)
        replicas = [Redis(stage, f"replica{n}", IN_MEMORY, primary) for n in (1, 2)]
        within(FOLLOW_S, "two replicas", lambda: primary.has_replicas(2))
        for pipeline in (1, 16, 64):
            what = f"two peers beside two replicas, pipeline {pipeline}"
            _side_by_side(bench, what, pipeline, nodes[0], primary, None)
        value = nodes[0].value(HOT)
        must_agree(nodes, value, value, lambda node: node.value(HOT))
        value = primary.value(HOT)
        within(FOLLOW_S, "equal replicas", lambda: all(r.value(HOT) == value for r in replicas))


def _side_by_side(bench, what, pipeline, ours, theirs, goal, key=HOT, bare=None):
    """Throughput beside throughput; and, since on two processors the one thread of redis-benchmark
    is often what ends first, what an increment costs each server, and what it costs the generator.
    """
    contenders = {"ours": ours, "theirs": theirs} | ({"bare": bare} if bare else {})
    costs = {name: [] for name in contenders}
    rounds = {
        name: _rounds(server, pipeline, bench.seconds, key, costs[name])
        for name, server in contenders.items()
    }
    found = bench.in_turn(**rounds)
    bench.results.compare(what, found["ours"], found["theirs"], "Redis", least=goal)
    if bare:
        nothing = "a server that counts nothing"
        ratio = statistics.median(found["bare"]) / statistics.median(found["theirs"])
        bench.results.compare(f"{what}, beside {nothing}", found["ours"], found["bare"], "it")
        bench.results.figure(f"{what}: {nothing}, beside Redis", f"{ratio:.2f}x")
    if goal:
        # What costs the generator least is what it could send most of, if it waited for nothing.
        least_ns = min(statistics.median(sent for _, sent in cost) for cost in costs.values())
        row = f"{what}: the most that redis-benchmark's thread could send"
        bench.results.compare(row, [1e9 / least_ns], found["theirs"], "Redis")
    for of, whose in enumerate(("the server", "redis-benchmark")):
        spent = ([cost[of] for cost in costs[name]] for name in ("ours", "theirs"))
        row = f"{what}: processor time of {whose}, an increment"
        bench.results.compare(row, *spent, "Redis", unit="ns")


def _rounds(server, pipeline, seconds, key, costs):
    """A round: as many requests as fill the time."""
    rate = _per_second(server, pipeline, LOOK_REQUESTS, key)
    rate = _per_second(server, pipeline, _whole(rate * seconds / 4, pipeline), key)
    requests = _whole(rate * seconds, pipeline)

    def round_():
        served, sent = processor_s(server.process.pid), _children_s()
        rate = _per_second(server, pipeline, requests, key)
        served, sent = processor_s(server.process.pid) - served, _children_s() - sent
        costs.append((1e9 * served / requests, 1e9 * sent / requests))
        return rate

    return round_


def _children_s():
    """How much of a processor programs have used that were run and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _whole(requests, pipeline):
    """So many that every connection sends whole pipelines."""
    unit = CONNECTIONS * pipeline
    return max(1, round(requests / unit)) * unit


def _per_second(server, pipeline, requests, key):
    """One run; what it acknowledged must have been counted."""
    command = ["redis-benchmark", "-h", "127.0.0.1", "-p", server.redis, "-c", CONNECTIONS]
    command += ["-n", requests, "-P", pipeline, "--csv"]
    command += ["-r", MILLION] if key != HOT else []
    before = server.value(HOT)
    answer = output(*command, "INCR", key)
    # The generator stops at the number, and connections may have a pipeline more under way.
    if key == HOT and before is not None:
        grown = server.value(HOT) - before
        if not requests <= grown <= requests + CONNECTIONS * pipeline:
            raise Failed(f"expected {requests} to be counted, found {grown}")
    rows = [row for row in csv.reader(answer.splitlines()) if len(row) > 1]
    return float(rows[-1][1])


def _create_names(client):
    """So that what is measured is counting, and not the growth of a table."""
    for first in range(0, MILLION, resp.PIPELINE):
        numbers = range(first, min(first + resp.PIPELINE, MILLION))
        client.pipeline([(b"INCR", b"key:%012d" % number) for number in numbers])
