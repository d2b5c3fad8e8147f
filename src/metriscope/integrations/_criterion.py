"""Which criterion a callback is to watch, and what the callback is called."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

from metriscope.integrations._names import PREFIX
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


def named(name: str | None, prefix: str) -> tuple[str, str]:
    """What a callback's state and its rows are called: each from the other, where it is not given.

    Returns:
        The name, empty where neither is given, and the prefix.

    Raises:
        InputError: the name cannot be part of a file's.
    """
    if name is None:
        return "" if prefix == PREFIX else re.sub(r"\W+", "-", prefix).strip("-"), prefix
    if not re.fullmatch(r"[\w.-]+", name):
        raise InputError(f"name is {name!r}; it must be letters, digits and any of _ . - only.")
    return name, f"{PREFIX}{name}/" if prefix == PREFIX else prefix


def refuse_twins(own: Any, others: Iterable[Any]) -> None:
    """Callbacks of one run must differ in name and prefix.

    Raises:
        InputError: another has one of this one's.
    """
    for other in others:
        if other is not own and (other.name == own.name or other.prefix == own.prefix):
            raise InputError(
                f"two monitor callbacks both log as {own.prefix!r}: give one of them another name, "
                "as in MonitorCallback(..., name='second')."
                if other.prefix == own.prefix
                else f"two monitor callbacks both have the name {own.name!r}: give one another."
            )
