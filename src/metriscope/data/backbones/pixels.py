"""The pixels themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metriscope.data.backbones import register
from metriscope.data.backbones._pixels import pixel_backbone, shape_of
from metriscope.data.backbones.base import Backbone
from metriscope.data.pictures import Digest, Pictures


@register("pixels")
def pixels(argument: str, pictures: Sequence[Pictures], digest: Digest) -> Backbone:
    """The pixels, each picture standardised by itself: no weights, nothing to download.

    Formula, of one picture's N = C·H·W grey values x::

        (x − mean) / max(SD, 1/√N)

    All pictures have one shape: their own if it is common and at most 64 × 64, else 32 × 32; grey
    if all are. ``pixels:16x16`` or ``pixels:3x16x16`` sets it.
    """
    shape = shape_of("pixels", argument, pictures)
    tensor = "grey values, minus their mean, by their SD, of each picture"
    return pixel_backbone("pixels", shape, tensor, standardised)


def standardised(x: np.ndarray) -> np.ndarray:
    """(n,) uint8 → (x − mean) / max(SD, 1/√n), float32; computed in float64."""
    values = x.astype(np.float64)
    centred = values - values.mean()
    found: np.ndarray = centred / max(float(centred.std()), x.size**-0.5)
    return found.astype(np.float32)
