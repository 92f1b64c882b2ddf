"""One part's run: how long, on what stage, with what found."""

from dataclasses import dataclass

from . import page
from .stage import Stage


@dataclass
class Bench:
    rounds: int
    seconds: float
    huge: bool
    results: page.Results

    def stage(self):
        return Stage()

    def in_turn(self, **contenders):
        """Lets each measure once a round, and hands back each one's figures.

        The one that begins changes, so that what a round leaves behind (dirty pages, a warm
        processor) does not always meet the same one.
        """
        found = {name: [] for name in contenders}
        names = list(contenders)
        for round_number in range(self.rounds):
            for name in names[round_number % len(names) :] + names[: round_number % len(names)]:
                found[name].append(contenders[name]())
        return found
