"""Greediness over a whole training."""

from __future__ import annotations

from metriscope.diagnostics.base import Score, diagnostic
from metriscope.types import Scores, Trace

_SCORES = (
    Score("active.terms", lower=0, upper=1),
    Score("active.samples", lower=0, upper=1),
    Score("active.literal", lower=0),
    Score("active.effective", lower=0, upper=1),
    Score("grad_norm.head", lower=0),
    Score("grad_norm.head.sd", lower=0),
    Score("grad_norm.loss", lower=0),
    Score("grad_norm.loss.sd", lower=0),
)


@diagnostic("training_means", reads="trace", group="greediness", scores=_SCORES)
def training_means(trace: Trace) -> Scores:
    """Means over the epochs of training of active shares and gradient norms.

    Formula: (1/E) Σ_{e=1..E} x_e of each column; epoch 0, before any update, is left out, and so
    are epochs where the column is undefined. ``grad_norm.head.sd`` and ``grad_norm.loss.sd`` are
    means over epochs of the SD over steps.

    Bounds: those of each column. Undefined where the column is missing or has no value.
    Source: the paper, section 4.
    """
    scores: Scores = {}
    for score in _SCORES:
        values = [value for value in trace.get(score.name, [])[1:] if value is not None]
        scores[score.name] = sum(values) / len(values) if values else None
    return scores
