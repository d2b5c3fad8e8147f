"""What every loss is, and how terms become one number."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from metriscope import ops
from metriscope.types import InputError, LossOutput

Reduction = Literal["mean", "mean_active", "sum"]
TIE = 1e-6  # cosines nearer than this are equal: what float32 leaves of identical vectors

LISTENERS: list[Callable[[Loss, Tensor, Tensor, LossOutput], None]] = []
"""Called with every evaluation: (the loss, its embeddings and labels, what it says of them)."""


@dataclass(frozen=True)
class Range:
    """Where tuning looks for a parameter: from ``low`` to ``high``, both among them.

    ``log``: by magnitude, so that a tenth and ten times the middle are equally likely. Whole
    numbers where the parameter's default is one.
    """

    low: float
    high: float
    log: bool = False


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

    ranges: ClassVar[Mapping[str, Range]] = {}
    """Of its parameters, those that ``--tune`` varies, and where."""

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.reduction: Reduction = one_of("reduction", reduction, Reduction)

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
        if not embeddings.numel():
            raise InputError(f"the batch is empty: embeddings of shape {tuple(embeddings.shape)}.")
        if (
            labels.shape != embeddings.shape[:1]
            or labels.is_floating_point()
            or labels.is_complex()
        ):
            raise InputError(
                f"labels must be {len(embeddings)} integers, one a row, not {labels.dtype} "
                f"of shape {tuple(labels.shape)}."
            )
        dtype = torch.promote_types(embeddings.dtype, torch.float32)
        with torch.autocast(embeddings.device.type, enabled=False):
            z = self.prepare(embeddings.to(dtype))
            out = self.compute(z, labels.long())
            # Σ 0·z carries a NaN of any row into the loss, and gives a graph to one without.
            rows = z.detach() if out.loss.requires_grad else z
            loss = out.loss.to(dtype) + rows.sum() * 0
        out = replace(out, loss=loss)
        if LISTENERS and not torch.compiler.is_compiling():
            for hear in tuple(LISTENERS):
                hear(self, embeddings, labels, out)
        return out

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


class ClassLevelLoss(Loss):
    """A loss that learns one vector a class.

    Args:
        num_classes: C, at least 2; labels are in [0, C).
        dim: D, of the embeddings.
        reduction: see :class:`Loss`.
    """

    class_level = True

    def __init__(self, *, num_classes: int, dim: int, reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)
        for name, value, least in (("num_classes", num_classes, 2), ("dim", dim, 1)):
            if not isinstance(value, Integral) or value < least:
                raise InputError(f"{name} is {value!r}; it must be an integer, {least} or more.")
        self.num_classes, self.dim = int(num_classes), int(dim)

    @property
    @abstractmethod
    def proxies(self) -> Float[Tensor, "c d"]:
        """The unit vector of each class, differentiable."""

    def evaluate(self, embeddings: Tensor, labels: Tensor) -> LossOutput:
        """See :meth:`Loss.evaluate`.

        Raises:
            InputError: also for another dimension, and for labels outside [0, num_classes), which
                is checked on the CPU only: elsewhere looking at a value would stall the device.
        """
        if embeddings.ndim == 2 and embeddings.shape[1] != self.dim:
            raise InputError(
                f"embeddings have {embeddings.shape[1]} dimensions, but this loss was made with "
                f"dim={self.dim}."
            )
        if labels.device.type == "cpu" and labels.numel():
            low, high = (int(v) for v in labels.aminmax())
            if low < 0 or high >= self.num_classes:
                raise InputError(
                    f"label {low if low < 0 else high} is outside [0, {self.num_classes}): code "
                    "the classes from 0, or make the loss with a larger num_classes."
                )
        return super().evaluate(embeddings, labels)


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
    total = (terms * (active if reduction == "mean_active" else valid)).sum()
    return divide(total, n_active, n_total, reduction), n_active, n_total


def divide(
    total: Float[Tensor, "*s"],
    n_active: Int[Tensor, "*s"],
    n_total: Int[Tensor, "*s"],
    reduction: Reduction,
) -> Float[Tensor, "*s"]:
    """A sum of terms as the reduction wants it; 0 where there are none."""
    if reduction == "sum":
        return total
    return total / (n_active if reduction == "mean_active" else n_total).clamp_min(1)


def log_sum_exp(
    logits: Float[Tensor, "a m"],
) -> tuple[Float[Tensor, " a"], Float[Tensor, "a m"]]:
    """log Σ exp of each row, and its derivative, which takes the place of the logits."""
    top = logits.amax(1, keepdim=True)
    shares = logits.sub_(top).exp_()
    total = shares.sum(1, keepdim=True)
    return (top + total.log())[:, 0], shares.div_(total)


def against(
    logits: Float[Tensor, "a m"], spared: Float[Tensor, "a m"]
) -> tuple[Float[Tensor, "a 1"], Float[Tensor, "a 1"]]:
    """log Σ exp, and the largest, of each row's logits but where ``spared`` is 1 instead of 0.

    Both are large negative finite numbers in a row without any, so that gradients stay finite.
    The second has no gradient.
    """
    # Adding a large number costs a tenth of filling under a mask, and needs no mask to go back.
    others = torch.add(logits, spared, alpha=torch.finfo(logits.dtype).min / 2)
    return others.logsumexp(1, keepdim=True), others.detach().amax(1, keepdim=True)


def number(
    name: str, value: Any, low: float = 0.0, high: float = math.inf, *, above: bool = False
) -> float:
    """``value`` as a float, if finite and in [low, high], or in (low, high] if ``above``.

    Raises:
        InputError: otherwise.
    """
    plain = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not plain or not low <= value <= high or (above and value == low):
        wanted = f"above {low:g}" if above else f"{low:g} or more"
        wanted += f" and at most {high:.4g}" if high < math.inf else ""
        raise InputError(f"{name} is {value!r}; it must be a number, {wanted}.")
    return float(value)


def one_of(name: str, value: Any, choices: Any) -> Any:
    """``value``, if it is one of a ``Literal``'s.

    Raises:
        InputError: otherwise.
    """
    if value not in get_args(choices):
        raise InputError(f"{name} is {value!r}; use {', '.join(map(str, get_args(choices)))}.")
    return value


def flag(name: str, value: Any) -> bool:
    """``value``, if it is True or False.

    Raises:
        InputError: otherwise.
    """
    if not isinstance(value, bool):
        raise InputError(f"{name} is {value!r}; use true or false.")
    return bool(value)
