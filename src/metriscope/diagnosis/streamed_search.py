"""A search among rows that need not fit in memory: one pass over them, exact."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metriscope import ops
from metriscope.data.unit_rows import Block, UnitRows
from metriscope.diagnosis.sampling import Held, Progress
from metriscope.diagnosis.search import K, Search, nothing, same_id
from metriscope.diagnosis.sources import Rows
from metriscope.diagnostics.base import RESOLUTION
from metriscope.types import Embeddings

Own = Callable[[Block, int], np.ndarray]
"""(q, e) rows of a block that are a query's own, −1 for none; the block begins at that row."""


@dataclass(frozen=True, eq=False)
class Streamed:
    """What queries found, in codes of :class:`~metriscope.data.unit_rows.ClassCodes`.

    Attributes:
        queries: (q,) which of the held rows they are.
        nearest_y, nearest_ids, squared: (q, k), as in :class:`~metriscope.diagnosis.search.Search`.
        own: (q,) how many rows of its class were left out as its own.
        known: (q,) whether any row was left out as its own.
        counts: (C,) rows of each class in the gallery.
        collapsed: whether the gallery is one point, whose order would be that of the rows.
        spread: mean squared distance of its rows to their mean.
    """

    queries: np.ndarray
    nearest_y: np.ndarray
    nearest_ids: np.ndarray
    squared: np.ndarray
    own: np.ndarray
    known: np.ndarray
    counts: np.ndarray
    collapsed: bool
    spread: float

    def of_classes(self, final: np.ndarray) -> np.ndarray:
        """(C,) rows of each class in the gallery, by the final code of each code."""
        counts = np.zeros(int(final.max(initial=-1)) + 1, np.int64)
        counts[final[: len(self.counts)]] = self.counts
        return counts

    def search(self, embeddings: Embeddings, final: np.ndarray) -> Search:
        """Of the held rows, with the final code of each code."""
        if self.collapsed:
            return nothing(embeddings)
        y, names = embeddings.y[self.queries], embeddings.class_names
        counts = self.of_classes(final)
        return Search(
            y,
            embeddings.ids[self.queries],
            self.queries,
            np.where(self.nearest_y >= 0, final[self.nearest_y], -1),
            self.nearest_ids,
            self.squared,
            counts[y] - self.own,
            names,
            gallery_rows=int(self.counts.sum()),
        )


def search(
    held: Held,
    queries: np.ndarray,
    gallery: Rows,
    reader: UnitRows,
    own: Own,
    progress: Progress,
    k: int = K,
) -> Streamed:
    """Search some held rows among all rows of a gallery.

    Args:
        held: rows in memory. queries: (q,) which of them.
        gallery: what is searched, read once.
        reader: that read ``held``, for the codes of classes.
        own: the rows of a block that a query must not find.
        progress: told how far it is.
        k: neighbours of each query.
    """
    z, y = _unit(held.x[queries], reader.device), held.y[queries]
    nearest, beside = ops.NearestSoFar(z, min(k, gallery.most)), _Beside()
    left_out, counts = np.zeros(len(queries), np.int64), np.zeros(0, np.int64)
    known, spread, collapsed = np.zeros(len(queries), bool), _Spread(), True
    for stream in gallery.streams:
        for block in reader.read(stream):
            start, block_y = nearest.count, block.y.cpu().numpy()
            mine = own(block, start)
            nearest.add(block.z, torch.from_numpy(mine).to(reader.device))
            beside.add(nearest.rows.cpu().numpy(), start, block_y, block.table.ids)
            left_out += ((mine >= 0) & (block_y[mine] == y[:, None])).sum(1)
            known |= (mine >= 0).any(1)
            counts = _counted(counts, block_y)
            farthest = spread.add(block.z)
            collapsed = collapsed and farthest <= RESOLUTION
            progress(f"searching {gallery.origin}", nearest.count, gallery.most)
    found_y, found_ids = beside.of(nearest.rows.cpu().numpy())
    squared = nearest.squared.cpu().numpy()
    squared[found_y < 0] = np.nan
    return Streamed(
        queries, found_y, found_ids, squared, left_out, known, counts, collapsed, spread.mean()
    )


def own_rows(held: Held, queries: np.ndarray) -> Own:
    """In the rows that were sampled themselves: by where they stand."""
    at = held.at[queries]

    def own(block: Block, start: int) -> np.ndarray:
        place = at - start
        return np.where((place >= 0) & (place < len(block.y)), place, -1)[:, None]

    return own


def own_ids(held: Held, queries: np.ndarray) -> Own:
    """In a gallery whose rows have ids: by those."""
    return lambda block, start: same_id(held.ids[queries], block.table.ids)


def no_own(held: Held, queries: np.ndarray) -> Own:
    """In a gallery, where one side has no ids: none."""
    none = np.full((len(queries), 1), -1)
    return lambda block, start: none


class _Spread:
    """Mean squared distance of rows to their mean, from differences to the first of them."""

    def __init__(self) -> None:
        self._rows, self._squares = 0, 0.0
        self._first: Tensor | None = None
        self._sum: Tensor | None = None  # (1, d)

    def add(self, z: Float[Tensor, "n d"]) -> float:
        """The next rows; how far the farthest of them is from the first of all."""
        if self._first is None or self._sum is None:
            self._first, self._sum = z[:1].clone(), torch.zeros_like(z[:1])
        away = z - self._first
        squares = away.square().sum(1)
        self._rows, self._squares = self._rows + len(z), self._squares + float(squares.sum())
        self._sum += away.sum(0)
        return math.sqrt(float(squares.max()))

    def mean(self) -> float:
        """Of all rows so far; 0 of none."""
        if self._sum is None:
            return 0.0
        centre = float((self._sum / self._rows).square().sum())
        return max(self._squares / self._rows - centre, 0.0)


class _Beside:
    """Labels and ids of the rows that are among the nearest, and of a row −1: label −1."""

    def __init__(self) -> None:
        self._rows, self._y = np.array([-1]), np.array([-1])
        self._ids = np.zeros(1, object)

    def add(self, nearest: np.ndarray, start: int, y: np.ndarray, ids: np.ndarray) -> None:
        """Those of a block that begins at row ``start``; those no longer near are let go."""
        new = np.unique(nearest[(nearest >= start) & (nearest < start + len(y))])
        self._rows = np.concatenate([self._rows, new])
        self._y = np.concatenate([self._y, y[new - start]])
        self._ids = np.concatenate([self._ids, ids[new - start].astype(object)])
        if len(self._rows) > 4 * nearest.size:
            stay = np.isin(self._rows, nearest)
            stay[0] = True
            self._rows, self._y, self._ids = self._rows[stay], self._y[stay], self._ids[stay]

    def of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels and ids of rows that are among them; label −1 of ``NO_ROW``."""
        place = np.searchsorted(self._rows, np.where(rows < ops.NO_ROW, rows, -1))
        return self._y[place], np.asarray(self._ids[place].tolist())


def _counted(counts: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Counts by code, and those of more rows, whose codes may be new."""
    more = np.bincount(y, minlength=len(counts))
    more[: len(counts)] += counts
    return more


def _unit(x: np.ndarray, device: str) -> Float[Tensor, "q d"]:
    z, _ = ops.unit_rows(torch.from_numpy(np.array(x, np.float64)).to(device))
    return z
