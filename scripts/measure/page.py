"""What was found, as one table.

Parts are kept in target/bench, one file each, so that one can be measured again without the others.
"""

import datetime
import json
import pathlib
import statistics

from . import machine

KEPT = pathlib.Path("target/bench")
# From here on others weigh on the figures, unevenly.
CALM_BUSY_PERCENT = 20


class Results:
    def __init__(self, title):
        self.title = title
        self.rows = []
        self.notes = []
        self.rounds = []
        self.measured = ""

    def begin(self, busy_percent, load):
        now = datetime.datetime.now(datetime.timezone.utc)
        self.measured = (
            f"{now:%F %H:%M} UTC, commit {machine.commit()}; before it began others used "
            f"{busy_percent}% of the processors, load average {load:.1f}"
        )
        if busy_percent > CALM_BUSY_PERCENT:
            self.measured += "; **not a calm machine: these figures are rough**"

    def compare(self, what, ours, theirs, whose, unit="/s", least=None, most=None):
        """A row of medians: ours, theirs, ratio. The goal is a ratio, of at least or at most."""
        mine, other = statistics.median(ours), statistics.median(theirs)
        ratio = mine / other
        goal, holds = "", ""
        if least is not None:
            goal, holds = f"≥ {least}x", ratio >= least
        if most is not None:
            goal, holds = f"≤ {most}x", ratio <= most
        self._row(what, f"{number(mine)} {unit}", f"{whose}: {number(other)} {unit}", f"{ratio:.2f}x", goal, holds)
        self.rounds.append((what, unit, ours, whose, theirs))

    def figure(self, what, ours, beside="", goal="", holds=""):
        self._row(what, ours, beside, "", goal, holds)

    def skipped(self, what, why):
        self._row(what, f"**not measured: {why}**", "", "", "", "")

    def note(self, text):
        print(f"  {text}", flush=True)
        self.notes.append(text)

    def _row(self, what, ours, beside, ratio, goal, holds):
        row = [what, ours, beside, ratio, goal, {True: "yes", False: "**no**"}.get(holds, "")]
        print("  " + " | ".join(cell for cell in row if cell), flush=True)
        self.rows.append(row)


def number(value):
    """As many digits as mean something."""
    if value >= 1000:
        return f"{float(f'{value:.4g}'):,.0f}"
    return f"{value:.3g}"


def microseconds(value):
    return f"{value / 1000:.2f} ms"


def save(name, results):
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{name}.json").write_text(json.dumps(vars(results)))


def render(parts, description):
    lines = [
        "# Benchmarks",
        "",
        f"Written by `make bench`: {description}.",
        "Nodes, load and whatever is measured beside them share the processors, take turns, and are",
        "compared by the medians of their rounds; everything is on 127.0.0.1. Every round counted",
        "what it acknowledged, exactly.",
        "",
        "| | Quipu | beside it | ratio | goal | reached |",
        "|---|---|---|---|---|---|",
    ]
    notes, rounds = [], []
    for name, title in parts:
        file = KEPT / f"{name}.json"
        lines.append(f"| **{title}** | | | | | |")
        if not file.exists():
            lines.append(f"| `scripts/bench {name}` | **not measured** | | | | |")
            continue
        part = json.loads(file.read_text())
        lines += [f"| {' | '.join(row)} |" for row in part["rows"]]
        notes.append(f"- {title}: {part['measured']}.")
        notes += [f"  {note}" for note in part["notes"]]
        for what, unit, ours, whose, theirs in part["rounds"]:
            rounds.append(
                f"| {what} ({unit}) | {' '.join(map(number, ours))} | {whose}: {' '.join(map(number, theirs))} |"
            )
    lines += ["", "## When and how", "", *notes]
    lines += ["", "## The rounds behind the medians", "", "| | Quipu | beside it |", "|---|---|---|"]
    return "\n".join([*lines, *rounds]) + "\n"
