"""What pictures look like as plain pixels: one shape for all of a source."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from metriscope.data.backbones.base import Backbone, Extractor
from metriscope.data.pictures import Pictures
from metriscope.data.table import show
from metriscope.types import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

Shape = tuple[int, int, int]  # channels (1: grey, 3: RGB), height, width

SAMPLE = 64  # pictures that are looked at
LARGEST = 64  # sides up to this stay as they are
USUAL = 32
MOST = 256  # the largest side that can be asked for
_SHAPE = re.compile(r"(?:(\d{1,3})x)?(\d{1,3})x(\d{1,3})", re.ASCII)


def common_shape(pictures: Sequence[Pictures]) -> Shape:
    """The shape that suits the pictures of all parts, from up to 64 spread evenly over them.

    Grey if all of these are (R = G = B in each pixel); their own size if they share one of at most
    64 × 64, else 32 × 32.

    Raises:
        InputError: none of them can be read.
    """
    from metriscope.data.decoding import BrokenPicture, decode

    n = sum(map(len, pictures))
    rows = np.unique(np.linspace(0, n - 1, min(n, SAMPLE)).round().astype(np.int64))
    grey, sizes = True, set()
    for part, row in _places(pictures, rows):
        try:
            picture = decode(next(iter(part.shelf.read(row, row + 1))))
        except BrokenPicture:
            continue
        sizes.add((picture.height, picture.width))
        grey = grey and is_grey(picture)
    if not sizes:
        raise InputError(
            f"{pictures[0].origin}: none of {len(rows)} pictures that were looked at can be read."
        )
    height, width = sizes.pop() if len(sizes) == 1 else (LARGEST + 1, LARGEST + 1)
    if max(height, width) > LARGEST:
        height = width = USUAL
    return (1 if grey else 3), height, width


def is_grey(picture: Image) -> bool:
    """Whether an RGB picture has R = G = B everywhere."""
    pixels = np.asarray(picture)
    return bool((pixels == pixels[:, :, :1]).all())


def shape_of(name: str, argument: str, pictures: Sequence[Pictures]) -> Shape:
    """The shape that ``16x16`` or ``3x16x16`` asks for; what it leaves open, from the pictures.

    Raises:
        InputError: not a shape.
    """
    if not argument:
        return common_shape(pictures)
    match = _SHAPE.fullmatch(argument)
    channels, height, width = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    valid = min(height, width) >= 1 and max(height, width) <= MOST
    if not valid or (match and match[1] and channels not in (1, 3)):
        raise InputError(
            f"{name}: {show(argument)} is no shape; write {name}:HEIGHTxWIDTH with sides from 1 to "
            f"{MOST}, or {name}:CHANNELSxHEIGHTxWIDTH with 1 channel (grey) or 3: {name}:3x32x32."
        )
    return channels or common_shape(pictures)[0], height, width


def fitted(picture: Image, shape: Shape) -> np.ndarray:
    """A picture as (channels, height, width) uint8; squeezed, antialiased, if its size differs."""
    from PIL.Image import Resampling

    channels, height, width = shape
    if channels == 1:
        picture = picture.convert("L")
    if picture.size != (width, height):
        picture = picture.resize((width, height), Resampling.BILINEAR)
    pixels = np.asarray(picture, np.uint8)
    return pixels[np.newaxis] if channels == 1 else pixels.transpose(2, 0, 1)


def pixel_backbone(
    name: str, shape: Shape, tensor: str, values: Callable[[np.ndarray], np.ndarray]
) -> Backbone:
    """A backbone that computes each row from one picture's pixels, with NumPy, when preparing it.

    Args:
        name: of the backbone; the shape follows it.
        shape: of the pictures.
        tensor: what ``values`` computes, in words.
        values: (channels · height · width,) uint8 → the features, float32.
    """
    dim = shape[0] * shape[1] * shape[2]
    recipe = {
        "tensor": tensor,
        "weights": None,
        "preprocessing": {
            "library": "PIL",
            "channels": shape[0],
            "height": shape[1],
            "width": shape[2],
            "resample": "bilinear",
        },
    }

    def prepare(picture: Image) -> np.ndarray:
        return values(fitted(picture, shape).reshape(-1))

    extractor = Extractor(dim, (dim,), prepare, lambda x: x)
    return Backbone(f"{name}:{'x'.join(map(str, shape))}", recipe, lambda device, dtype: extractor)


def _places(pictures: Sequence[Pictures], rows: np.ndarray) -> list[tuple[Pictures, int]]:
    """The part, and the place in it, of each row of all parts in a row."""
    starts = np.cumsum([0, *map(len, pictures)])
    owners = np.searchsorted(starts, rows, "right") - 1
    return [(pictures[p], int(row - starts[p])) for p, row in zip(owners, rows, strict=True)]
