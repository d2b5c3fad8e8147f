"""Losses: one file, one loss.

:func:`create` makes one by name. To add your own, write a subclass of
:class:`metriscope.losses.base.Loss` and decorate it with ``@register("name")``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metriscope.registry import Registry, unknown
from metriscope.types import InputError

if TYPE_CHECKING:
    from metriscope.losses.base import Loss

PAPER = ("contrastive", "triplet", "npair", "infonce", "arcface", "scl", "ccl")
"""The seven losses of the paper, in its order."""

LOSSES: Registry[type[Loss]] = Registry("loss", "metriscope.losses")
register = LOSSES.register


def create(
    name: str, *, num_classes: int | None = None, dim: int | None = None, **params: Any
) -> Loss:
    """Make a loss.

    Args:
        name: as ``metriscope list losses`` prints it.
        num_classes, dim: needed by losses with a vector for each class (ArcFace, CCL); the others
            ignore them, so that one line can make any loss.
        params: of this loss; ``metriscope list losses`` prints them with their defaults.

    Raises:
        InputError: unknown name or parameter (the nearest one is named), or a bad value.
    """
    resolve(name, params)
    cls = LOSSES.get(name)
    if cls.class_level:
        if num_classes is None or dim is None:
            raise InputError(
                f"{name} learns one vector a class: pass num_classes= and dim= (the embedding's)."
            )
        params = {"num_classes": num_classes, "dim": dim, **params}
    return cls(**params)


def resolve(name: str, params: dict[str, Any]) -> dict[str, Any]:
    """All parameters of the loss ``name``, the given ones over its defaults. Imports no torch.

    Raises:
        InputError: unknown loss or parameter.
    """
    if name not in LOSSES.names():
        raise InputError(unknown("loss", name, LOSSES.names()))
    defaults = LOSSES.describe(name).parameters
    for given in params:
        if given not in defaults:
            raise InputError(unknown(f"parameter of {name}", given, defaults))
    return {**defaults, **params}
