"""MS302: a loss that retrieves clearly worse than the best one here."""

from __future__ import annotations

from metriscope.findings._space import COLLAPSED
from metriscope.findings.base import (
    NotApplicable,
    Passed,
    Subject,
    Verdict,
    column,
    finding,
    queries,
    score,
    standard_error,
)
from metriscope.types import Finding, Results

STANDARD_ERRORS = 5.0
STILL_FALLING = 0.05
LITTLE = 0.02  # of the loss before training: a whole fall below it is no fall, see MS202


@finding("ms302_below_best_loss", title="retrieval beside the best loss", of="run")
def ms302_below_best_loss(subject: Subject) -> Verdict:
    """Below the best loss: Recall@1 is over 5 standard errors below the best loss's mean.

    The standard error is that of one share over the n test queries, √(p(1−p)/n). 5 of them is far
    outside what drawing other queries would do, even after choosing the best of many losses, and
    leaves room for the spread over seeds. The likely reason is read from the run: no spread, a
    loss still falling (over 5 % of its whole fall in the last fifth of the epochs), or neither.
    """
    recall, n = score(subject, "recall@1"), queries(subject, subject.about)
    means = _means(subject.results)
    if recall is None or n < 1 or len(means) < 2:
        return NotApplicable("needs two losses with a Recall@1.")
    best = max(means, key=lambda name: means[name])
    limit = -STANDARD_ERRORS * standard_error(recall, means[best], n)
    if subject.loss == best or recall - means[best] >= limit:
        return Passed(recall - means[best], limit)
    cause, next_step = _reason(subject)
    return Finding(
        code="MS302",
        severity="warning",
        title="did not reach the best loss",
        message=f"Recall@1 is {recall:.3f}; {best} reaches {means[best]:.3f} on average here "
        f"({n:,} test queries).",
        value=recall - means[best],
        threshold=limit,
        cause=cause,
        next_step=next_step,
    )


def _means(results: Results) -> dict[str, float]:
    """Mean Recall@1 of each loss that has one."""
    means = {}
    for loss, runs in results.by_loss().items():
        found = [score(run, "recall@1") for run in runs if run.status == "done"]
        values = [v for v in found if v is not None]
        if values:
            means[loss] = sum(values) / len(values)
    return means


def _reason(subject: Subject) -> tuple[str, str]:
    spread, losses = score(subject, "spread.total"), column(subject, "loss")
    if spread is not None and spread < COLLAPSED:
        return "the space has almost no spread: see MS101.", "what MS101 suggests."
    whole = losses[0] - losses[-1] if losses else 0.0
    tail = losses[-1 - max(len(losses) // 5, 1)] - losses[-1] if len(losses) > 1 else 0.0
    if whole > LITTLE * abs(losses[0]) and whole >= tail > STILL_FALLING * whole:
        share = f"{tail / whole:.0%}"
        return (
            f"it was still learning: {share} of its fall came in the last fifth of the epochs.",
            "more --epochs, or a larger learning rate for this loss.",
        )
    return (
        "its loss had settled: on this data it ends in a geometry that orders neighbours less "
        "well.",
        "other parameters of this loss (margin, temperature, scale), or the best loss.",
    )
