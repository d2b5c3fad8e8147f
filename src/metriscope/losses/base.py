"""What every loss is, and how terms become one number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from metriscope import ops
from metriscope.types import InputError, LossOutput

Reduction = Literal["mean", "mean_active", "sum"]


class Loss(nn.Module, ABC):
    """A criterion that also says which of its terms are active.

    Subclasses write :meth:`compute` and a docstring with formula, active rule, bounds and source.
    They get unit vectors and valid labels; a batch without any valid term must give a loss of 0
    (:func:`reduce_terms` does).

    Args:
        reduction: how terms become one number. ``mean`` over all valid terms; ``mean_active`` over
            the active ones only, which multiplies the gradient by 1 / active share; ``sum``.
    """

    class_level: ClassVar[bool] = False
    """Whether it learns one vector a class, and so takes ``num_classes`` and ``dim``."""

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        if reduction not in get_args(Reduction):
            raise InputError(f"reduction is {reduction!r}; use mean, mean_active or sum.")
        self.reduction: Reduction = reduction

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The scalar loss of a batch: embeddings (b, d), labels (b,) integers."""
        return self.evaluate(embeddings, labels).loss

    def evaluate(self, embeddings: Tensor, labels: Tensor) -> LossOutput:
        """The loss with its counts.

        Args:
            embeddings: (b, d) floating point; L2-normalised here, in at least float32. A NaN or
                infinite value anywhere makes the loss NaN: it is never hidden.
            labels: (b,) integers; for class-level losses in [0, num_classes).

        Raises:
            InputError: wrong shapes or types.
        """
        if embeddings.ndim != 2 or not embeddings.is_floating_point():
            raise InputError(
                "embeddings must be a floating-point matrix (batch, dimensions), not "
                f"{embeddings.dtype} of shape {tuple(embeddings.shape)}."
            )
        if labels.shape != embeddings.shape[:1] or labels.is_floating_point():
            raise InputError(
                f"labels must be {len(embeddings)} integers, one a row, not {labels.dtype} "
                f"of shape {tuple(labels.shape)}."
            )
        dtype = torch.promote_types(embeddings.dtype, torch.float32)
        with torch.autocast(embeddings.device.type, enabled=False):
            z = self.prepare(embeddings.to(dtype))
            out = self.compute(z, labels.long())
            # Σ 0·z carries a NaN of any row into the loss, and keeps the graph of an empty batch.
            loss = out.loss.to(dtype) + z.sum() * 0
        return LossOutput(loss, out.active_terms, out.total_terms, out.active_samples, out.excluded)

    def prepare(self, embeddings: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        """What :meth:`compute` gets: unit vectors, unless a loss says otherwise."""
        return ops.normalize(embeddings)

    @abstractmethod
    def compute(self, z: Float[Tensor, "b d"], labels: Int[Tensor, " b"]) -> LossOutput:
        """The loss of prepared embeddings."""

    def advice(self, num_classes: int) -> list[str]:
        """Sentences about settings that cannot work with this many classes."""
        del num_classes
        return []

    def extra_repr(self) -> str:
        """The parameters, for ``repr``."""
        plain = (str, float, int, bool)
        return ", ".join(
            f"{k}={v!r}"
            for k, v in vars(self).items()
            if isinstance(v, plain) and not k.startswith("_") and k != "training"
        )


def reduce_terms(
    terms: Float[Tensor, "*s"],
    valid: Bool[Tensor, "*s"],
    active: Bool[Tensor, "*s"],
    reduction: Reduction,
) -> tuple[Float[Tensor, ""], Int[Tensor, ""], Int[Tensor, ""]]:
    """(loss, number of active terms, number of terms) over the valid entries; 0 if there are none.

    ``terms`` of invalid entries must be finite: they are multiplied by 0.
    """
    active = active & valid
    n_active, n_total = active.sum(), valid.sum()
    chosen, n = (active, n_active) if reduction == "mean_active" else (valid, n_total)
    total = (terms * chosen).sum()
    loss = total if reduction == "sum" else total / n.clamp_min(1)
    return loss, n_active, n_total
