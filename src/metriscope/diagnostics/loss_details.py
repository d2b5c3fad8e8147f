"""What a loss says of its own terms."""

from __future__ import annotations

from collections.abc import Mapping

from metriscope.diagnostics.base import Score, diagnostic
from metriscope.types import Share, Step


@diagnostic(
    "loss_details",
    reads="step",
    group="greediness",
    scores=[
        Score("active.terms.positive", lower=0, upper=1),
        Score("active.terms.negative", lower=0, upper=1),
        Score("loss.excess", lower=0),
        Score("error.top1", lower=0, upper=1),
        Score("terms.pairs", lower=0),
    ],
)
def loss_details(step: Step) -> Mapping[str, Share]:
    """Numbers that one loss alone can give, as trace columns under its names.

    Formulas (part over whole, Σ over the steps of an epoch):

    * contrastive: ``active.terms.positive`` and ``active.terms.negative``, the active shares of
      the two kinds of pairs. Positive pairs are practically always active; the negative side is
      the one that says how much is left to push apart.
    * SCL: ``loss.excess``, the mean of ℓ_i − log |P(i)|, which no embedding can undo.
    * ArcFace: ``error.top1``, the share of samples nearer to another proxy, the margin aside.
    * N-pair: ``terms.pairs``, the pairs used in a step.

    Bounds: shares in [0, 1], the others at least 0. Absent for losses that do not give them.
    Source: the papers of these losses, see their files.
    """
    return step.output.details
