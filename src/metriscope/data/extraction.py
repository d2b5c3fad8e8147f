"""Pictures in, features out: decoded in threads, computed in batches, kept in the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metriscope.data.backbones import DEFAULT
from metriscope.data.pictures import Pictures


@dataclass(frozen=True)
class Extraction:
    """How pictures become features.

    Attributes:
        backbone: a name, or ``name:argument``; see :func:`metriscope.data.backbones.resolve`.
        device: ``auto``, ``cpu`` or ``cuda``.
        dtype: ``float32``, or ``bfloat16`` where the hardware has it.
        strict: stop at the first picture that cannot be read, instead of leaving it out.
        cache: the folder of the cache; by default :func:`metriscope.data.cache.default_folder`.
        progress: told (what, pictures done, pictures in all); the first call, before any work, has
            what the cache held.
        notify: told, in sentences, what a person should know while it works.
    """

    backbone: str = DEFAULT
    device: str = "auto"
    dtype: str = "float32"
    strict: bool = False
    cache: Path | None = None
    progress: Callable[[str, int, int], None] = lambda what, done, total: None
    notify: Callable[[str], None] = lambda sentence: None


@dataclass(frozen=True, eq=False)
class Features:
    """The features of some pictures, on disk and whole.

    Attributes:
        backbone: its name.
        dim: their width.
        manifest: plain JSON types: how they were made; see :func:`extract`.
        broken: why a picture has none, by its place.
    """

    backbone: str
    dim: int
    manifest: Mapping[str, Any]
    broken: Mapping[int, str]

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(rows, features (len(rows), dim) float32), in order, without the broken ones."""
        raise NotImplementedError


def extract(parts: Mapping[str, Pictures], how: Extraction) -> dict[str, Features]:
    """The features of each part, computed where the cache does not hold them yet."""
    raise NotImplementedError
