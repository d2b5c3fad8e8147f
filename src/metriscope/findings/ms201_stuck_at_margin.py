"""MS201: a triplet loss that sits at its margin."""

from __future__ import annotations

import math

from metriscope.findings.base import (
    NotApplicable,
    Passed,
    Subject,
    Verdict,
    column,
    epochs,
    finding,
    score,
)
from metriscope.types import Finding

THRESHOLD = 0.05
SMALL_SPREAD = 0.1
SMALL_FALL = 0.05


@finding("ms201_stuck_at_margin", title="distance of the loss from its margin", of="run")
def ms201_stuck_at_margin(subject: Subject) -> Verdict:
    """Stuck at the margin: the loss has the value that it takes when all embeddings coincide.

    With all distances 0, max(0, d(a,p) − d(a,n) + m) is m for every term, whatever the mining, and
    log(1 + exp(0)) = log 2 with a soft margin. Fires where the last epoch's loss is within 5 % of
    that value, and either the space has little spread (``spread.total`` < 0.1) or the loss has
    fallen by less than 5 % since before training: one of these is needed, since a working loss can
    pass the value on its way down. Triplet with mean reduction and a margin above 0 only.
    """
    params, losses = subject.params, column(subject, "loss")
    margin = math.log(2) if params.get("soft") else params.get("margin") or 0.0
    if (
        subject.loss != "triplet"
        or params.get("reduction", "mean") != "mean"
        or margin <= 0
        or len(losses) < 2
        or epochs(subject) < 1
    ):
        return NotApplicable("needs a triplet loss with a margin, averaged over all terms.")
    off = abs(losses[-1] - margin) / margin
    spread = score(subject, "spread.total")
    flat = spread is not None and spread < SMALL_SPREAD
    fallen = (losses[0] - losses[-1]) / losses[0] if losses[0] > 0 else 0.0
    if off > THRESHOLD or not (flat or fallen < SMALL_FALL):
        return Passed(off, THRESHOLD)
    where = "log 2, the value of a soft margin" if params.get("soft") else f"the margin, {margin:g}"
    says = f", and the spread of the space is {spread:.2g} (of at most 1)" if flat else ""
    return Finding(
        code="MS201",
        severity="problem",
        title="the loss is stuck at its margin",
        message=f"The last epoch's loss is {losses[-1]:.4g}, {off:.1%} from {where}{says}: what "
        "the loss is when all embeddings coincide.",
        value=off,
        threshold=THRESHOLD,
        cause="the hardest negatives pull everything into one point, where every distance is 0, "
        "every term equals the margin, and gradients no longer tell classes apart.",
        next_step="--set triplet.margin=0.2, --set triplet.mining=semi_hard or batch_all, or a "
        "soft margin; then a smaller learning rate.",
    )
