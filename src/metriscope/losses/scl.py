"""Supervised contrastive loss (Khosla et al. 2020)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metriscope import ops
from metriscope.losses import register
from metriscope.losses.base import TIE, Loss, Range, Reduction, divide, log_sum_exp, number, one_of
from metriscope.types import LossOutput, Share

Form = Literal["out", "in"]


@register("scl")
class SupCon(Loss):
    """Supervised contrastive (SupCon): all positives of an anchor against everything else.

    Formula, with s the cosine, P(i) the positives of i, and a over all samples but i::

        out:  ℓ(i) = −(1/|P(i)|) Σ_p log( exp(s_ip/τ) / Σ_a exp(s_ia/τ) )
        in:   ℓ(i) = −log( (1/|P(i)|) Σ_p exp(s_ip/τ) / Σ_a exp(s_ia/τ) )   ≤ out

    The reduction is over anchors with a positive. Terms, for the counts, are pairs (i, p), since
    each of them is an inequality; ``mean_active`` averages the anchors with an active pair.

    Active: max_n s_in ≥ s_ip (to within 1e-6), n over other classes. The loss itself is never 0.
    Bounds: ``in`` ≥ ``log|P(i)|``, and ``out`` too: positives stay in the denominator, so no
    anchor can fall below that; both ≤ log(b − 1) + 2/τ, and log(b − 1) where all
    embeddings coincide. On C classes with K negatives an anchor the smallest reachable is
    ``log(|P(i)| + K exp(−C/((C−1)τ)))``.

    Args:
        temperature: τ.
        form: whether the mean over positives is outside or inside the logarithm.
        reduction: see :class:`~metriscope.losses.base.Loss`, over anchors.

    Source: Khosla 2020, L_out and L_in, single view; it prefers L_out. The paper: τ = 0.07. The
    authors' code keeps anchors without positives in the mean, as 0; here they are left out.
    """

    ranges: ClassVar = {"temperature": Range(0.01, 0.5, log=True)}

    def __init__(
        self, *, temperature: float = 0.07, form: Form = "out", reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        self.temperature = number("temperature", temperature, above=True)
        self.form: Form = one_of("form", form, Form)

    def compute(self, z: Float[Tensor, "b d"], labels: Int[Tensor, " b"]) -> LossOutput:
        """See the class."""
        classes = ops.by_class(labels)
        n_pos = classes.size - 1  # (b,)
        anchors = n_pos > 0
        n = n_pos.clamp_min(1).to(z.dtype)
        wanted = ops.wants_gradient(z)
        with torch.no_grad():
            s = (z / self.temperature) @ z.T  # (b, b)
            far = torch.finfo(s.dtype).min / 2  # finite, so that 0 times it is 0
            pos = ops.equality(classes.start, classes.start, s.dtype)
            work = torch.add(s, pos, alpha=far)
            hardest = work.amax(1, keepdim=True)
            for matrix, value in ((pos, 0), (s, far)):
                matrix.diagonal().fill_(value)
            violated = torch.sub(s, TIE / self.temperature, out=work)
            violated = torch.le(violated, hardest, out=work).mul_(pos).sum(1)  # (b,)
            samples = violated > 0
            # `own_slope` and `slope` are ∂/∂s of `own` and of what remains.
            if self.form == "out":
                own = torch.mul(s, pos, out=work).sum(1) / n
                own_slope = pos.div_(n[:, None])
            else:
                own, own_slope = log_sum_exp(torch.where(pos > 0, s, far))
                own -= n.log()
            everyone, slope = log_sum_exp(s)
            # An anchor alone has no finite value to give: 0, which is left out.
            terms = torch.where(anchors, everyone - own, 0.0)
            # No anchor can fall below log |P|, but by rounding: what is above can still be learnt.
            excess = ((terms - n.log()).clamp_min(0) * anchors).sum()
            chosen = samples if self.reduction == "mean_active" else anchors
            total, gradient = (terms * chosen).sum(), z
            if wanted:
                slope = slope.sub_(own_slope).mul_(chosen[:, None])
                gradient = torch.add(slope, slope.T, out=work) @ z / self.temperature
        total = ops.with_gradient(z, total, gradient)
        loss = divide(total, samples.sum(), anchors.sum(), self.reduction)
        details = {"loss.excess": Share(excess, anchors.sum())}
        n_active, n_total = violated.long().sum(), n_pos.sum()
        return LossOutput(loss, n_active, n_total, samples, (~anchors).sum(), details)
