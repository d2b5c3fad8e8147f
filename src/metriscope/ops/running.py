"""Exact nearest neighbours among rows that come a block at a time."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metriscope.ops.neighbours import Gallery
from metriscope.ops.ranking import nearest_first

NO_ROW = 1 << 40
"""Row of a neighbour that is not there: after every row that is."""


class NearestSoFar:
    """The k nearest of each query among the rows so far, as one search of them all would find.

    Rows are numbered as they come, from 0. Distances that differ by rounding alone are equal, and
    equal ones go to the lower row, as in :func:`metriscope.ops.neighbour_blocks`.

    Args:
        queries: (q, d) float64.
        k: neighbours of each.

    Attributes:
        rows: (q, k) rows, nearest first; ``NO_ROW`` where there were fewer.
        squared: (q, k) squared distances; infinite there.
        count: rows so far.
    """

    def __init__(self, queries: Float[Tensor, "q d"], k: int) -> None:
        self._queries, self._k = queries, k
        self.squared = queries.new_full((len(queries), k), torch.inf)
        self.rows = torch.full_like(self.squared, NO_ROW, dtype=torch.int64)
        self.count = 0
        self._squares: Tensor | None = None  # (q, 1) of a query to the centre of the first block

    def add(self, block: Float[Tensor, "n d"], own: Int[Tensor, "q e"] | None = None) -> None:
        """The next rows, a query's ``own`` ones of them (−1 for none) left out."""
        among = Gallery(block)
        if self._squares is None:
            self._squares = (self._queries - among.centre).square().sum(1, keepdim=True)
        for part in among.parts(len(self._queries)):
            mine = None if own is None else own[part]
            found, far = among.nearest(self._queries[part], mine, min(self._k, among.n))
            found = (found + self.count).where(far.isfinite(), NO_ROW)
            squared, rows, _ = nearest_first(
                torch.cat([self.squared[part], far], 1),
                torch.cat([self.rows[part], found], 1),
                self._squares[part],
            )
            self.squared[part], self.rows[part] = squared[:, : self._k], rows[:, : self._k]
        self.count += among.n
