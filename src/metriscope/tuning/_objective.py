"""What the settings of a loss are chosen by."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from metriscope.recommendation.goals import AIMS, TRACE, Goal
from metriscope.types import RunResult


@dataclass(frozen=True)
class Objective:
    """What is chosen by: a number of the validation part.

    Attributes:
        score: what it is called. better: ``higher`` or ``lower``.
        value: of a finished run; None where it has none.
    """

    score: str
    better: str
    value: Callable[[RunResult], float | None]


def objective(goal: Goal) -> Objective:
    """Of a goal: its score, as the recommendation reads it, but for ``fast``.

    There it is the mean validation Recall@1 over the epochs, high where it is high early and stays
    high. The epochs to a target cannot be: the target is a share of what the best loss reaches,
    and that is not known before the trials are done.
    """
    if goal == "fast":
        return Objective(f"{TRACE}, mean over epochs", "higher", _mean_over_epochs)
    aim = AIMS[goal]
    return Objective(aim.score, aim.better, lambda run: run.scores.get(aim.score))


def _mean_over_epochs(run: RunResult) -> float | None:
    values = run.trace.get(TRACE, [])[1:]
    known = [v for v in values if v is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(values) else None
