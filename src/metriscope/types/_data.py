"""Labelled vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from metriscope.text import name_rows
from metriscope.types._errors import InputError


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Labelled vectors: a backbone's features, or a head's output.

    Attributes:
        x: (n, d) floating point, finite.
        y: (n,) int64, an index into ``class_names``.
        class_names: the labels as text, in the order of their codes. A class may be absent.
        split: ``train``, ``test`` or ``all``.
        origin: what made them, for people: a path, a dataset, a run's key.
        ids: (n,) what each row is called, text or integers; by default its row number.

    Raises:
        InputError: wrong shapes, no rows, NaN or infinite values (the rows are named), a code
            without a class name.
    """

    x: np.ndarray
    y: np.ndarray
    class_names: tuple[str, ...]
    split: str = "all"
    origin: str = "memory"
    ids: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        x, y = np.asarray(self.x), np.asarray(self.y)
        if x.ndim != 2:
            raise InputError(
                f"{self.origin}: features must be a matrix (rows, dimensions), not shape {x.shape}."
            )
        if not len(x) or not x.shape[1]:
            raise InputError(f"{self.origin}: no data: the features have shape {x.shape}.")
        if not np.issubdtype(x.dtype, np.floating):
            raise InputError(f"{self.origin}: features must be floating point, not {x.dtype}.")
        if y.shape != (len(x),):
            raise InputError(
                f"{self.origin}: {len(x)} rows but labels of shape {y.shape}; "
                "every row needs exactly one label."
            )
        if y.min() < 0 or y.max() >= len(self.class_names):
            raise InputError(f"{self.origin}: label codes must index the class names.")
        bad = rows_where_not(x, np.isfinite)
        if len(bad):
            raise InputError(
                f"{self.origin}: NaN or infinite values in {name_rows(bad)}; "
                "remove these rows or compute them again."
            )
        ids = np.asarray(self.ids) if len(self.ids) else np.arange(len(x))
        if len(ids) != len(x):
            raise InputError(f"{self.origin}: {len(x)} rows but {len(ids)} ids.")
        if ids.dtype == object:
            ids = ids.astype(str)
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", y.astype(np.int64, copy=False))
        object.__setattr__(self, "ids", ids)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def num_classes(self) -> int:
        """How many class names there are, present or not."""
        return len(self.class_names)

    @cached_property
    def counts(self) -> np.ndarray:
        """(C,) rows of each class."""
        return np.bincount(self.y, minlength=self.num_classes)

    @cached_property
    def singletons(self) -> int:
        """How many classes have exactly one row here: they have no positive pair."""
        return int((self.counts == 1).sum())


def rows_where_not(x: np.ndarray, test: Any, block: int = 1 << 12) -> np.ndarray:
    """Indices of rows with an element failing ``test``, found a block at a time."""
    found = [
        start + np.flatnonzero(~test(x[start : start + block]).all(axis=1))
        for start in range(0, len(x), block)
    ]
    return np.concatenate(found) if found else np.empty(0, np.int64)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A train and a test part with the same classes, ready to be compared on.

    Attributes:
        name: short name, part of a run's key.
        split: how the parts came about: ``given``, or a sentence about the split made here.
        fingerprint: hex digest of both parts' features and labels.
        notes: what a person should know about this data, each one sentence.
        backbone: what made the features of pictures; ``features`` if they came as they are.
        manifests: how it made them, by part of the source, in plain JSON types.
        validation: what was taken out of ``train`` to choose by; None if nothing was.
    """

    name: str
    train: Embeddings
    test: Embeddings
    split: str
    fingerprint: str
    notes: tuple[str, ...] = ()
    backbone: str = "features"
    manifests: Mapping[str, Any] = field(default_factory=dict)
    validation: Embeddings | None = None

    @property
    def num_classes(self) -> int:
        """Classes over both parts."""
        return self.train.num_classes
