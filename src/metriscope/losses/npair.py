"""Multi-class N-pair loss (Sohn 2016)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import softplus

from metriscope import ops
from metriscope.losses import _draw, register
from metriscope.losses.base import (
    TIE,
    Loss,
    Range,
    Reduction,
    against,
    flag,
    number,
    one_of,
    reduce_terms,
)
from metriscope.types import LossOutput, Share

Pairing = Literal["class", "half", "anchor"]


@register("npair")
class NPair(Loss):
    """N-pair: an anchor's positive against the positives of other classes.

    Formula, with x an anchor and x⁺ its positive, s(x, y) = scale · xᵀy::

        ℓ(i) = log(1 + Σ_{j≠i} exp(s(x_i, x_j⁺) − s(x_i, x_i⁺))) + l2/4 · (‖x_i‖² + ‖x_i⁺‖²)

    * ``class``: one random pair for each class with two samples or more, N pairs of N classes, as
      published. A batch of 512 with 10 classes uses 20 samples.
    * ``half``: the first half of the batch against the second; several samples of a class may be
      there. Cross-entropy to the equal labels, evenly: −mean over equal j of log softmax_j.
    * ``anchor``: every sample an anchor with one random positive, against all other classes.

    Active: max_j s(x_i, x_j⁺) ≥ s(x_i, x_i⁺) (to within 1e-6), j over other classes; with
    ``half``, ≥ the smallest s of an equal label. The loss itself is never 0.
    Bounds: 0 < mean loss ≤ log(1 + (N−1) exp(2 scale)) for ``class`` on unit vectors; log N where
    all embeddings coincide. At scale 1 it cannot fall below log(1 + (N−1) exp(−C/(C−1))): by 40 %
    with 10 classes, by 19 % with 200.

    Args:
        scale: of the logits; the paper states no temperature, so 1.
        normalize: unit vectors, as the paper; False for inner products, as published.
        l2: penalty on the squared norms; 0.002 in common code. On unit vectors it is constant.
        pairing: who is paired with whom.
        reduction: see :class:`~metriscope.losses.base.Loss`.

    ``excluded`` counts samples without a positive or a negative in the batch. Those that are
    merely not drawn are not excluded: active samples / (b − excluded) shows how few are used.

    Source: Sohn 2016. The paper: "standard formulation but cosine similarity".
    """

    ranges: ClassVar = {"scale": Range(1.0, 64.0, log=True)}

    def __init__(
        self,
        *,
        scale: float = 1.0,
        normalize: bool = True,
        l2: float = 0.0,
        pairing: Pairing = "class",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.scale = number("scale", scale, above=True)
        self.normalize = flag("normalize", normalize)
        self.l2 = number("l2", l2)
        self.pairing: Pairing = one_of("pairing", pairing, Pairing)

    def prepare(self, embeddings: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        """Unit vectors, or the embeddings as they are."""
        return ops.normalize(embeddings) if self.normalize else embeddings

    def compute(self, z: Float[Tensor, "b d"], labels: Int[Tensor, " b"]) -> LossOutput:
        """See the class."""
        b = len(z)
        size = ops.by_class(labels).size
        able = (size > 1) & (size < b)
        # a anchors, against m candidates; `pos` is (a, m) and sums to 1 a row: the targets.
        if self.pairing == "class":
            drawn = _draw.anchor_of_class(labels)
            # The anchors come first, the rest is unused: at most b/2 classes have two samples. How
            # many do is asked on the CPU only: elsewhere looking at a value would stall the device.
            most = int(drawn.sum()) if drawn.device.type == "cpu" else b // 2
            rows = drawn.long().argsort(descending=True, stable=True)[: max(most, 1)]
            used = drawn[rows]
            candidates = _draw.positive(labels)[rows]
            pos = torch.eye(len(rows), dtype=torch.bool, device=z.device) & used
            neg = (used[:, None] & used[None, :]) ^ pos
        elif self.pairing == "half":
            half = max(b // 2, 1)
            rows = torch.arange(half, device=z.device)
            candidates = (rows + half) % b
            pos = labels[rows][:, None] == labels[candidates][None, :]
            neg = ~pos
        else:
            rows = candidates = torch.arange(b, device=z.device)
            chosen = _draw.positive(labels)
            pos = torch.zeros(b, b, dtype=torch.bool, device=z.device)
            pos.scatter_(1, chosen[:, None], 1)
            pos, neg = pos & able[:, None], ~ops.same_class(labels)
        return self._cross_entropy(z, rows, candidates, pos, neg, (~able).sum())

    def _cross_entropy(
        self,
        z: Tensor,
        rows: Tensor,
        candidates: Tensor,
        pos: Tensor,
        neg: Tensor,
        excluded: Tensor,
    ) -> LossOutput:
        x, y = z.index_select(0, rows), z.index_select(0, candidates)  # (a, d), (m, d)
        s = (self.scale * x) @ y.T
        n_pos = pos.sum(1).clamp_min(1)
        valid = pos.any(1) & neg.any(1)
        own = (s * pos).sum(1) / n_pos
        rest, hardest = against(s, (~neg).to(s.dtype))
        several = self.pairing == "half"  # positives to an anchor
        terms = s.logsumexp(1) - own if several else softplus(rest[:, 0] - own)
        if self.l2:
            norms = y.square().sum(1)
            terms = terms + self.l2 / 4 * (x.square().sum(1) + (pos * norms).sum(1) / n_pos)
        easiest = s.detach().masked_fill(~pos, torch.inf).amin(1)
        active = (hardest[:, 0] >= easiest - TIE * self.scale) & valid
        loss, n_active, n_total = reduce_terms(terms, valid, active, self.reduction)
        samples = torch.zeros(len(z), dtype=torch.bool, device=z.device)
        samples[rows] = active
        details = {"terms.pairs": Share(n_total, torch.ones_like(n_total))}
        return LossOutput(loss, n_active, n_total, samples, excluded, details)
