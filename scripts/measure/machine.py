"""What the figures were measured on, and who else was using it."""

import os
import platform
import re
import subprocess
import time

LOOK_S = 1


def busy_percent():
    """How much of all processors others use, looked at for a second while nothing of ours runs."""
    before = _ticks()
    time.sleep(LOOK_S)
    idle, total = (after - was for after, was in zip(_ticks(), before))
    return round(100 * (1 - idle / max(total, 1)))


def _ticks():
    with open("/proc/stat") as stat:
        ticks = [int(field) for field in stat.readline().split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def commit():
    """With a word if what is measured is not quite that commit; the page itself does not count."""
    changed = _said("git", "status", "--porcelain", "--", ".", ":!docs/benchmarks.md")
    said = _said("git", "rev-parse", "--short", "HEAD") or "unknown"
    return f"{said} with changes" if changed else said


def description():
    model = re.search(r"^model name\s*: (.*)$", open("/proc/cpuinfo").read(), re.MULTILINE)
    redis = re.search(r"v=(\S+)", _said("redis-server", "--version"))
    return ", ".join(
        [
            model[1] if model else platform.machine(),
            f"{os.cpu_count()} processors",
            f"{platform.system()} {platform.release()}",
            f"data on {_said('stat', '--file-system', '--format', '%T', 'target')}",
            " ".join(_said("rustc", "--version").split()[:2]),
            f"Redis {redis[1]}" if redis else "no Redis",
        ]
    )


def _said(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
