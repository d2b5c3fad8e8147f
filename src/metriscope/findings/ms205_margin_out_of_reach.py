"""MS205: a margin that unit vectors cannot meet."""

from __future__ import annotations

import math

from metriscope.findings._course import setting
from metriscope.findings._floors import distance
from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding
from metriscope.types import Finding


@finding("ms205_margin_out_of_reach", title="margin against its bound", of=("run", "training"))
def ms205_margin_out_of_reach(subject: Subject) -> Verdict:
    """Margin out of reach: C classes of unit vectors cannot all be that far apart.

    A bound, not a choice. C unit vectors are at best the corners of a simplex, all √(2C/(C−1))
    apart; in d < C − 1 dimensions some two of them are within √2 (Rankin 1955). A contrastive or
    triplet margin above that (its square where distances are squared) leaves terms active for
    ever, however good the space. A cosine margin (CCL, CosFace) can be met up to C/(C−1), an
    angular one (ArcFace) up to arccos(−1/(C−1)).
    """
    classes = int(subject.about.get("train_classes") or subject.about.get("classes") or 0)
    margin = _margin(subject)
    if classes < 2 or margin is None:
        return NotApplicable("needs a loss with a margin on unit vectors, and two classes.")
    value, name = margin
    limit, unit = _limit(subject, classes)
    if value <= limit:
        return Passed(value, limit)
    return Finding(
        code="MS205",
        severity="warning",
        title="its margin cannot be met",
        message=f"The margin is {value:.4g}, but {classes} classes of unit vectors can all be at "
        f"most {limit:.4g} apart{unit}: some terms stay active whatever is learnt.",
        value=value,
        threshold=limit,
        cause="unit vectors lie on a sphere of diameter 2; a margin chosen for embeddings that are "
        "not normalised, or for squared distances, does not fit on it.",
        next_step=f"{setting(subject, name, f'{0.5 * limit:.2g}')}, or any below {limit:.3g}.",
        verify="active.terms should fall, and the loss be able to reach 0.",
    )


def _margin(subject: Subject) -> tuple[float, str] | None:
    params, loss = subject.params, subject.loss
    name = "neg_margin" if loss == "ContrastiveLoss" else "margin"
    known = ("contrastive", "triplet", "ccl", "arcface", "ContrastiveLoss", "TripletMarginLoss")
    if loss not in (*known, "ArcFaceLoss", "CosFaceLoss") or params.get(name) is None:
        return None
    if loss not in ("ArcFaceLoss", "CosFaceLoss") and distance(params) is None:
        return None
    if params.get("soft") or params.get("smooth_loss") or params.get("form") == "qi2017":
        return None
    if loss == "ContrastiveLoss" and distance(params) not in ("euclidean", "squared"):
        return None  # a cosine's margin is a limit from the other side
    return float(params[name]), name


def _limit(subject: Subject, classes: int) -> tuple[float, str]:
    """How much the margin can be, and in what unit, for a sentence."""
    loss, cosine = subject.loss, classes / (classes - 1)
    if loss in ("arcface", "ArcFaceLoss"):
        return math.acos(-1 / (classes - 1)), " (an angle, in radians)"
    kind = distance(subject.params)
    if loss in ("ccl", "CosFaceLoss") or kind == "cosine":
        return cosine, " (a difference of cosines)"
    dim = subject.run.spec.head.dim if subject.run else subject.about.get("dim")
    squared = 2.0 if dim and classes > dim + 1 else 2 * cosine
    if kind == "squared":
        return squared, " (a squared distance)"
    return math.sqrt(squared), ""
