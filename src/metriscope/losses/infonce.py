"""InfoNCE (van den Oord, Li, Vinyals 2018), with labels."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import softplus

from metriscope import ops
from metriscope.losses import _draw, register
from metriscope.losses.base import TIE, Loss, Range, Reduction, divide, log_sum_exp, number, one_of
from metriscope.types import LossOutput

Positives = Literal["one", "all"]


@register("infonce")
class InfoNCE(Loss):
    """InfoNCE: pick the positive out of the anchor's negatives.

    Formula, with s the cosine and n over the K samples of other classes::

        ℓ(i, p) = −log( exp(s_ip/τ) / (exp(s_ip/τ) + Σ_n exp(s_in/τ)) )
                = softplus( log Σ_n exp(s_in/τ) − s_ip/τ )

    * ``one``: a term an anchor, with one random positive drawn at each call.
    * ``all``: a term a positive pair (i, p); other positives are not in its denominator. One
      log-sum-exp an anchor serves all its positives, so memory is O(b²).

    Active: max_n s_in ≥ s_ip (to within 1e-6). The loss itself is never 0.
    Bounds: 0 < mean loss ≤ log(1 + K exp(2/τ)); log(1 + K) where all embeddings coincide.
    On C classes the smallest reachable is log(1 + K exp(−C/((C−1)τ))).

    Args:
        temperature: τ.
        positives: which positives are terms.
        reduction: see :class:`~metriscope.losses.base.Loss`.

    Source: van den Oord 2018. The paper: τ = 0.07; it does not say which positives.
    """

    ranges: ClassVar = {"temperature": Range(0.01, 0.5, log=True)}

    def __init__(
        self,
        *,
        temperature: float = 0.07,
        positives: Positives = "one",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.temperature = number("temperature", temperature, above=True)
        self.positives: Positives = one_of("positives", positives, Positives)

    def compute(self, z: Float[Tensor, "b d"], labels: Int[Tensor, " b"]) -> LossOutput:
        """See the class."""
        classes = ops.by_class(labels)
        anchors = ((classes.size > 1) & (classes.size < len(z)))[:, None]  # (b, 1)
        one = _draw.positive(labels)[:, None] if self.positives == "one" else None
        wanted = ops.wants_gradient(z)
        with torch.no_grad():
            s = (z / self.temperature) @ z.T  # (b, b)
            same = ops.equality(classes.start, classes.start, s.dtype)
            rest = torch.add(s, same, alpha=torch.finfo(s.dtype).min / 2)
            hardest = rest.amax(1, keepdim=True)
            rest, shares = log_sum_exp(rest)  # over negatives
            # Of each term: what its positive lacks, whether it counts, and ∂ℓ/∂rest = −∂ℓ/∂s_ip.
            if one is None:
                chosen, valid = s, same.mul_(anchors)
                valid.diagonal().fill_(0)
            else:
                chosen, valid = s.gather(1, one), anchors.to(s.dtype)
            active = torch.le(chosen - TIE / self.temperature, hardest).to(s.dtype).mul_(valid)
            gap = rest[:, None] - chosen
            counted = active if self.reduction == "mean_active" else valid
            total, gradient = (softplus(gap) * counted).sum(), z
            if wanted:
                slope = gap.sigmoid_().mul_(counted)
                shares *= slope.sum(1, keepdim=True)
                shares = shares.sub_(slope) if one is None else shares.scatter_add_(1, one, -slope)
                gradient = torch.add(shares, shares.T, out=s) @ z / self.temperature
            active_of = active.sum(1)
            n_active, n_total = active_of.long().sum(), valid.sum(1).long().sum()
        loss = divide(ops.with_gradient(z, total, gradient), n_active, n_total, self.reduction)
        return LossOutput(loss, n_active, n_total, active_of > 0, (~anchors).sum())
