"""All trials as one count."""

from __future__ import annotations

from metriscope import grid


class Counted:
    """An observer of all trials as one count: the grid begins a new one with every proposal.

    Args:
        observer: who is told. trials: how many there will be.
    """

    def __init__(self, observer: grid.Observer, trials: int) -> None:
        self.observer, self.trials, self.begun = observer, trials, False
        self.epoch, self.finished = observer.epoch, observer.finished

    def plan(self, runs: int, what: str = "runs") -> None:
        """Only the first time, and all of them."""
        if not self.begun:
            self.observer.plan(self.trials, "trials")
        self.begun = True
