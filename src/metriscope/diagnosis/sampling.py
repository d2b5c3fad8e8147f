"""Rows of streams in memory: all of them, or a uniform sample, with the moments of all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from metriscope.data.memory import free_memory
from metriscope.data.table import Table
from metriscope.data.unit_rows import UnitRows
from metriscope.diagnosis.sources import Rows
from metriscope.diagnostics.base import Moments
from metriscope.measurement import Sums
from metriscope.types import InputError

_COPIES = 5  # of the held rows, in float64, that are alive at once

Progress = Callable[[str, int, int], None]
"""Told what is done, how many rows are, and of how many, or more."""


@dataclass(frozen=True, eq=False)
class Held:
    """Rows that were read.

    Attributes:
        x: (m, d) those in memory, in the order they came.
        y: (m,) codes of :class:`~metriscope.data.unit_rows.ClassCodes`.
        ids: (m,) integers or text; row numbers where the source has none.
        at: (m,) which row of all it is, from 0; rows that were dropped are not counted.
        order: (m,) the rows in random order: the first q are a random sample of all.
        rows: how many there are.
        moments: of all rows; None where all are in memory.
    """

    x: np.ndarray
    y: np.ndarray
    ids: np.ndarray
    at: np.ndarray
    order: np.ndarray
    rows: int
    moments: Moments | None


def read(
    rows: Rows,
    reader: UnitRows,
    sample: int,
    seed: int,
    progress: Progress,
    *,
    moments: bool = False,
) -> Held:
    """Read streams once.

    Args:
        rows: the streams. reader: reads them.
        sample: how many rows to hold.
        seed: of the sample.
        progress: told how far it is.
        moments: whether to add up those of all rows, if not all are held.

    Raises:
        InputError: rows that cannot be used, none that is left, no memory for the sample.
    """
    kept = Reservoir(min(sample, rows.most), seed)
    sums = Sums(reader) if moments and rows.most > sample else None
    for stream in rows.streams:
        for block in reader.read(stream):
            if not kept.count:
                _check_room(rows, reader, kept.size)
            kept.add(block.table, block.y.cpu().numpy())
            if sums is not None:
                sums.add(block, stream.origin)
            progress(f"reading {rows.origin}", kept.count, rows.most)
    if not kept.count:
        raise InputError(f"{rows.origin}: every row is a zero vector, so nothing is left.")
    return kept.held(sums.moments() if sums is not None and kept.count > sample else None)


def _check_room(rows: Rows, reader: UnitRows, size: int) -> None:
    need, free = 8 * _COPIES * size * reader.dim, free_memory("cpu")
    if need > free:
        raise InputError(
            f"{rows.origin}: {size:,} rows of {reader.dim} dimensions need about {need / 1e9:.1f} "
            f"GB of memory, and {free / 1e9:.1f} are free. Hold fewer with --sample (sample=)."
        )


class Reservoir:
    """A uniform sample without replacement of rows that come a block at a time.

    Every row draws a number, and the ``size`` smallest stay; so the sample depends on the seed and
    the rows, not on how they are cut into blocks.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size, self.count = size, 0
        self._random = np.random.default_rng(seed)
        self._keys, self._at = np.full(size, np.inf), np.zeros(size, np.int64)
        self._y, self._ids = np.zeros(size, np.int64), np.zeros(size, object)
        self._x = np.empty((0, 0))

    def add(self, table: Table, y: np.ndarray) -> None:
        """The next rows and their class codes."""
        if not self.count:
            self._x = np.empty((self.size, table.x.shape[1]), _float_type(table.x.dtype))
        keys = self._random.random(len(table))
        free = np.arange(min(self.count, self.size), min(self.count + len(table), self.size))
        new = np.arange(len(free))
        self._put(free, new, keys, table, y)
        rest = len(free) + np.flatnonzero(keys[len(free) :] < self._keys.max())
        if len(rest):
            both = np.concatenate([self._keys, keys[rest]])
            stay = np.zeros(len(both), bool)
            stay[np.argpartition(both, self.size - 1)[: self.size]] = True
            places = np.flatnonzero(~stay[: self.size])
            self._put(places, rest[stay[self.size :]], keys, table, y)
        self.count += len(table)

    def _put(
        self, places: np.ndarray, rows: np.ndarray, keys: np.ndarray, table: Table, y: np.ndarray
    ) -> None:
        self._keys[places], self._at[places] = keys[rows], self.count + rows
        self._x[places], self._y[places] = table.x[rows], y[rows]
        self._ids[places] = table.ids[rows]

    def held(self, moments: Moments | None) -> Held:
        """What is in the sample, in the order it came."""
        m = min(self.count, self.size)
        order = np.argsort(self._at[:m])
        ids = np.asarray(self._ids[:m][order].tolist())
        return Held(
            self._x[order] if m < len(self._x) or (np.diff(order) < 0).any() else self._x,
            self._y[order],
            ids,
            self._at[order],
            np.argsort(self._keys[order]),
            self.count,
            moments,
        )


def _float_type(dtype: np.dtype) -> np.dtype:
    """The floating type that holds numbers of a type, as far as one can."""
    small = dtype.itemsize <= (4 if dtype.kind == "f" else 2)
    return np.dtype(np.float32 if small else np.float64)
