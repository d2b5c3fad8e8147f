"""MS102: all embeddings point one way."""

from __future__ import annotations

from metriscope.findings._space import (
    SEE_MS101,
    is_collapsed,
    structure_inside,
)
from metriscope.findings.base import (
    NotApplicable,
    Passed,
    Subject,
    Verdict,
    above_chance,
    finding,
    score,
)
from metriscope.types import Finding

THRESHOLD = 0.9


@finding("ms102_cone", title="direction that all embeddings share", of=("run", "space"))
def ms102_cone(subject: Subject) -> Verdict:
    """Cone: the embeddings share one direction, and the classes differ only in what is left.

    Fires where ``centre.norm_sq`` = ‖g‖² > 0.9, g the mean of the class centres: then the mean
    cosine of two class centres is above about 0.9, so at most a tenth of the sphere's reach
    separates classes. A loss that repels classes ends near 0. It is a warning while Recall@1 is
    above twice chance (1/C), and a problem otherwise. Whether structure is left inside is read
    from the centred effective rank: half of min(C − 1, d) or more is structure, as in MS103. Not
    asked where MS101 holds.
    """
    centre = score(subject, "centre.norm_sq")
    if centre is None:
        return NotApplicable("the centre of the space is not known.")
    if is_collapsed(subject):
        return NotApplicable(SEE_MS101)
    if centre <= THRESHOLD:
        return Passed(centre, THRESHOLD)
    ordered, recall = above_chance(subject), score(subject, "recall@1")
    says = "" if recall is None else f" Recall@1 is {recall:.3f}"
    if recall is not None and ordered is not None:
        says += ": neighbours are still in order" if ordered else ": little better than chance"
    inside, left = structure_inside(subject)
    return Finding(
        code="MS102",
        severity="problem" if ordered is False else "warning",
        title="all embeddings lie in a narrow cone",
        message=f"The squared length of the overall centre is {centre:.3f} (1: all point one way)."
        + (says + "." if says else "")
        + inside,
        value=centre,
        threshold=THRESHOLD,
        cause="nothing in the loss pushes all embeddings apart, or training ended before it could; "
        "cosine thresholds and quantised indexes lose most of their resolution here.",
        next_step="more epochs, a larger learning rate, or a loss that repels all negatives."
        if left is False
        else "centring the embeddings (subtract the training mean) before indexing; or more "
        "epochs, a larger learning rate.",
        verify=f"centre.norm_sq falls below {THRESHOLD:g}, and Recall@1 does not fall.",
    )
