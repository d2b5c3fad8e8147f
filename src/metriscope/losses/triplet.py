"""Triplet loss (Schroff 2015, Hermans 2017)."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import softplus

from metriscope import ops
from metriscope.losses import register
from metriscope.losses.base import (
    Loss,
    Range,
    Reduction,
    divide,
    flag,
    number,
    one_of,
    reduce_terms,
)
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
    * ``batch_all``: every triplet of the batch, exactly, in O(b² log b) time and in blocks of rows:
      one sort an anchor, of negatives by d and positives by d + m together, tells how often each
      distance occurs in an active triplet.

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

    ranges: ClassVar = {"margin": Range(0.05, 1.9, log=True)}

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
        classes = ops.by_class(labels)
        n_pos, n_neg = classes.size - 1, len(z) - classes.size  # (b,)
        anchors = (n_pos > 0) & (n_neg > 0)
        excluded = (~anchors).sum()
        if self.mining == "batch_hard":
            positive, negative = _hardest(z, classes.start)
            terms, active, _ = self._hinge(
                *(ops.distances_to(z, other, self.squared) for other in (positive, negative))
            )
            active &= anchors
            loss, n_active, n_total = reduce_terms(terms, anchors, active, self.reduction)
            return LossOutput(loss, n_active, n_total, active, excluded)
        total, n_active_of = self._sum(z, classes)
        n_active = n_active_of.sum().long()
        n_total = (n_pos * n_neg if self.mining == "batch_all" else n_pos * anchors).sum()
        loss = divide(total, n_active, n_total, self.reduction)
        return LossOutput(loss, n_active, n_total, n_active_of > 0, excluded)

    def _hinge(
        self, d_ap: Float[Tensor, "*s"], d_an: Float[Tensor, "*s"]
    ) -> tuple[Float[Tensor, "*s"], Bool[Tensor, "*s"], Float[Tensor, "*s"]]:
        """ℓ, whether it is active, and ∂ℓ/∂d_ap = −∂ℓ/∂d_an."""
        excess = d_ap - d_an + (0 if self.soft else self.margin)
        active = excess > ROUNDING
        if self.soft:
            return softplus(excess), active, excess.sigmoid()
        return excess.relu(), active, active.to(excess.dtype)

    def _sum(
        self, z: Float[Tensor, "b d"], classes: ops.ByClass
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " b"]]:
        """Σ ℓ over all terms, and the number of active ones of each anchor."""
        pairs = ops.PairBlocks(z)
        block = self._batch_all if self.mining == "batch_all" else self._semi_hard
        total, gradient = z.new_zeros((), dtype=torch.float64), torch.zeros_like(z)
        n_active = z.new_zeros(len(z), dtype=torch.float64)
        with torch.no_grad():
            for rows, columns, squared in pairs:
                memory = pairs.scratch(5, squared, squared.dtype)
                d = squared if self.squared else torch.sqrt(squared, out=memory[4])
                count = classes.size[rows, None]
                value, n_active[rows], slope = block(
                    d, classes.start, count, rows.start, memory[:4]
                )
                total += value
                if pairs.wanted:
                    # ∂/∂(d²/2) from ∂/∂d; 0 between equal rows.
                    if self.squared:
                        slope *= 2
                    else:
                        slope.mul_(d).div_(squared.clamp_min_(ops.EQUAL))
                    pairs.add_gradient(gradient, slope.to(z.dtype), rows, columns)
        return ops.with_gradient(z, total, gradient), n_active

    def _batch_all(
        self,
        d: Float[Tensor, "r b"],
        code: Int[Tensor, " b"],
        count: Int[Tensor, "r 1"],
        first: int,
        memory: Float[Tensor, "4 r b"],
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " r"], Float[Tensor, "r b"]]:
        """Σ ℓ of the anchors from ``first`` on, how many are active of each, ∂Σ/∂d."""
        columns, negative, nearer = ops.rank(d, code, first, self.margin - ROUNDING, memory[:3])
        # A positive is in as many active triplets as there are negatives before it, a negative
        # in as many as positives behind it: the class less itself, less those before it.
        place = torch.arange(1, d.shape[1] + 1, dtype=d.dtype, device=d.device)
        behind = torch.sub(nearer, place, out=memory[3]).add_(count - 1)
        times = nearer.addcmul_(negative, behind.add_(nearer), value=-1)
        weight = behind.scatter_(1, columns, times)  # of each distance; a row's sum is 0
        weight.diagonal(first).fill_(0)
        n_active = torch.abs(weight, out=negative).sum(1) / 2
        total = torch.dot(weight.flatten(), d.flatten()) + self.margin * n_active.sum()
        return total, n_active, weight

    def _semi_hard(
        self,
        d: Float[Tensor, "r b"],
        code: Int[Tensor, " b"],
        count: Int[Tensor, "r 1"],
        first: int,
        memory: Float[Tensor, "4 r b"],
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " r"], Float[Tensor, "r b"]]:
        """As :meth:`_batch_all`. In the order of the ranking, and at the end back in its own."""
        b = d.shape[1]
        columns, negative, nearer = ops.rank(d, code, first, ROUNDING, memory[:3])
        n_neg, before = b - count, nearer.long()
        # The negatives alone, nearest first, and the others behind them.
        place = torch.arange(b, device=d.device)
        place = torch.where(negative > 0, before - 1, n_neg + place - before)
        negatives = torch.empty_like(columns).scatter_(1, place, columns)
        # First negative strictly farther than the positive; the farthest if there is none.
        chosen = negatives.gather(1, torch.minimum(before, (n_neg - 1).clamp_min(0)))
        terms, active, slope = self._hinge(d.gather(1, columns), d.gather(1, chosen))
        anchor = torch.arange(first, first + len(d), device=d.device)[:, None]
        valid = (negative == 0) & (columns != anchor) & (n_neg > 0)
        active &= valid
        valid = active if self.reduction == "mean_active" else valid
        slope *= valid
        weight = torch.empty_like(d).scatter_(1, columns, slope).scatter_add_(1, chosen, -slope)
        return (terms * valid).sum(), active.sum(1).to(d.dtype), weight

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


@torch.no_grad()
def _hardest(
    z: Float[Tensor, "b d"], code: Int[Tensor, " b"]
) -> tuple[Int[Tensor, " b"], Int[Tensor, " b"]]:
    """Of each sample, the farthest positive and the nearest negative; any where it has none."""
    itself = torch.arange(len(z), device=z.device)
    positive, negative = torch.empty_like(itself), torch.empty_like(itself)
    pairs = ops.PairBlocks(z)
    for rows, _, squared in pairs:
        same, other = pairs.scratch(2, squared, squared.dtype)
        ops.equality(code[rows], code, squared.dtype, same)
        nearest = torch.add(squared, same, alpha=ops.FARTHEST, out=other).min(1)
        farthest = squared.mul_(same).max(1)
        # 0 is also what other classes have here: then all positives are at the anchor.
        positive[rows] = torch.where(farthest.values > 0, farthest.indices, itself[rows])
        negative[rows] = nearest.indices
    return positive, negative
