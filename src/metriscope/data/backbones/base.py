"""What a backbone is: a recipe that decides its features, and how to load what computes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from metriscope.data.pictures import Digest, Pictures

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Extractor:
    """A loaded backbone.

    Attributes:
        dim: width of the features.
        shape: of one prepared picture, ``(3, 224, 224)``.
        prepare: an RGB picture → an array of ``shape``, uint8 or float32. Called from many threads.
        forward: (b, \\*shape) on the device → (b, dim) float32, without gradients. Row i depends
            on picture i alone.
    """

    dim: int
    shape: tuple[int, ...]
    prepare: Callable[[Image], np.ndarray]
    forward: Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Backbone:
    """A frozen map from pictures to features, not loaded yet.

    Attributes:
        name: as runs are keyed and reports show it: ``clip-vit-b32``, ``hf:dinov2-base``.
        recipe: plain JSON types; everything that decides the features but the pictures, the
            number type and the device: ``tensor`` (which output is taken), ``weights`` (repository
            and revision, or SHA-256 of the files), ``preprocessing``.
        load: device (``cpu``, ``cuda``), dtype (``float32``, ``bfloat16``) → the extractor.
    """

    name: str
    recipe: Mapping[str, Any]
    load: Callable[[str, str], Extractor]


# What follows the name after a colon, the pictures it is for, and how to hash a file → a backbone.
Make = Callable[[str, Sequence[Pictures], Digest], Backbone]
