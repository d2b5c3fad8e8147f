"""Pixels for the small network that is trained from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metriscope.data.backbones import register
from metriscope.data.backbones._pixels import pixel_backbone, shape_of
from metriscope.data.backbones.base import Backbone
from metriscope.data.pictures import Digest, Pictures


@register("cnn")
def cnn(argument: str, pictures: Sequence[Pictures], digest: Digest) -> Backbone:
    """A small convolutional network, trained with the head (--train-backbone): pixels from 0 to 1.

    The shape is chosen as for ``pixels``; ``cnn:3x32x32`` sets it.
    """
    shape = shape_of("cnn", argument, pictures)
    return pixel_backbone("cnn", shape, "grey values / 255", scaled)


def scaled(x: np.ndarray) -> np.ndarray:
    """(n,) uint8 → x / 255, float32."""
    return x.astype(np.float32) / np.float32(255)
