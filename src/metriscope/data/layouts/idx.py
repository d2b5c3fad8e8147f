"""IDX files, as MNIST and Fashion-MNIST come: ``train-images-idx3-ubyte`` and its like."""

from __future__ import annotations

import gzip
import math
import struct
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from metriscope.data.pictures import Arrays, Pictures
from metriscope.data.reading import reading
from metriscope.data.table import Labels
from metriscope.types import InputError

# Where the files may lie below a folder; the last three are torchvision's.
_PLACES = ("", "raw", "MNIST/raw", "FashionMNIST/raw")
_PARTS = {"train": "train", "test": "t10k"}
_LARGEST = 1 << 31  # bytes of one array


def recognises(folder: Path) -> bool:
    """Whether a file of pictures is here, or in ``raw`` or ``MNIST/raw`` below."""
    return bool(_homes(folder))


def read(folder: Path, notes: list[str]) -> dict[str, Pictures]:
    """Both parts, grey, in memory. The labels name themselves; ids are row numbers.

    Raises:
        InputError: a file is missing, truncated or no IDX file; two sets of files.
    """
    homes = _homes(folder)
    if len(homes) > 1:
        raise InputError(
            f"{folder}: IDX files in {' and in '.join(str(h.relative_to(folder)) for h in homes)}; "
            "give one of these folders."
        )
    parts = {}
    for part, prefix in _PARTS.items():
        images = _find(homes[0], f"{prefix}-images", 3)
        labels = _find(homes[0], f"{prefix}-labels", 1)
        pixels, codes = _read(images, 3), _read(labels, 1)
        if len(pixels) != len(codes):
            raise InputError(
                f"{labels}: {len(codes):,} labels, but {images.name} has {len(pixels):,} pictures; "
                "are both of one data set?"
            )
        files = [images, labels]
        parts[part] = Pictures(Arrays(pixels, files), Labels.of(codes, str(labels)), str(homes[0]))
    return parts


def _homes(folder: Path) -> list[Path]:
    return [
        folder / place
        for place in _PLACES
        if any(_candidates(folder / place, f"{prefix}-images", 3) for prefix in _PARTS.values())
    ]


def _candidates(folder: Path, stem: str, dims: int) -> list[Path]:
    names = [f"{stem}{dot}idx{dims}-ubyte{gz}" for gz in ("", ".gz") for dot in "-."]
    return [folder / name for name in names if (folder / name).is_file()]


def _find(folder: Path, stem: str, dims: int) -> Path:
    found = _candidates(folder, stem, dims)
    if not found:
        raise InputError(f"{folder}: {stem}-idx{dims}-ubyte (or .gz) is missing; fetch all four.")
    return found[0]


def _read(path: Path, dims: int) -> np.ndarray:
    """The uint8 array of a file: a magic number, the sizes in big endian, the values."""
    with reading(path), path.open("rb") as raw:
        if path.suffix != ".gz":
            return _values(raw, path, dims)
        try:
            with gzip.GzipFile(fileobj=raw) as packed:
                return _values(packed, path, dims)
        except EOFError as error:
            raise _truncated(path) from error


def _values(file: BufferedIOBase, path: Path, dims: int) -> np.ndarray:
    head = file.read(4 * (1 + dims))
    if len(head) < 4 * (1 + dims):
        raise _truncated(path)
    magic, *shape = struct.unpack(f">{1 + dims}I", head)
    if magic != 0x0800 + dims:  # 0x08: uint8
        raise InputError(
            f"{path}: not an IDX file of {dims}-dimensional bytes (it starts with {magic:#010x}, "
            f"not {0x0800 + dims:#010x}). Is it another file, or still packed?"
        )
    if math.prod(shape) > _LARGEST or 0 in shape:
        raise InputError(f"{path}: announces {' × '.join(map(str, shape))} values; damaged?")
    values = np.empty(shape, np.uint8)
    buffer, have = values.data.cast("B"), 0
    while have < len(buffer):
        got = file.readinto(buffer[have : have + (1 << 20)])
        if not got:
            raise _truncated(path)
        have += got
    if file.read(1):  # reads to the end, where gzip checks the sum
        raise InputError(f"{path}: more bytes than its header announces; damaged? Fetch it again.")
    return values


def _truncated(path: Path) -> InputError:
    return InputError(f"{path}: ends before the header says; truncated? Fetch it again.")
