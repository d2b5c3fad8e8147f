"""What a loss is worth at best, and where embeddings know nothing of the labels.

Pure arithmetic on names and parameters, of our losses and of pytorch-metric-learning's classes.
C classes of unit vectors are at best the corners of a regular simplex: between two of them the
cosine is −1/(C−1), the squared distance K = 2C/(C−1). Means of convex losses cannot be lower than
there (Jensen), whatever the batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Params = Mapping[str, Any]
TRIPLETS = ("triplet", "TripletMarginLoss")


@dataclass(frozen=True)
class Batches:
    """What batches are made of: ``rows`` of ``present`` classes each, out of ``classes``."""

    classes: int
    rows: float
    present: float

    @property
    def positives(self) -> float:
        """Other rows of an anchor's class; at least one, since it has no term without."""
        return max(self.rows / self.present - 1, 1.0)

    @property
    def negatives(self) -> float:
        """Rows of other classes."""
        return self.rows * (1 - 1 / self.present)

    @property
    def negative_pairs(self) -> float:
        """Share of the pairs of rows that are of two classes."""
        return min(self.negatives / max(self.rows - 1, 1), 1.0)

    @property
    def squared_reach(self) -> float:
        """K, the squared distance between the corners of the simplex."""
        return 2 * self.classes / (self.classes - 1)


@dataclass(frozen=True)
class Softmax:
    """−log of the probability of ``right`` equal answers among ``wrong`` others.

    Attributes:
        scale: of the logits. ``parameter``: the name of what sets it, and ``value``.
        right, wrong: how many; ``right`` share the probability.
        gap: right minus wrong logit at the simplex, over the scale, with the loss's margin;
            ``plain``: without it.
    """

    scale: float
    parameter: str
    value: float
    wrong: float
    plain: float
    gap: float
    right: float = 1.0

    def at(self, gap: float) -> float:
        """The loss where right logits exceed wrong ones by ``gap`` times the scale."""
        x = -self.scale * gap
        # log(right + wrong exp(x)), which overflows for large x
        if x > 0:
            return x + math.log(self.wrong + self.right * math.exp(-x))
        return math.log(self.right + self.wrong * math.exp(x))


def distance(params: Params) -> str | None:
    """``euclidean``, ``squared`` or ``cosine``, between unit vectors; None of any other."""
    name = params.get("distance")
    if params.get("normalize_embeddings") is False:
        return None
    if name == "LpDistance" and params.get("p", 2) == 2:
        return {1: "euclidean", 2: "squared"}.get(params.get("power", 1))
    if name in ("CosineSimilarity", "DotProductSimilarity"):
        return "cosine"
    if name is None:  # ours
        return "squared" if params.get("squared") else "euclidean"
    return None


def apart(params: Params, batches: Batches) -> float | None:
    """How far, by the loss's distance, C classes can all be from one another at most."""
    cosine = batches.squared_reach / 2
    reach = {"euclidean": math.sqrt(2 * cosine), "squared": 2 * cosine, "cosine": cosine}
    return reach.get(distance(params) or "")


def softmax(loss: str, params: Params, batches: Batches) -> Softmax | None:
    """The softmax that a loss is, over unit vectors; None if it is none, or not known."""
    classes = batches.classes
    cosine = classes / (classes - 1)
    margin = float(params.get("margin") or 0.0)
    pairs, anchors = batches.present - 1, batches.negatives
    wanted = "squared" if loss == "ProxyNCALoss" else "cosine"
    if "distance" in params and distance(params) != wanted:
        return None
    if loss in ("infonce", "NTXentLoss", "scl", "SupConLoss"):
        right = batches.positives if loss in ("scl", "SupConLoss") else 1.0
        return _sharp(params, "temperature", anchors, cosine, right=right)
    if loss in ("npair", "NPairsLoss") and params.get("normalize", True) and not params.get("l2"):
        pairing = params.get("pairing", "class")
        if pairing == "half":
            right = max(batches.rows / 2 / batches.present, 1.0)
            return _sharp(params, "scale", batches.rows / 2 - right, cosine, right=right)
        return _sharp(
            {"scale": 1.0, **params}, "scale", pairs if pairing == "class" else anchors, cosine
        )
    if loss in ("arcface", "ArcFaceLoss"):
        shifted = math.cos(margin) + 1 / (classes - 1)
        return _sharp(params, "scale", classes - 1, cosine, shifted)
    if loss in ("ccl", "CosFaceLoss") and params.get("form", "cai2023") == "cai2023":
        return _sharp(params, "scale", classes - 1, cosine, cosine - margin)
    if loss == "NormalizedSoftmaxLoss":
        return _sharp(params, "temperature", classes - 1, cosine)
    if loss == "ProxyNCALoss":
        return _sharp(params, "softmax_scale", classes - 1, batches.squared_reach)
    return None


def floor(loss: str, params: Params, batches: Batches) -> float | None:
    """The lowest value that the mean loss can have on unit vectors; None where it is not known.

    * triplet (m − √K)₊, with ``squared`` (m − K)₊, with ``soft`` log(1 + exp(−√K))
    * contrastive (m − √K)₊² times the share of negative pairs (times 1 if ``balanced``)
    * softmax losses log(P + K' exp(−s·gap)) with P right and K' wrong answers
    """
    reach = apart(params, batches)
    margin: float | None = params.get("margin")
    if loss in TRIPLETS and reach is not None:
        if params.get("soft"):
            return math.log1p(math.exp(-reach))
        if margin is not None and params.get("smooth_loss"):
            return math.log1p(math.exp(margin - reach))
        return None if margin is None else max(margin - reach, 0.0)
    if loss == "contrastive" and margin is not None and reach is not None:
        share = 1.0 if params.get("pairs") == "balanced" else batches.negative_pairs
        return max(margin - reach, 0.0) ** 2 * share
    if params.get("label_smoothing"):
        return None
    found = softmax(loss, params, batches)
    return None if found is None else found.at(found.gap)


def blind(loss: str, params: Params, batches: Batches) -> float | None:
    """The lowest mean loss of embeddings that do not depend on the labels; None if not known.

    There, positive and negative distances are drawn alike. Jensen's inequality then gives m for
    triplets (log 2 if ``soft``), and m²·p·q for pairs (m²/2 if ``balanced``), p and q the shares of
    positive and negative pairs; Gibbs' gives log(1 + K) for one right answer among K wrong ones.
    But for contrastive losses, it is also the value where all embeddings coincide.
    """
    margin: float | None = params.get("margin")
    if loss in TRIPLETS:
        if params.get("mining") == "semi_hard":
            return None  # its negatives are not drawn like its positives
        if params.get("soft"):
            return math.log(2)
        if margin is None:
            return None
        return math.log1p(math.exp(margin)) if params.get("smooth_loss") else float(margin)
    if loss == "contrastive" and margin is not None:
        if params.get("pairs") == "balanced":
            return margin**2 / 2
        q = batches.negative_pairs
        return margin**2 * q * (1 - q)
    if loss in ("arcface", "ArcFaceLoss", "ccl", "CosFaceLoss"):
        return None  # a margin lifts them above it, whatever is learnt
    found = softmax(loss, params, batches)
    return None if found is None else math.log(found.right + found.wrong)


def _sharp(
    params: Params,
    parameter: str,
    wrong: float,
    plain: float,
    gap: float | None = None,
    right: float = 1.0,
) -> Softmax | None:
    value = params.get(parameter)
    if not isinstance(value, int | float) or value <= 0 or wrong <= 0:
        return None
    scale = 1 / value if parameter == "temperature" else float(value)
    return Softmax(
        scale, parameter, float(value), wrong, plain, plain if gap is None else gap, right
    )
