"""The same number of trials for every loss, over its own parameters and the learning rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from metriscope.types import RunResult, RunSpec

Run = Callable[[Sequence[RunSpec]], list[RunResult]]  # does what is not done yet


@dataclass(frozen=True)
class Tuned:
    """What the trials found.

    Attributes:
        specs: those of the comparison, each loss at its best settings.
        trials: every run that was tried, in order.
        about: plain JSON: ``budget``, ``goal``, ``score``, and by loss ``best`` (settings),
            ``default`` and ``value`` (scores), ``trials`` (settings and value of each).
    """

    specs: tuple[RunSpec, ...]
    trials: tuple[RunResult, ...]
    about: dict[str, Any]


def tune(specs: Sequence[RunSpec], trials: int, goal: str, run: Run) -> Tuned:
    """Try settings of every loss on the validation part, with the first seed."""
    raise NotImplementedError
