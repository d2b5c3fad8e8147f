"""ArcFace (Deng, Guo, Xue, Zafeiriou 2019)."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from metriscope import ops
from metriscope.losses import register
from metriscope.losses.base import ClassLevelLoss, Range, Reduction, number, reduce_terms
from metriscope.types import LossOutput, Share


@register("arcface")
class ArcFace(ClassLevelLoss):
    """ArcFace: softmax over class proxies, with an angle added to the true class.

    Formula, with θ_j the angle to the unit proxy of class j, and y the class of the sample::

        ℓ = −log( exp(s cos(θ_y + m)) / (exp(s cos(θ_y + m)) + Σ_{j≠y} exp(s cos θ_j)) )

    cos(θ + m) is computed without an arc cosine, as cos θ cos m − √max(1 − cos²θ, 1e-6) sin m;
    beyond θ = π − m, where it would rise again, cos θ − m sin m takes its place.

    Active: cos(θ_y + m) < max_{j≠y} cos θ_j, the target logit is not the largest.
    Bounds: 0 < mean loss ≤ log(1 + (C−1) exp(s (2 + m sin m))).

    Args:
        num_classes: C. dim: D.
        scale: s. margin: m, in radians, in [0, π/2].
        reduction: see :class:`~metriscope.losses.base.Loss`.

    Attributes:
        weight: (C, D), learned; drawn from N(0, 1), and normalised at each call.

    Source: Deng 2019, s = 64, m = 0.5. The paper gives neither, nor how proxies start.
    """

    ranges: ClassVar = {"scale": Range(8.0, 128.0, log=True), "margin": Range(0.0, 0.8)}

    def __init__(
        self,
        *,
        num_classes: int,
        dim: int,
        scale: float = 64.0,
        margin: float = 0.5,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(num_classes=num_classes, dim=dim, reduction=reduction)
        self.scale = number("scale", scale, above=True)
        self.margin = number("margin", margin, high=math.pi / 2)
        self.weight = nn.Parameter(torch.randn(num_classes, dim))

    @property
    def proxies(self) -> Float[Tensor, "c d"]:
        """The unit vector of each class, differentiable."""
        return ops.normalize(self.weight)

    def compute(self, z: Float[Tensor, "b d"], labels: Int[Tensor, " b"]) -> LossOutput:
        """See the class."""
        cos = z @ self.proxies.to(z.dtype).T  # (b, c)
        index = labels[:, None]
        limit = 1 - 1e-7
        own = cos.gather(1, index).clamp(-limit, limit)  # (b, 1)
        sin = (1 - own.square()).clamp_min(1e-6).sqrt()
        shifted = own * math.cos(self.margin) - sin * math.sin(self.margin)
        beyond = own - self.margin * math.sin(self.margin)
        target = torch.where(own < -math.cos(self.margin), beyond, shifted)
        logits = self.scale * cos.scatter(1, index, target)
        terms = cross_entropy(logits, labels, reduction="none")
        rival = cos.detach().scatter(1, index, -torch.inf).amax(1)
        active = target.detach()[:, 0] < rival
        every = torch.ones_like(active)
        loss, n_active, n_total = reduce_terms(terms, every, active, self.reduction)
        wrong = cos.detach().gather(1, index)[:, 0] < rival
        details = {"error.top1": Share(wrong.sum(), n_total)}
        return LossOutput(loss, n_active, n_total, active, torch.zeros_like(n_total), details)
