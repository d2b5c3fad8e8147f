"""MS101: all embeddings are nearly the same vector."""

from __future__ import annotations

from metriscope.findings._space import COLLAPSED as THRESHOLD
from metriscope.findings._space import structure_inside
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


@finding("ms101_collapsed", title="spread of the whole space", of=("run", "space"))
def ms101_collapsed(subject: Subject) -> Verdict:
    """Collapsed space: the embeddings have almost no spread.

    Fires where ``spread.total`` = mean ‖z − z̄‖² < 0.01. Two random unit vectors then have a mean
    cosine distance of about 0.01, an angle of 8°: less than half precision or a quantised index
    resolves well. A trained space lies between 0.3 and 1. Nearest neighbours may still be ordered
    by what little is left, so Recall@1 alone does not show it. Where they are (Recall@1 above twice
    1/C), and the effective rank about the mean is half of min(C − 1, d) or more, as in MS102, a
    constant hides the classes: an offset of all embeddings, which can be subtracted. With a gallery
    the smaller of its spread, ``gallery.spread``, and that of the examined rows is judged.
    """
    spread, of_gallery = score(subject, "spread.total"), score(subject, "gallery.spread")
    where, name = "embeddings", "spread.total"
    if of_gallery is not None and (spread is None or of_gallery < spread):
        spread, where, name = of_gallery, "rows of the gallery", "gallery.spread"
    if spread is None:
        return NotApplicable("the spread of the space is not known.")
    if subject.about.get("rows") == 1:
        return NotApplicable("one row has no spread.")
    if spread >= THRESHOLD:
        return Passed(spread, THRESHOLD)
    recall = score(subject, "recall@1")
    still = f" Recall@1 is {recall:.3f}, out of tiny differences." if recall is not None else ""
    inside, left = structure_inside(subject)
    offset = bool(left and above_chance(subject)) and name == "spread.total"
    return Finding(
        code="MS101",
        severity="problem",
        title="almost no spread, the space has collapsed",
        message=f"The mean squared distance to the overall centre is {spread:.2g} (of at most 1): "
        f"all {where} are nearly the same vector.{still}{inside if offset else ''}",
        value=spread,
        threshold=THRESHOLD,
        cause="an offset that all embeddings share (a constant coordinate, a large bias, features "
        "that were never centred), or a loss that nothing kept from it: the classes are intact."
        if offset
        else "a gallery that is one row, a constant, or the output of a collapsed network."
        if name != "spread.total"
        else "the loss is smaller, or no larger, when all embeddings coincide than on the way to "
        "separated classes; hard mining and a high learning rate lead there.",
        next_step="subtract the mean of the embeddings (of the training part, in float64) before "
        "normalising them, then diagnose again."
        if offset
        else "check how the gallery was made, and diagnose it by itself."
        if name != "spread.total"
        else "a smaller margin, semi-hard or no mining, or a loss that repels all negatives "
        "(contrastive, scl, infonce).",
        verify=f"{name} rises above {THRESHOLD:g}; a trained space lies between 0.3 and 1.",
    )
