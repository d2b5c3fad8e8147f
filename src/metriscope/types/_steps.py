"""What a loss says of a batch, and a step of training of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Share(NamedTuple):
    """A part of a whole, both () tensors, so that an epoch is Σ part / Σ whole."""

    part: Tensor
    whole: Tensor


@dataclass(frozen=True, eq=False)
class LossOutput:
    """What a loss says about one batch of b embeddings. Counts, never a list of terms.

    Attributes:
        loss: () the criterion; differentiable. 0 where no term is valid.
        active_terms: () int64, terms whose inequality is violated, by the rule of the loss.
        total_terms: () int64, candidate terms.
        active_samples: (b,) bool, samples that anchor at least one active term.
        excluded: () int64, samples that cannot anchor a term (no positive, or no negative).
        details: what else this loss can say of its terms, under names of its own.
    """

    loss: Tensor
    active_terms: Tensor
    total_terms: Tensor
    active_samples: Tensor
    excluded: Tensor
    details: Mapping[str, Share] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Step:
    """One step of training, after ``backward`` and before the update.

    Attributes:
        output: of the loss.
        embedding_grad_norms: (b,) ‖∂L/∂z_i‖ of each normalised embedding.
        grad_norms: L2 norm over each group of parameters: ``head``, ``loss``.
    """

    epoch: int
    index: int
    output: LossOutput
    embedding_grad_norms: Tensor
    grad_norms: Mapping[str, Tensor]
