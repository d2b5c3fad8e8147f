"""What a call of a criterion tells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from metriscope.types import LossOutput

Again = Callable[[Tensor, Tensor], LossOutput]


@dataclass(frozen=True, eq=False)
class Counts:
    """What a criterion says of its terms.

    Attributes:
        output: as of our own losses; shares of 0 terms, of 0 samples are undefined.
        excluded: whether ``output.excluded`` is a count.
        again: evaluates another batch, (b, d) and (b,), with a loss that has a gradient; None where
            this call depends on more than its embeddings and labels.
        compares: whether terms are of several rows; None: unknown.
    """

    output: LossOutput
    excluded: bool = True
    again: Again | None = None
    compares: bool | None = None


@dataclass(frozen=True, eq=False)
class Heard:
    """One call of a criterion.

    Attributes:
        loss: () or (b,), with its graph. embeddings: (b, d) each, with their graphs.
        labels: (b,) integers.
        counts: None where nothing is known of the terms.
    """

    loss: Tensor
    embeddings: tuple[Tensor, ...]
    labels: Tensor | None = None
    counts: Counts | None = None


Hear = Callable[[Heard], None]


class Hook:
    """A hook of a module that copies and pickles as one that does nothing."""

    def __init__(self, call: Callable[..., None]) -> None:
        self.call = call

    def __call__(self, *args: Any) -> None:
        """What the module calls."""
        self.call(*args)

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (nullcontext(), "__exit__")  # takes anything, and is Python's own


@dataclass
class _Silence:
    depth: int = 0


_silence = _Silence()


@contextmanager
def silenced() -> Iterator[None]:
    """Criteria that are called in here are heard by no monitor."""
    _silence.depth += 1
    try:
        yield
    finally:
        _silence.depth -= 1


def is_silenced() -> bool:
    """Whether a monitor itself is calling."""
    return _silence.depth > 0


def unknown(loss: Tensor, b: int) -> Counts:
    """Counts of nothing: every share is 0 of 0."""
    none = torch.zeros((), dtype=torch.int64, device=loss.device)
    nobody = torch.zeros(b, dtype=torch.bool, device=loss.device)
    return Counts(LossOutput(loss.detach().mean(), none, none, nobody, none + b), excluded=False)


# ------------------------------------------------------------------------------- reading arguments


def tensors(*values: Any) -> Iterator[Tensor]:
    """All tensors in nested arguments, in their order."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, dict):
            yield from tensors(*value.values())
        elif isinstance(value, list | tuple):
            yield from tensors(*value)


def find_embeddings(found: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """The first floating-point matrix, and those like it."""
    matrices = [x for x in found if x.ndim == 2 and x.is_floating_point()]
    return tuple(x for x in matrices if x.shape == matrices[0].shape)


def find_labels(found: Iterable[Tensor], b: int) -> Tensor | None:
    """The first vector of b integers."""
    whole = (x for x in found if x.shape == (b,) and not x.is_floating_point())
    return next((x for x in whole if not x.is_complex() and x.dtype != torch.bool), None)


def find_loss(output: Any) -> Tensor | None:
    """What is differentiated: the only tensor, or ``loss`` of several, or the first scalar."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, dict) and isinstance(output.get("loss"), Tensor):
        return find_loss(output["loss"])
    if isinstance(getattr(output, "loss", None), Tensor):
        return find_loss(output.loss)
    return next((x for x in tensors(output) if x.numel() == 1 and x.requires_grad), None)


def plain(module: Any) -> dict[str, Any]:
    """The attributes that are numbers, words or flags."""
    found = vars(module) if hasattr(module, "__dict__") else {}
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, str | float | int | bool)
        and not name.startswith("_")
        and name != "training"
    }


def is_compiled(module: Any) -> bool:
    """Whether ``torch.compile`` made it of another module."""
    return isinstance(module, nn.Module) and type(module).__name__ == "OptimizedModule"


def unwrapped(module: Any) -> Any:
    """What is inside DistributedDataParallel, and wrappers that gather for the one inside."""
    while isinstance(module, nn.Module):
        if isinstance(module, nn.parallel.DistributedDataParallel):
            module = module.module
        elif type(module).__name__ == "DistributedLossWrapper":
            module = module.loss
        else:
            break
    return module
