"""Contrastive loss (Hadsell, Chopra, LeCun 2006)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metriscope import ops
from metriscope.losses import register
from metriscope.losses.base import Loss, Reduction, number, one_of, reduce_terms
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

    Active: a positive pair with d > 1e-6, which is nearly every one; a negative pair with d < m.
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

    def __init__(
        self, *, margin: float = 1.0, pairs: Pairs = "all", reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        self.margin = number("margin", margin)
        self.pairs: Pairs = one_of("pairs", pairs, Pairs)

    def compute(self, z: Float[Tensor, "b d"], labels: Int[Tensor, " b"]) -> LossOutput:
        """See the class."""
        d = ops.euclidean(z)
        same = ops.same_class(labels)
        once = torch.ones_like(same).triu_(1)  # (b, b): i < j
        with torch.no_grad():
            # Where each distance should be: at 0, or at the margin unless it is beyond.
            goal = d.clamp_min(self.margin).masked_fill_(same, 0)
            active = ((d - goal).abs_() > same * 1e-6).logical_and_(once)
        terms = (d - goal).square()
        sides = {"positive": once & same, "negative": once & ~same}
        details = {
            f"active.terms.{k}": Share((active & v).sum(), v.sum()) for k, v in sides.items()
        }
        if self.pairs == "all":
            loss, n_active, n_total = reduce_terms(terms, once, active, self.reduction)
        else:
            (p_loss, p_active, p_total), (n_loss, n_active, n_total) = (
                reduce_terms(terms, side, active, self.reduction) for side in sides.values()
            )
            loss, n_active, n_total = p_loss + n_loss, p_active + n_active, p_total + n_total
        alone = torch.full_like(n_total, 1 if len(z) == 1 else 0)
        samples = active.any(0) | active.any(1)
        return LossOutput(loss, n_active, n_total, samples, alone, details)

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
