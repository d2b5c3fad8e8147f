"""Center contrastive loss (Cai, Xiong, Tian 2023), and its namesake (Qi, Su 2017)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, embedding

from metriscope import ops
from metriscope.losses import register
from metriscope.losses.base import ClassLevelLoss, Range, Reduction, number, one_of, reduce_terms
from metriscope.types import LossOutput

Form = Literal["cai2023", "qi2017"]


@register("ccl")
class CenterContrastive(ClassLevelLoss):
    """Center contrastive (CCL): softmax over class centres, and a pull to the own centre.

    Formula, with c_j the unit centres, y the class of x, λ = ``weight``::

        cai2023:  ℓ = −log( exp(s (c_yᵀx − m)) / (exp(s (c_yᵀx − m)) + Σ_{j≠y} exp(s c_jᵀx)) )
                      + λ ‖x − c_y‖²
        qi2017:   ℓ = λ/2 · ‖x − c_y‖² / (Σ_{j≠y} ‖x − c_j‖² + 1)

    ``qi2017`` is another loss, "contrastive-center", also called CCL; the symbol λ_c of the paper
    may come from its code. Scale, margin and label smoothing play no part in it.

    Active: ‖x − c_y‖ > min_{j≠y} ‖x − c_j‖, another centre is nearer. ``cai2023`` is never 0.
    Bounds: 0 < mean loss ≤ log(1 + (C−1) exp(s (2 + m))) + 4λ for ``cai2023`` without smoothing;
    0 ≤ mean loss ≤ 2λ for ``qi2017``.

    Args:
        num_classes: C. dim: D.
        scale: s. margin: m, taken from the cosine. weight: λ.
        label_smoothing: ε of the softmax part, in [0, 1].
        form: which of the two.
        reduction: see :class:`~metriscope.losses.base.Loss`.

    Attributes:
        centers: (C, D), learned by gradient; Xavier-uniform at first, normalised at each call.

    Source: ``cai2023`` as two independent implementations write equation (5) of arXiv 2308.00458
    (its text was not at hand), plus the constant 2λ, so that it is not negative. The paper: λ = 10;
    s and m not stated.
    """

    ranges: ClassVar = {
        "scale": Range(4.0, 64.0, log=True),
        "margin": Range(0.0, 0.5),
        "weight": Range(0.1, 30.0, log=True),
    }

    def __init__(
        self,
        *,
        num_classes: int,
        dim: int,
        scale: float = 16.0,
        margin: float = 0.0,
        weight: float = 10.0,
        label_smoothing: float = 0.0,
        form: Form = "cai2023",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(num_classes=num_classes, dim=dim, reduction=reduction)
        self.scale = number("scale", scale, above=True)
        self.margin = number("margin", margin)
        self.weight = number("weight", weight)
        self.label_smoothing = number("label_smoothing", label_smoothing, high=1.0)
        self.form: Form = one_of("form", form, Form)
        self.centers = nn.Parameter(nn.init.xavier_uniform_(torch.empty(num_classes, dim)))

    @property
    def proxies(self) -> Float[Tensor, "c d"]:
        """The unit centre of each class, differentiable."""
        return ops.normalize(self.centers)

    def compute(self, z: Float[Tensor, "b d"], labels: Int[Tensor, " b"]) -> LossOutput:
        """See the class."""
        centers = self.proxies.to(z.dtype)
        cos = z @ centers.T  # (b, c)
        index = labels[:, None]
        # From the difference: 2 − 2 cos has no digits left near a centre.
        pull = (z - embedding(labels, centers)).square().sum(1)  # (b,)
        if self.form == "cai2023":
            logits = self.scale * cos
            if self.margin:
                shift = cos.new_full(index.shape, -self.scale * self.margin)
                logits = logits.scatter_add(1, index, shift)
            softmax = cross_entropy(
                logits, labels, reduction="none", label_smoothing=self.label_smoothing
            )
            terms = softmax + self.weight * pull
        else:
            apart = z.square().sum(1, keepdim=True) + 1 - 2 * cos  # ‖z − c_j‖²
            others = apart.scatter(1, index, 0).clamp_min(0).sum(1)
            terms = self.weight / 2 * pull / (others + 1)
        near = cos.detach()
        active = near.gather(1, index)[:, 0] < near.scatter(1, index, -torch.inf).amax(1)
        every = torch.ones_like(active)
        loss, n_active, n_total = reduce_terms(terms, every, active, self.reduction)
        return LossOutput(loss, n_active, n_total, active, torch.zeros_like(n_total))
