"""Triplet loss (Schroff 2015, Hermans 2017)."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import softplus

from metriscope import ops
from metriscope.losses import register
from metriscope.losses.base import Loss, Reduction, reduce_terms
from metriscope.types import InputError, LossOutput

Mining = Literal["batch_hard", "semi_hard", "batch_all"]


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
      negatives of each anchor are sorted, and a search in their prefix sums replaces the triplets.

    Active: d(a,p) + m > d(a,n); with ``soft``, d(a,p) > d(a,n), that is, a violated ranking.
    Bounds: 0 ≤ mean loss ≤ m + 2; m where all embeddings coincide. On unit vectors and C classes
    the margin cannot be met by all triplets once m > √(2C/(C−1)).

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
        if mining not in get_args(Mining):
            raise InputError(f"mining is {mining!r}; use {', '.join(get_args(Mining))}.")
        if not 0 <= margin < math.inf:
            raise InputError(f"margin is {margin!r}; it must be 0 or more.")
        if soft and mining == "batch_all":
            raise InputError("soft margins need one term an anchor or pair: use batch_hard.")
        self.margin, self.mining, self.squared, self.soft = float(margin), mining, squared, soft

    def compute(self, z: Float[Tensor, "b d"], labels: Int[Tensor, " b"]) -> LossOutput:
        """See the class."""
        d = ops.squared_euclidean(z) if self.squared else ops.euclidean(z)
        pos, neg = ops.positives(labels), ~ops.same_class(labels)
        anchors = pos.any(1) & neg.any(1)  # (b,)
        if self.mining == "batch_all":
            return self._batch_all(d, pos, neg, anchors)
        if self.mining == "batch_hard":
            d_ap = d.masked_fill(~pos, 0).amax(1)
            d_an = d.masked_fill(~neg, torch.inf).amin(1)
            d_an = torch.where(anchors, d_an, d_ap)
            valid = anchors
        else:
            d_ap, d_an, valid = self._semi_hard(d, pos & anchors[:, None], neg)
        terms, active = self._hinge(d_ap, d_an)
        loss, n_active, n_total = reduce_terms(terms, valid, active, self.reduction)
        active = active & valid
        samples = active if active.ndim == 1 else active.any(1)
        return LossOutput(loss, n_active, n_total, samples, (~anchors).sum())

    def _hinge(self, d_ap: Tensor, d_an: Tensor) -> tuple[Tensor, Tensor]:
        if self.soft:
            return softplus(d_ap - d_an), d_ap > d_an
        return (d_ap - d_an + self.margin).relu(), d_ap + self.margin > d_an

    @staticmethod
    def _semi_hard(
        d: Float[Tensor, "b b"], pos: Bool[Tensor, "b b"], neg: Bool[Tensor, "b b"]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """d_ap, d_an, valid, each (b, b) over (anchor, positive)."""
        far, order = d.detach().masked_fill(~neg, torch.inf).sort(1)
        n_neg = neg.sum(1, keepdim=True)
        # First negative strictly farther than the positive; the farthest if there is none.
        first = torch.searchsorted(far, d.detach().contiguous(), right=True)
        chosen = torch.minimum(first, (n_neg - 1).clamp_min(0))
        d_an = d.gather(1, order.gather(1, chosen))
        return d, torch.where(pos, d_an, d), pos

    def _batch_all(
        self,
        d: Float[Tensor, "b b"],
        pos: Bool[Tensor, "b b"],
        neg: Bool[Tensor, "b b"],
        anchors: Bool[Tensor, " b"],
    ) -> LossOutput:
        far = d.masked_fill(~neg, torch.inf).sort(1).values
        prefix = torch.nn.functional.pad(far.masked_fill(far.isinf(), 0).cumsum(1), (1, 0))
        reach = d + self.margin
        # How many negatives of the anchor are nearer than d_ap + m: its active triplets with p.
        k = torch.searchsorted(far.detach(), reach.detach().contiguous()) * pos
        sums = (k * reach - prefix.gather(1, k)) * pos
        n_active, n_total = k.sum(), (pos.sum(1) * neg.sum(1)).sum()
        total = sums.sum()
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
