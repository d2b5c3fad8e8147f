"""MS206: a loss that is as low as it can be, although above zero."""

from __future__ import annotations

from metriscope.findings._course import AT_FLOOR, course, to_floor
from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding
from metriscope.types import Finding

WORTH_SAYING = 0.01
VIOLATED = 0.1


@finding("ms206_at_floor", title="loss above its floor", of=("run", "training"))
def ms206_at_floor(subject: Subject) -> Verdict:
    """At its floor: the loss looks stuck, and is as low as any embedding can make it.

    Floors above 0 (C classes, K = 2C/(C−1), P positives and N negatives of an anchor): triplet
    (m − √K)₊, contrastive (m − √K)₊² × share of negative pairs, N-pair and InfoNCE
    log(1 + N exp(−s C/(C−1))), SupCon log(P + N exp(−s C/(C−1))). They are bounds: no space is
    below. At the floor means less than 5 % of the way from the start (the loss at first, or that
    of embeddings which ignore the labels, if higher) to the floor is left. It is then done, which
    is said, and is no fault: but a warning where more than 10 % of the samples still anchor an
    active term, for then the loss is too soft, or its margin too large, to see what is left to
    learn: a sample in violation of a sharp softmax adds at least log 2 of its own. Floors below 1 %
    of the start say nothing.
    """
    near = to_floor(subject)
    if near is None or near.value < WORTH_SAYING * near.start:
        return NotApplicable("needs a loss whose lowest value is known, and above 0.")
    if near.left >= AT_FLOOR:
        return Passed(near.left, AT_FLOOR)
    active = course(subject, "active.samples")
    message = (
        f"The loss is {near.now:.4g}; the lowest that it can be here is {near.value:.4g}. "
        f"{max(near.left, 0):.1%} of the way is left: it is not stuck, nothing is left to learn."
    )
    if active is None or active.now <= VIOLATED:
        return Finding(
            "MS206", "ok", "the loss is at its floor: done", message, near.left, AT_FLOOR
        )
    return Finding(
        code="MS206",
        severity="warning",
        title="the loss is at its floor, with samples still in violation",
        message=f"{message} Yet {active.now:.0%} of the samples anchor an active term.",
        value=near.left,
        threshold=AT_FLOOR,
        cause="a softmax too soft, or a margin beyond reach: near the floor the loss no longer "
        "tells good neighbours from bad ones.",
        next_step="a smaller margin."
        if subject.params.get("margin")
        else "a lower temperature or a larger scale (1/16, 16); more steps with this one are idle.",
        verify="active.samples should fall, and Recall@1 of held-out data rise.",
    )
