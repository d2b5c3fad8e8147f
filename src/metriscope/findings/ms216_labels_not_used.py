"""MS216: a loss no lower than that of embeddings which ignore the labels."""

from __future__ import annotations

from metriscope.findings._course import averages_active, blind_value, loss_course
from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding
from metriscope.findings.ms201_stuck_at_margin import ms201_stuck_at_margin
from metriscope.types import Finding

MIN_STEPS = 500
FALLING = 0.02


@finding("ms216_labels_not_used", title="loss beside that of ignored labels", of="training")
def ms216_labels_not_used(subject: Subject) -> Verdict:
    """Labels not used: the loss is where embeddings that know nothing of the labels could be.

    A bound: where positive and negative distances are drawn alike, the mean loss is at least m for
    triplets, m²·p·q for contrastive (p, q the shares of positive and negative pairs), log(1 + K)
    for a softmax over K wrong answers (log(B − 1) for SupCon). A loss below it has learnt something
    of the labels. Fires where it is not below after 500 steps, and no longer falling: the median of
    the second half of the rows is less than 2 % below that of the first. Not where it is stuck in
    one point (MS201).
    """
    losses, bound = loss_course(subject), blind_value(subject)
    if losses is None or not bound or averages_active(subject):
        return NotApplicable("needs a loss whose value without labels is known.")
    if int(subject.about.get("steps") or 0) < MIN_STEPS:
        return NotApplicable(f"needs {MIN_STEPS} steps.")
    if isinstance(ms201_stuck_at_margin(subject), Finding):
        return NotApplicable("the loss is stuck in one point: MS201.")
    value = losses.now / bound
    if value < 1 or losses.falling > FALLING:
        return Passed(value, 1.0)
    return Finding(
        code="MS216",
        severity="warning",
        title="the labels are not used",
        message=f"The loss is {losses.now:.4g} and no longer falls; embeddings that ignore the "
        f"labels could have {bound:.4g}.",
        value=value,
        threshold=1.0,
        cause="labels that do not belong to these inputs (another order, another file), that the "
        "inputs do not contain, or a learning rate far too small or too large.",
        next_step="look at some inputs beside their labels; then a learning rate ten times larger, "
        "or smaller if the loss jumps.",
        verify=f"the loss should fall below {bound:.4g}.",
    )
