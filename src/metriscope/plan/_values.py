"""One setting: its type, and whether a loss can be made with it."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from metriscope import losses
from metriscope.registry import unknown
from metriscope.types import InputError, MetriscopeError

if TYPE_CHECKING:
    from metriscope.losses.base import Loss


def coerce(name: str, value: Any, default: Any) -> Any:
    """``value``, possibly text from a command line, as the type of ``default``.

    Raises:
        InputError: it is something else.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str) and not isinstance(default, str):
        try:
            value = ast.literal_eval(value.title() if value.lower() in ("true", "false") else value)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            raise InputError(f"{name} is {value!r:.80}; it must be like {default!r}.") from None
    if isinstance(default, tuple):
        items = tuple(value) if isinstance(value, list | tuple) else (value,)
        return tuple(coerce(name, item, default[0] if default else items[0]) for item in items)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if default is not None and type(value) is not type(default):
        raise InputError(f"{name} is {value!r:.80}; it must be like {default!r}.")
    return value


def make(name: str, dim: int, params: Mapping[str, Any]) -> Loss:
    """The loss, before any training, so that what is wrong with it shows now.

    Raises:
        InputError: it cannot be made.
    """
    try:
        return losses.create(name, num_classes=2, dim=dim, **params)
    except MetriscopeError:
        raise
    except Exception as error:
        raise InputError(
            f"the loss {name!r} cannot be made: {type(error).__name__}: {error}. "
            "Its parameters must be keyword-only, each with a literal default."
        ) from error


def unknown_setting(name: str, groups: Sequence[str]) -> str:
    """What is said of a setting that is none of ``groups``, nor in one of them."""
    group = name.partition(".")[0]
    if group in losses.LOSSES.names():
        return f"{name}: {group} is not among the compared losses; add it to --losses."
    return unknown("setting", group, groups) + " Write it as triplet.margin=0.5."
