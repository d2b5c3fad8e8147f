"""MS201: a loss that sits where all embeddings coincide."""

from __future__ import annotations

from metriscope.findings._course import (
    ROWS,
    blind_value,
    loss_course,
    spread,
)
from metriscope.findings._floors import TRIPLETS
from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding
from metriscope.types import Finding

THRESHOLD = 0.05
SMALL_SPREAD = 0.1
SMALL_FALL = 0.05
_PAIRS = ("contrastive", "ContrastiveLoss")


@finding(
    "ms201_stuck_at_margin", title="distance of the loss from its margin", of=("run", "training")
)
def ms201_stuck_at_margin(subject: Subject) -> Verdict:
    """Stuck at the margin: the loss has the value that it takes when all embeddings coincide.

    With all distances 0, max(0, d(a,p) − d(a,n) + m) is m for every term, whatever the mining, and
    log(1 + exp(0)) = log 2 with a soft margin; a softmax over K wrong answers is log(1 + K). Fires
    where the last epoch's loss (under a monitor the median of its last rows) is within 5 % of that
    value, and either the space has little spread (``spread.total`` < 0.1) or, of triplets, the loss
    has fallen by less than 5 % since the start: one of these is needed, since a working loss can
    pass the value on its way down. Under a monitor all of the last six rows must be there, since
    training may also come back from it, and the spread must be small where it is known: with a
    small learning rate a soft margin stays within 5 % of log 2 for hundreds of healthy steps, and
    MS216 tells when that is no start. A loss averaged over its active terms is taken times their
    share. Not for a sum, a margin of 0, contrastive losses (their value is not a plateau) and those
    with class vectors.
    """
    triplet, losses, value = subject.loss in TRIPLETS, loss_course(subject), _value(subject)
    if value is None or losses is None or losses.start <= 0:
        return NotApplicable("needs a triplet or softmax loss of known parameters, averaged.")
    last = losses.values[-ROWS:] if subject.kind == "training" else ()
    off = max(abs(v - value) for v in (*last, losses.now)) / value
    near = spread(subject)
    flat = near is not None and near < SMALL_SPREAD
    still = triplet and losses.fallen < SMALL_FALL and (subject.kind == "run" or near is None)
    if off > THRESHOLD or not (flat or still):
        return Passed(off, THRESHOLD)
    where = f"the value, {value:.4g}, of embeddings that all coincide"
    if triplet:
        soft = subject.params.get("soft") or subject.params.get("smooth_loss")
        where = f"log 2, {value:.3g}, of a soft margin" if soft else f"its margin, {value:.4g}"
    says = f", and the spread of the space is {near:.2g} (of at most 1)" if flat else ""
    return Finding(
        code="MS201",
        severity="problem",
        title=f"the loss is stuck at {'its margin' if triplet else 'the value of one point'}",
        message=f"The loss is {losses.now:.4g}, within {off:.1%} of {where}{says}: "
        "what it is when positives are no nearer than negatives.",
        value=off,
        threshold=THRESHOLD,
        cause="the embeddings are nearly one point, where gradients no longer tell classes apart"
        + (": the hardest negatives pull there." if triplet else ": labels that cannot be learnt.")
        if flat or near is None
        else "the space is not collapsed, but its distances do not depend on the classes: too few "
        "or too small steps so far, or labels that do not belong to these inputs.",
        next_step=_next(subject),
        verify="the loss should leave that value, downwards, and spread.total rise above "
        f"{SMALL_SPREAD:g}.",
    )


def _value(subject: Subject) -> float | None:
    if subject.loss in _PAIRS:
        return None
    if subject.params.get("mining") == "semi_hard" and not subject.params.get("soft"):
        return subject.params.get("margin") or None
    return blind_value(subject) or None


def _next(subject: Subject) -> str:
    if subject.loss not in TRIPLETS:
        return "check that the labels belong to these inputs; then a smaller learning rate."
    if subject.kind == "run":
        return (
            "--set triplet.margin=0.2, --set triplet.mining=semi_hard or batch_all, or a "
            "soft margin; then a smaller learning rate."
        )
    return (
        "a smaller margin (0.2), semi-hard or no mining in place of the hardest, or a soft margin; "
        "then a learning rate ten times smaller, from a fresh start: a collapsed model stays so."
    )
