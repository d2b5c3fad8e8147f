"""MS101: all embeddings are nearly the same vector."""

from __future__ import annotations

from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding, score
from metriscope.types import Finding

THRESHOLD = 0.01


@finding("ms101_collapsed", title="spread of the whole space", of=("run", "space"))
def ms101_collapsed(subject: Subject) -> Verdict:
    """Collapsed space: the embeddings have almost no spread.

    Fires where ``spread.total`` = mean ‖z − z̄‖² < 0.01. Two random unit vectors then have a mean
    cosine distance of about 0.01, an angle of 8°: less than half precision or a quantised index
    resolves well. A trained space lies between 0.3 and 1. Nearest neighbours may still be ordered
    by what little is left, so Recall@1 alone does not show it.
    """
    spread = score(subject, "spread.total")
    if spread is None:
        return NotApplicable("the spread of the space is not known.")
    if spread >= THRESHOLD:
        return Passed(spread, THRESHOLD)
    recall = score(subject, "recall@1")
    still = f" Recall@1 is {recall:.3f}, out of tiny differences." if recall is not None else ""
    return Finding(
        code="MS101",
        severity="problem",
        title="almost no spread, the space has collapsed",
        message=f"The mean squared distance to the overall centre is {spread:.2g} (of at most 1): "
        f"all embeddings are nearly the same vector.{still}",
        value=spread,
        threshold=THRESHOLD,
        cause="the loss is smaller, or no larger, when all embeddings coincide than on the way to "
        "separated classes; hard mining and a high learning rate lead there.",
        next_step="a smaller margin, semi-hard or no mining, or a loss that repels all negatives "
        "(contrastive, scl, infonce).",
        verify=f"spread.total rises above {THRESHOLD:g}; a trained space lies between 0.3 and 1.",
    )
