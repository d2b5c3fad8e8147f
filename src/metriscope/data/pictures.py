"""Labelled pictures where they lie: nothing is read before it is needed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from metriscope.data.table import Labels
from metriscope.types import InputError

Raw = bytes | Path | np.ndarray  # an encoded picture, a file of one, or (h, w[, 3]) uint8 pixels
Digest = Callable[[Path], str]  # SHA-256 of a file's content, in hex


class Shelf(Protocol):
    """Where pictures lie, in a fixed order."""

    def __len__(self) -> int:
        """How many."""

    def read(self, start: int, stop: int) -> Iterator[Raw]:
        """Pictures ``start`` to ``stop``, in order. One that cannot be read is its error's turn
        in :func:`metriscope.data.decoding.decode`, not here: give its path, or what there is.
        """

    def identity(self, digest: Digest) -> str:
        """SHA-256, in hex, of the content of all pictures in order."""


@dataclass(frozen=True, eq=False)
class Files:
    """A file a picture."""

    paths: Sequence[Path]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, start: int, stop: int) -> Iterator[Raw]:
        """Paths: whoever decodes opens them."""
        yield from self.paths[start:stop]

    def identity(self, digest: Digest) -> str:
        """Of the files' contents, not of their names."""
        return _join(digest(path) for path in self.paths)


@dataclass(frozen=True, eq=False)
class Arrays:
    """Pictures of one size in memory.

    Attributes:
        pixels: (n, h, w) or (n, h, w, 3) uint8.
        files: what they were read from.
    """

    pixels: np.ndarray
    files: Sequence[Path]

    def __len__(self) -> int:
        return len(self.pixels)

    def read(self, start: int, stop: int) -> Iterator[Raw]:
        """Rows of ``pixels``."""
        yield from self.pixels[start:stop]

    def identity(self, digest: Digest) -> str:
        """Of the files they came from."""
        return _join(digest(path) for path in self.files)


@dataclass(frozen=True, eq=False)
class Pictures:
    """A part of a source, as :class:`~metriscope.data.table.Table` has it but for the features.

    Attributes:
        shelf: n pictures.
        labels: n of them.
        origin: what to call it in messages: a path or a dataset.
        class_names: text; integer labels index it. None: the labels name themselves.
        ids: (n,) integers or text: a file's path below the source's folder, or a row number.
        split: (n,) text that says which part a row belongs to, or None.
        notes: what a person should know of them, each one sentence.

    Raises:
        InputError: no pictures, or other numbers of labels or ids.
    """

    shelf: Shelf
    labels: Labels
    origin: str
    class_names: tuple[str, ...] | None = None
    ids: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    split: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.shelf)
        if not n:
            raise InputError(f"{self.origin}: no pictures in it.")
        if not len(self.ids):
            object.__setattr__(self, "ids", np.arange(n))
        object.__setattr__(self, "ids", _as_text(self.ids))
        texts = tuple(v if isinstance(v, int) else _escaped(v) for v in self.labels.values)
        object.__setattr__(self, "labels", Labels(self.labels.codes, texts))
        for what, values in (("labels", self.labels), ("ids", self.ids), ("split", self.split)):
            if values is not None and len(values) != n:
                raise InputError(f"{self.origin}: {n} pictures but {len(values)} {what}.")

    def __len__(self) -> int:
        return len(self.shelf)


def _as_text(ids: np.ndarray) -> np.ndarray:
    """Names of files that are no text (half surrogates) with escapes in their places."""
    if ids.dtype.kind != "U":
        return ids
    try:
        "".join(ids.tolist()).encode()
    except UnicodeEncodeError:
        return np.asarray([_escaped(name) for name in ids.tolist()], dtype=str)
    return ids


def _escaped(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


def _join(digests: Iterable[str]) -> str:
    whole = hashlib.sha256()
    for digest in digests:
        whole.update(bytes.fromhex(digest))
    return whole.hexdigest()
