"""InfoNCE (van den Oord, Li, Vinyals 2018), with labels."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import softplus

from metriscope import ops
from metriscope.losses import _draw, register
from metriscope.losses.base import TIE, Loss, Reduction, against, number, one_of, reduce_terms
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
        s = (z / self.temperature) @ z.T
        classes = ops.by_class(labels)
        same = ops.equality(classes.start, classes.start, z.dtype)  # (b, b)
        anchors = ((classes.size > 1) & (classes.size < len(z)))[:, None]  # (b, 1)
        if self.positives == "one":
            chosen = s.gather(1, _draw.positive(labels)[:, None])  # (b, 1)
            valid = anchors
        else:
            chosen, valid = s, ops.positives(labels) & anchors  # (b, b)
        rest, hardest = against(s, same)
        active = (hardest >= chosen - TIE / self.temperature) & valid
        terms = softplus(rest - chosen)
        loss, n_active, n_total = reduce_terms(terms, valid, active, self.reduction)
        return LossOutput(loss, n_active, n_total, active.any(1), (~anchors).sum())
