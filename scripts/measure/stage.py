"""Where programs run while they are measured.

What is started here is stopped here, by its pid, however the run ends; what it wrote goes with it.
Data lies under target/, which is on a disk: /tmp need not be, and a sync in memory costs nothing.
"""

import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

STOP_GRACE_S = 10
LOG_LINES = 20


class Failed(Exception):
    """What was expected, and what was found."""


class Stage:
    def __enter__(self):
        target = pathlib.Path("target")
        target.mkdir(exist_ok=True)
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir=target)).resolve()
        self.processes = []
        self.logs = {}
        return self

    def __exit__(self, kind, *_):
        # A copy: who is stopped is struck off.
        for process in list(self.processes):
            self.stop(process)
        if kind and kind is not KeyboardInterrupt:
            self._show_logs()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def start(self, name, command):
        """Nothing in the environment is meant for what runs here, such as PORT, PEERS, QUIPU_…."""
        environment = {"PATH": os.environ.get("PATH", os.defpath)}
        log = open(self.scratch / f"{name}.log", "ab")
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
        )
        log.close()
        self.processes.append(process)
        self.logs[process.pid] = f"{name}.log"
        return process

    def stop(self, process):
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process in self.processes:
            self.processes.remove(process)

    def directory(self, name):
        path = self.scratch / name
        path.mkdir(exist_ok=True)
        return path

    def _show_logs(self):
        for log in sorted(self.scratch.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
            print(f"--- {log.name}", *lines, sep="\n", file=sys.stderr)


def built(name):
    return pathlib.Path("target/release", name).resolve()


def example(name):
    return built(f"examples/{name}")


def free_ports(count):
    """Ports of 127.0.0.1 that are free for TCP and UDP, held until all are found."""
    held, ports = [], []
    while len(ports) < count:
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        tcp.bind(("127.0.0.1", 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        held += [tcp, udp]
        try:
            udp.bind(tcp.getsockname())
        except OSError:
            continue
        ports.append(tcp.getsockname()[1])
    for one in held:
        one.close()
    return ports


def processor_s(pid):
    """How much of a processor a process has used, its threads together."""
    with open(f"/proc/{pid}/stat") as stat:
        user, system = stat.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def missing(*programs):
    """The first of these programs that this machine lacks, or None."""
    return next((program for program in programs if not shutil.which(program)), None)


def output(*command):
    """What a program prints; what it complains of is part of the failure."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def within(seconds, what, holds, pause_s=0.01):
    """Polls until the condition holds; hands back how many seconds that took."""
    start = time.monotonic()
    while True:
        try:
            if holds():
                return time.monotonic() - start
        except OSError:
            pass
        if time.monotonic() - start > seconds:
            raise Failed(f"expected within {seconds} s: {what}")
        time.sleep(pause_s)
