"""Frozen backbones: one file, one way from pictures to features.

A backbone is a function decorated with ``@register("name")``, of what follows the name after a
colon (``hf:facebook/dinov2-base``), the pictures it is for, and a function that hashes files; it
returns a :class:`~metriscope.data.backbones.base.Backbone` without loading a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from metriscope.registry import Registry

if TYPE_CHECKING:
    from metriscope.data.backbones.base import Backbone, Make
    from metriscope.data.pictures import Digest, Pictures

BACKBONES: Registry[Make] = Registry("backbone", "metriscope.data.backbones", hyphens=True)
register = BACKBONES.register
DEFAULT = "clip-vit-b32"


def resolve(text: str, pictures: Sequence[Pictures], digest: Digest) -> Backbone:
    """The backbone that ``name`` or ``name:argument`` means.

    Raises:
        InputError: an unknown name (the nearest is named), weights that are not there.
    """
    name, _, argument = text.partition(":")
    return BACKBONES.get(name)(argument, pictures, digest)
