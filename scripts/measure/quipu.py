"""Nodes of Quipu: started on ports of their own, asked, and stopped."""

import json
import re
import time
import urllib.request

from . import resp
from .stage import Failed, built, free_ports, within

START_S = 120
# What is promised: exact on every node within so long after the load ends.
AGREE_S = 1

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Node:
    """A node; of a data directory, or in memory without one."""

    def __init__(self, stage, name, directory=None, join=(), flags=()):
        self.stage, self.name, self.directory = stage, name, directory
        self.http, self.redis = free_ports(2)
        self.url = f"http://127.0.0.1:{self.http}"
        keeping = ["--data-dir", directory] if directory else ["--in-memory"]
        joining = ["--join", ",".join(f"127.0.0.1:{node.http}" for node in join)] if join else []
        command = [built("quipu"), "--http", f"127.0.0.1:{self.http}"]
        command += ["--redis", f"127.0.0.1:{self.redis}", "--disable-discovery"]
        began = time.monotonic()
        self.process = stage.start(name, [*command, *keeping, *joining, *flags])
        within(START_S, f"{name} is ready", self._is_ready, pause_s=0.002)
        self.ready_after_s = time.monotonic() - began

    def _is_ready(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.name} ended with {self.process.returncode} instead of starting")
        return self.get("/health") is not None

    def get(self, path):
        with _direct.open(self.url + path, timeout=10) as answer:
            return answer.read().decode()

    def count(self):
        return json.loads(self.get("/count"))["count"]

    def peers(self):
        return len(json.loads(self.get("/peers")))

    def metric(self, name):
        found = re.search(rf"^quipu_{name}(?:\{{[^}}]*\}})? (\S+)$", self.get("/metrics"), re.M)
        if not found:
            raise Failed(f"expected quipu_{name} in /metrics")
        return float(found[1])

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return 1024 * int(re.search(r"VmRSS:\s*(\d+)", status.read())[1])

    def client(self):
        return resp.Client(self.redis)

    def value(self, name):
        with self.client() as client:
            return int(client.call("GET", name) or 0)

    def stop(self):
        self.stage.stop(self.process)


def cluster(stage, name, size=3, durable=False, flags=()):
    """Nodes that know each other."""
    nodes = []
    for number in range(1, size + 1):
        directory = stage.directory(f"{name}{number}.data") if durable else None
        nodes.append(Node(stage, f"{name}{number}", directory, nodes[:1], flags))
    within(10, f"{size} nodes that know each other", lambda: all(n.peers() == size - 1 for n in nodes))
    return nodes


def must_agree(nodes, least, most, value):
    """Every node counts what was acknowledged; what was under way at the end may count or not."""

    def agree():
        values = {value(node) for node in nodes}
        return len(values) == 1 and least <= values.pop() <= most

    try:
        return within(AGREE_S, "agreement", agree)
    except Failed:
        seen = [value(node) for node in nodes]
        raise Failed(
            f"expected {least} to {most} on every node within {AGREE_S} s; saw {seen}"
        ) from None
