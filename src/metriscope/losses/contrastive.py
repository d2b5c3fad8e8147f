"""Contrastive loss (Hadsell, Chopra, LeCun 2006)."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metriscope import ops
from metriscope.losses import register
from metriscope.losses.base import Loss, Range, Reduction, divide, number, one_of
from metriscope.types import LossOutput, Share

Pairs = Literal["all", "balanced"]


@register("contrastive")
class Contrastive(Loss):
    """Contrastive: pull positive pairs together, push negative pairs a margin apart.

    Formula, with d the Euclidean distance of unit vectors, over unordered pairs i < j, each once::

        ℓ(i, j) = d²                  same class
        ℓ(i, j) = max(0, m − d)²      different classes

    * ``all``: the mean over all pairs, of which only about 1/C are positive.
    * ``balanced``: the mean over the positive pairs plus the mean over the negative ones.

    Active: a positive pair with d > 1e-6, which is nearly every one; a negative pair with d < m
    (by more than 1e-12).
    Both members of an active pair are active samples.
    Bounds: 0 ≤ mean loss ≤ max(4, m²) (their sum if ``balanced``); m² × share of negative pairs
    where all embeddings coincide. Negatives of C classes cannot all be m apart once
    m > √(2C/(C−1)), and then the loss stays above 0.

    Args:
        margin: m. From 2 on, the diameter of the sphere, a negative pair is never switched off.
        pairs: how positive and negative pairs are weighed.
        reduction: see :class:`~metriscope.losses.base.Loss`; ``balanced`` takes each mean by side.

    Source: Hadsell 2006, without its factor ½, as the paper's predecessor writes it. The paper:
    m = 1.0. Some libraries do not square the hinges: that is another loss.
    """

    ranges: ClassVar = {"margin": Range(0.1, 1.9)}

    def __init__(
        self, *, margin: float = 1.0, pairs: Pairs = "all", reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        self.margin = number("margin", margin)
        self.pairs: Pairs = one_of("pairs", pairs, Pairs)

    def compute(self, z: Float[Tensor, "b d"], labels: Int[Tensor, " b"]) -> LossOutput:
        """See the class."""
        b, classes = len(z), ops.by_class(labels)
        values, gradients, touched = self._sides(z, classes.start)
        n_positive = (classes.size - 1).sum() // 2
        n_total = torch.stack([n_positive, b * (b - 1) // 2 - n_positive])
        # Every active pair was counted at both of its members.
        n_active = touched.double().sum(1).long() // 2
        details = {
            f"active.terms.{side}": Share(*counts)
            for side, *counts in zip(("positive", "negative"), n_active, n_total, strict=True)
        }
        if self.pairs == "all":
            values = values.sum(0, keepdim=True)
            n_active, n_total = n_active.sum(0, keepdim=True), n_total.sum(0, keepdim=True)
        totals = [ops.with_gradient(z, v, g) for v, g in zip(values, gradients, strict=True)]
        loss = divide(torch.stack(totals), n_active, n_total, self.reduction).sum()
        alone = torch.full_like(n_positive, 1 if b == 1 else 0)
        samples = touched.sum(0) > 0
        return LossOutput(loss, n_active.sum(), n_total.sum(), samples, alone, details)

    def _sides(
        self, z: Float[Tensor, "b d"], code: Int[Tensor, " b"]
    ) -> tuple[Float[Tensor, "2 "], Float[Tensor, "s b d"], Float[Tensor, "2 b"]]:
        """Of the positive and of the negative pairs: Σ ℓ, its gradient, each sample's active pairs.

        With ``all``, both share one gradient (s = 1).
        """
        pairs = ops.PairBlocks(z, upper=True)
        values = z.new_zeros(2, dtype=torch.float64)
        touched = z.new_zeros(2, len(z))
        with torch.no_grad():
            gradients = torch.zeros_like(z).repeat(2 if self.pairs == "balanced" else 1, 1, 1)
            code = code.to(z.dtype)
            least = z.new_tensor([1e-6, 1e-12])[:, None, None]
            for rows, columns, exact in pairs:
                memory = pairs.scratch(6, exact, z.dtype)
                squared = memory[0].copy_(exact)  # (r, m), of float64's digits
                d = torch.sqrt(squared, out=memory[1])
                # How far each distance is from where it should be: 0 for a positive pair, the
                # margin or beyond for a negative one. 0 for pairs of the other side, and j ≤ i.
                gap, work = memory[2:4], memory[4:]
                torch.eq(code[rows, None], code[columns], out=gap[0])  # 1 or 0: several times
                torch.ne(code[rows, None], code[columns], out=gap[1])  # faster than a mask
                gap[0] *= d
                gap[1] *= torch.sub(d, self.margin, out=work[0]).clamp_max_(0)
                gap[:, :, : len(d)].triu_(1)
                active = torch.gt(torch.abs(gap, out=work), least, out=work)
                if self.reduction == "mean_active":
                    gap *= active
                touched[:, rows] += active.sum(2)
                touched[:, columns] += active.sum(1)
                values += torch.mul(gap, gap, out=work).sum(2).double().sum(1)
                if pairs.wanted:
                    inverse = squared.clamp_min_(ops.EQUAL).reciprocal_().mul_(d)  # 1/d, or 0
                    weights = gap if self.pairs == "balanced" else gap[:1].add_(gap[1:])
                    for gradient, w in zip(gradients, weights.mul_(inverse), strict=True):
                        pairs.add_gradient(gradient, w, rows, columns)
        return values, gradients.mul_(2), touched

    def advice(self, num_classes: int) -> list[str]:
        """Warns of a margin that unit vectors cannot meet."""
        limit = math.sqrt(2 * num_classes / max(num_classes - 1, 1))
        if self.margin <= limit:
            return []
        never = " and no negative pair is ever switched off" if self.margin > 2 else ""
        return [
            f"contrastive: margin {self.margin:g} cannot be met: {num_classes} classes of unit "
            f"vectors can all be at most {limit:.2f} apart, so some negative pairs always stay "
            f"active{never}. Use a margin below {limit:.2f}."
        ]
