"""Which criterion a callback is to watch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from metriscope.types import InputError


def criterion_of(model: nn.Module, loss: str | Callable[..., Any] | None) -> Any:
    """The criterion: an attribute of the model by its dotted name, or what was given.

    Raises:
        InputError: the model has no such attribute.
    """
    if not isinstance(loss, str):
        return loss
    found: Any = model
    for name in loss.split("."):
        if not hasattr(found, name):
            modules = [name for name, _ in model.named_children()]
            raise InputError(
                f"{type(model).__name__} has no attribute {loss!r} to monitor; give loss= the name "
                f"of its criterion (it has {', '.join(modules) or 'no modules'}), or the criterion."
            )
        found = getattr(found, name)
    return found
