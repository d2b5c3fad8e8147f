"""Triplet loss (Schroff 2015, Hermans 2017)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import softplus

from metriscope import ops
from metriscope.losses import register
from metriscope.losses.base import Loss, Reduction, flag, number, one_of, reduce_terms
from metriscope.types import InputError, LossOutput

Mining = Literal["batch_hard", "semi_hard", "batch_all"]
ROUNDING = 1e-12  # distances nearer than this are equal


@register("triplet")
class Triplet(Loss):
    """Triplet: an anchor's positive must be nearer than its negative, by a margin.

    Formula, with d the Euclidean distance of unit vectors (its square if ``squared``)::

        ℓ(a, p, n) = max(0, d(a,p) − d(a,n) + m)
        ℓ(a, p, n) = log(1 + exp(d(a,p) − d(a,n)))      with ``soft``

    * ``batch_hard``: a term an anchor, with its farthest positive and its nearest negative.
    * ``semi_hard``: a term a positive pair, with the nearest n such that d(a,n) > d(a,p); where no
      negative is that far, the farthest one.
    * ``batch_all``: every triplet of the batch, exactly, in O(b² log b) time and O(b²) memory: the
      negatives of each anchor are sorted, and a search tells how often each distance occurs in an
      active triplet.

    Active: d(a,p) + m > d(a,n); with ``soft``, d(a,p) > d(a,n), that is, a violated ranking
    (strictly: by more than 1e-12).
    Bounds: 0 ≤ mean loss ≤ m + 2 (m + 4 if ``squared``), m where all embeddings coincide; with
    ``soft``, log 2 there. On unit vectors and C classes the margin cannot be met by all triplets
    once m > √(2C/(C−1)), or 2C/(C−1) if ``squared``.

    Args:
        margin: m; with ``soft`` it plays no part.
        mining: which triplets are terms.
        squared: squared distances, as FaceNet.
        soft: softplus in place of the hinge (not with ``batch_all``).
        reduction: see :class:`~metriscope.losses.base.Loss`.

    Source: Hermans, Beyer, Leibe 2017 (batch-hard, soft margin); Schroff 2015 (semi-hard). The
    paper: batch-hard, m = 1.0.
    """

    def __init__(
        self,
        *,
        margin: float = 1.0,
        mining: Mining = "batch_hard",
        squared: bool = False,
        soft: bool = False,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.margin = number("margin", margin)
        self.mining: Mining = one_of("mining", mining, Mining)
        self.squared, self.soft = flag("squared", squared), flag("soft", soft)
        if soft and mining == "batch_all":
            raise InputError("soft=True needs one term an anchor or a pair: use mining=batch_hard.")

    def compute(self, z: Float[Tensor, "b d"], labels: Int[Tensor, " b"]) -> LossOutput:
        """See the class."""
        d = ops.euclidean(z)
        d = d.square() if self.squared else d
        pos, neg = ops.positives(labels), ~ops.same_class(labels)
        anchors = pos.any(1) & neg.any(1)  # (b,)
        if self.mining == "batch_all":
            return self._batch_all(d, pos, neg, anchors)
        if self.mining == "batch_hard":
            valid = anchors[:, None]  # (b, 1)
            d_ap = d.masked_fill(~pos, 0).amax(1, keepdim=True)
            d_an = d.masked_fill(~neg, torch.inf).amin(1, keepdim=True)
            d_an = torch.where(valid, d_an, d_ap)
        else:
            valid = pos & anchors[:, None]  # (b, b)
            d_ap, d_an = d, self._semi_hard(d, valid, neg)
        if self.soft:
            terms, active = softplus(d_ap - d_an), d_ap - d_an > ROUNDING
        else:
            excess = d_ap - d_an + self.margin
            terms, active = excess.relu(), excess > ROUNDING
        loss, n_active, n_total = reduce_terms(terms, valid, active, self.reduction)
        return LossOutput(loss, n_active, n_total, (active & valid).any(1), (~anchors).sum())

    @staticmethod
    def _semi_hard(
        d: Float[Tensor, "b b"], pos: Bool[Tensor, "b b"], neg: Bool[Tensor, "b b"]
    ) -> Float[Tensor, "b b"]:
        """d(a, n) of each positive pair (a, p); elsewhere d itself."""
        far, order = d.detach().masked_fill(~neg, torch.inf).sort(1)
        n_neg = neg.sum(1, keepdim=True)
        # First negative strictly farther than the positive; the farthest if there is none.
        first = torch.searchsorted(far, d.detach() + ROUNDING)
        chosen = torch.minimum(first, (n_neg - 1).clamp_min(0))
        return torch.where(pos, d.gather(1, order.gather(1, chosen)), d)

    def _batch_all(
        self,
        d: Float[Tensor, "b b"],
        pos: Bool[Tensor, "b b"],
        neg: Bool[Tensor, "b b"],
        anchors: Bool[Tensor, " b"],
    ) -> LossOutput:
        with torch.no_grad():
            far, order = d.masked_fill(~neg, torch.inf).sort(1)
            # How many negatives of the anchor are nearer than d_ap + m: its active triplets with p.
            k = torch.searchsorted(far, d + (self.margin - ROUNDING)) * pos
            k.clamp_max_(len(k) - 1)  # which only a NaN exceeds
            # And of each negative, at its place in the sorted row: positives with k beyond it.
            up_to = torch.zeros_like(k).scatter_add_(1, k, pos.long())
            beyond = pos.sum(1, keepdim=True) - up_to.cumsum_(1)
            weight = (k - torch.empty_like(k).scatter_(1, order, beyond)).to(d.dtype)
            n_active, n_total = k.sum(), (pos.sum(1) * neg.sum(1)).sum()
        # Σ (d_ap − d_an + m) over active triplets, each distance taken as often as it occurs.
        total = (weight * d).sum() + self.margin * n_active.to(d.dtype)
        n = {"mean": n_total, "mean_active": n_active}.get(self.reduction)
        loss = total if n is None else total / n.clamp_min(1)
        return LossOutput(loss, n_active, n_total, k.any(1), (~anchors).sum())

    def advice(self, num_classes: int) -> list[str]:
        """Warns of a margin that unit vectors cannot meet."""
        reach = 2 * num_classes / max(num_classes - 1, 1)  # K_C, squared
        limit = reach if self.squared else math.sqrt(reach)
        if self.soft or self.margin <= limit:
            return []
        return [
            f"triplet: margin {self.margin:g} cannot be met: {num_classes} classes of unit vectors "
            f"can all be at most {limit:.2f} apart, so some triplets always stay active. "
            f"Use a margin below {limit:.2f}."
        ]
