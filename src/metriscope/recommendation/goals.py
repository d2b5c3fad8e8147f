"""What a person wants of a loss, as one number of the validation part."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from metriscope.statistics import Outcomes, gather, paired
from metriscope.types import Results, RunResult

Goal = Literal["top1", "recall@10", "compact", "fast"]
GOALS: tuple[Goal, ...] = ("top1", "recall@10", "compact", "fast")
TRACE = "val.recall@1"  # the column; of each epoch, of at most 1,000 validation rows
SAME = 1e-12  # means that differ by less are rounded differently, no more
SHARE = 0.98  # of the best loss's final mean, which is the target


@dataclass(frozen=True)
class Aim:
    """A goal as a number.

    Attributes:
        score: what it is called in results.
        better: ``higher`` or ``lower``.
        words: what it is, for a sentence. form: of a number. unit: of a difference.
    """

    score: str
    better: Literal["higher", "lower"]
    words: str
    form: str = ".3f"
    unit: str = ""

    def says(self, mean: float) -> str:
        """``Recall@1 0.682``."""
        return self.words.format(self.number(mean))

    def number(self, value: float) -> str:
        """``0.682``."""
        return format(value, self.form)

    def step(self, difference: float) -> str:
        """How large a difference is: ``0.012``, ``1.3 epochs``."""
        return f"{self.number(abs(difference))}{self.unit}"


AIMS: Mapping[Goal, Aim] = {
    "top1": Aim("val.recall@1", "higher", "Recall@1 {}"),
    "recall@10": Aim("val.recall@10", "higher", "Recall@10 {}"),
    # A ratio of cosine distances: a space that shrinks as a whole does not win by that.
    "compact": Aim(
        "val.density.pi_ratio",
        "lower",
        "the distance within classes is {} of that between them",
        ".3g",
    ),
    "fast": Aim(
        "epochs to 98 % of the best Recall@1",
        "lower",
        "{} epochs to 98 % of the best Recall@1",
        ".1f",
        " epochs",
    ),
}


def outcomes_for(goal: Goal, results: Results, folder: Path | None) -> Outcomes:
    """The number of every loss; of ``fast``, a run that never gets there counts one epoch more."""
    aim = AIMS[goal]
    if goal != "fast":
        found = gather(results, folder, aim.score, "validation")
        if goal == "compact":
            found = replace(found, lower=0.0)
        return replace(found, higher=aim.better == "higher")
    target = target_of(results)
    last = max((run.spec.epochs for run in results.runs), default=0)

    def epochs(run: RunResult) -> float | None:
        curve = _curve(run)
        if target is None or curve is None:
            return None
        first = _first(curve, target)
        return float(run.spec.epochs + 1 if first is None else first)

    found = paired(results, aim.score, epochs, higher=False, grain=1.0)[0]
    return replace(found, lower=0.0, upper=last + 1.0)


def at_start(results: Results, outcomes: Outcomes) -> str | None:
    """Why ``fast`` has no answer, where most runs are at the target before any update."""
    epochs = [float(one) for of in outcomes.values.values() for one in of[:, 0]]
    there = sum(epoch == 0 for epoch in epochs)
    if 2 * there <= len(epochs):
        return None
    return (
        f"Before any update the head already reaches {target_of(results) or 0:.3f}, "
        f"{100 * SHARE:.0f} % of the best loss's Recall@1, in {there} of {len(epochs)} runs: there "
        "is nothing to be fast at."
    )


def never(results: Results, outcomes: Outcomes) -> dict[str, int]:
    """Of each loss compared for ``fast``, in how many of its seeds the target was not reached."""
    target, runs = target_of(results), results.by_loss()
    return {
        loss: sum(
            target is not None
            and (curve := _curve(run)) is not None
            and _first(curve, target) is None
            for run in runs[loss]
            if run.spec.seed in outcomes.seeds
        )
        for loss in outcomes.values
    }


def target_of(results: Results) -> float | None:
    """98 % of the best loss's final validation Recall@1, over the seeds compared; None without."""

    def final(run: RunResult) -> float | None:
        curve = _curve(run)
        return curve[-1] if curve else None

    finals = paired(results, TRACE, final)[0].values.values()
    return SHARE * max(float(of.mean()) for of in finals) if finals else None


def epochs_to_target(results: Results) -> dict[str, tuple[int | None, ...]]:
    """Of each loss, for its finished runs: epochs until validation Recall@1 reaches the target.

    None of a run that never does; empty where no run has the curve.
    """
    target = target_of(results)
    if target is None:
        return {}
    return {
        loss: tuple(_first(curve, target) for run in runs if (curve := _curve(run)))
        for loss, runs in results.by_loss().items()
    }


def _curve(run: RunResult) -> Sequence[float] | None:
    """Validation Recall@1 before training and after each epoch; None without an end."""
    values = run.trace.get(TRACE) if run.status == "done" else None
    if not values or not _known(values[-1]):
        return None
    return [value if value is not None and _known(value) else -math.inf for value in values]


def _first(curve: Sequence[float], target: float) -> int | None:
    return next((epoch for epoch, value in enumerate(curve) if value >= target), None)


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
