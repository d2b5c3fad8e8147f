"""Exact nearest neighbours: candidates in float32, answers in float64."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metriscope.ops.ranking import CHUNK, nearest_first, nearest_of_rows, settled, smallest

FEW = 32
"""Most neighbours that are searched for in float32; more are ranked in float64 at once."""

BLOCK_BYTES = 1 << 28

_SAMPLE = 1024  # rows whose median is the centre
_FOR_GOOD = 1 << 60  # blocks
_MOST_ROWS = 512  # queries in a block: with more, the scores leave the cache


def neighbour_blocks(
    queries: Float[Tensor, "q d"],
    gallery: Float[Tensor, "n d"] | None,
    k: int,
    *,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[tuple[slice, Int[Tensor, "rows k"], Float[Tensor, "rows k"]]]:
    """Exact Euclidean nearest neighbours, a block of queries at a time.

    On unit vectors the order is that of cosine. Vectors are centred on a median of the gallery
    first (of 1,024 of its rows), so that a space collapsed to a cone ranks as finely as any other,
    outliers or not. Squared distances d² that differ by no more than rounding (2⁻⁴³ (r + d)², r
    the query's distance to the median) are equal, and equal ones go to the lower index, so results
    do not depend on the size of a block.

    Args:
        queries: (q, d).
        gallery: (n, d), or None to search the queries themselves, each without itself.
        k: neighbours for each query; at most n (n − 1 when searching themselves).
        block_bytes: memory for one block of similarities and their order, at the worst.

    Yields:
        The block's slice of queries, neighbour indices (rows, k), nearest first, and their
        squared distances (rows, k), with that rounding.

    Raises:
        ValueError: k is out of range.
    """
    among = Gallery(queries if gallery is None else gallery)
    limit = among.n - (gallery is None)
    if not 1 <= k <= limit:
        raise ValueError(f"k must be between 1 and {limit}, not {k}.")
    for part in among.parts(len(queries), block_bytes):
        own = None
        if gallery is None:
            own = torch.arange(part.start, part.stop, device=queries.device)
        yield part, *among.nearest(queries[part], own, k)


@dataclass(frozen=True, eq=False)
class Candidates:
    """The nearest of each query and some more, by rising lower bound of their squared distance.

    All other rows are beyond the last lower bound.
    """

    index: Int[Tensor, "rows m"]
    lower: Float[Tensor, "rows m"]
    upper: Float[Tensor, "rows m"]


class Gallery:
    """The rows that are searched, prepared once.

    Args:
        z: (n, d), finite.
    """

    def __init__(self, z: Float[Tensor, "n d"]) -> None:
        self.z, self.n = z, len(z)
        rows = torch.arange(min(self.n, _SAMPLE), device=z.device)
        if self.n > _SAMPLE:  # evenly spread, but in step with no period in the order of rows
            rows = (rows.double() * (math.sqrt(5) - 1) / 2 % 1 * self.n).long()
        self.centre = z[rows].double().median(0).values
        self._pause, self._checked = 0, False

    def parts(self, queries: int, block_bytes: int = BLOCK_BYTES) -> Iterator[slice]:
        """Slices of the queries: a block's scores, as float64, fit three times."""
        rows = min(max(1, block_bytes // (8 * 3 * self.n)), _MOST_ROWS)
        for start in range(0, queries, rows):
            yield slice(start, min(start + rows, queries))

    def scores(
        self, queries: Float[Tensor, "rows d"], own: Int[Tensor, "rows *e"] | None
    ) -> tuple[Float[Tensor, "rows padded"], Float[Tensor, "rows 1"]]:
        """(d² − r²)/2 to every row, and r², a query's squared distance to the centre; in float64.

        Infinite at the query's own rows, and at the padding after the last.
        """
        q = queries.double() - self.centre
        rows, halves = self._float64
        scores = torch.addmm(halves, q, rows.T, alpha=-1)
        return _without(own, scores), q.square().sum(1, keepdim=True)

    def nearest(
        self, queries: Float[Tensor, "rows d"], own: Int[Tensor, "rows *e"] | None, k: int
    ) -> tuple[Int[Tensor, "rows k"], Float[Tensor, "rows k"]]:
        """Indices and squared distances of the k nearest, a query's own row left out.

        ``own`` may be several rows of each query, or −1 for none. Where they leave fewer than k,
        squared distances are infinite at the end, and indices mean nothing.
        """
        scores = self._float32_scores(queries, own, k)
        if scores is None:
            return self._by_float64(queries, own, k)
        index, squared, done = self._ranked(queries, self._candidates(queries, scores, k + 4), k)
        return self._finished(queries, own, scores, index, squared, done)

    def nearest_index(
        self,
        queries: Float[Tensor, "rows d"],
        own: Int[Tensor, "rows *e"] | None,
        k: int,
        cuts: Sequence[int] | None = None,
    ) -> Int[Tensor, "rows k"]:
        """Indices alone: faster, because most rows then need no exact distance.

        With ``cuts`` only the sets of the first c of them are exact, c in cuts, not their order.
        """
        scores = self._float32_scores(queries, own, k)
        if scores is None:
            return self._by_float64(queries, own, k)[0]
        found = self._candidates(queries, scores, k + 1)
        # All before end before the next begins, by more than a tie is wide.
        clear = found.lower[:, 1:] > found.upper[:, :-1].cummax(1).values
        done = (clear if cuts is None else clear[:, [c - 1 for c in cuts]]).all(1)
        index, lower = found.index[:, :k], found.lower[:, :k]
        return self._finished(queries, own, scores, index, lower, done)[0]

    def _finished(
        self,
        queries: Float[Tensor, "rows d"],
        own: Int[Tensor, "rows *e"] | None,
        scores: Float[Tensor, "rows padded"],
        index: Int[Tensor, "rows k"],
        squared: Float[Tensor, "rows k"],
        done: Bool[Tensor, " rows"],
    ) -> tuple[Int[Tensor, "rows k"], Float[Tensor, "rows k"]]:
        """Rows that are not done, from more candidates, and by float64 where those do not do."""
        k = index.shape[1]
        left = (~done).nonzero()[:, 0]
        if len(left):
            more = self._candidates(queries[left], scores.index_select(0, left), k + 22)
            index[left], squared[left], done = self._ranked(queries[left], more, k)
            left = left[~done]
        if len(left):
            mine = None if own is None else own[left]
            index[left], squared[left] = self._by_float64(queries[left], mine, k)
        if 2 * len(left) > len(queries):
            self._pause = 4
        return index, squared

    def _ranked(
        self, queries: Float[Tensor, "rows d"], found: Candidates, k: int
    ) -> tuple[Int[Tensor, "rows k"], Float[Tensor, "rows k"], Bool[Tensor, " rows"]]:
        """The first k of the candidates by exact distance, and where no other can be as near."""
        squares = (queries.double() - self.centre).square().sum(1, keepdim=True)
        squared = self._squared(queries, found.index)
        squared, index, tie = nearest_first(squared, found.index, squares)
        done = settled(squared, tie, k, found.lower[:, -1:], squares)
        return index[:, :k], squared[:, :k], done

    def _float32_scores(
        self, queries: Float[Tensor, "rows d"], own: Int[Tensor, "rows *e"] | None, k: int
    ) -> Float[Tensor, "rows padded"] | None:
        """None where float64 had better do it all."""
        self._pause = max(0, self._pause - 1)
        left = self.n - (own[0].numel() if own is not None and len(own) else 0)
        if k > FEW or left < 8 * (k + FEW) or self._pause:
            return None
        columns, scale, _ = self._float32
        q = (self.centre - queries.double()) * scale
        with torch.autocast(q.device.type, enabled=False):
            scores = _without(own, torch.nn.functional.pad(q, (0, 1), value=1).float() @ columns)
        if not self._checked:  # a product of fewer digits, as with TF32, shows in the first block
            found = self._candidates(queries, scores, k)
            squared = self._squared(queries, found.index)
            self._checked = bool(((found.lower <= squared) & (squared <= found.upper)).all())
            if not self._checked:
                self._pause = _FOR_GOOD
                return None
        return scores

    def _candidates(
        self, queries: Float[Tensor, "rows d"], scores: Float[Tensor, "rows padded"], m: int
    ) -> Candidates:
        """The m nearest by float32.

        In whatever order it sums, a score is off by at most e (‖q‖‖g‖ + ‖g‖²/2), e = γ_{d+8}, and
        so by at most e (‖q‖²/2 + ‖g‖²): less that, it is a lower bound.
        """
        columns, scale, e = self._float32
        squares = (queries.double() - self.centre).square().sum(1, keepdim=True)
        squares.masked_fill_(squares * scale**2 > 2.0**200, torch.nan)  # float32 may overflow
        low, index = smallest(scores, m)
        low, order = low.sort(dim=1)
        index = index.gather(1, order).clamp_max_(self.n - 1)  # of padding, where all is NaN
        tiny = 2.0**-100 / scale**2  # more than what underflow costs
        lower = low.double() * (2 / scale**2) + ((1 - e) * squares - tiny)
        e = e / (1 - 2 * e) + 2.0**-40  # ‖g‖² from the lowered halves; and what is a tie
        width = e * (2 * squares + columns[-1][index].double() * (8 / scale**2)) + 2 * tiny
        return Candidates(index, lower, lower + width)

    def _squared(
        self, queries: Float[Tensor, "rows d"], index: Int[Tensor, "rows m"]
    ) -> Float[Tensor, "rows m"]:
        """From differences."""
        near = self.z.index_select(0, index.flatten()).double().view(*index.shape, -1)
        squared: Tensor = torch.linalg.vector_norm(near.sub_(queries.double()[:, None]), dim=2)
        return squared.square_()

    def _by_float64(
        self, queries: Float[Tensor, "rows d"], own: Int[Tensor, "rows *e"] | None, k: int
    ) -> tuple[Int[Tensor, "rows k"], Float[Tensor, "rows k"]]:
        scores, squares = self.scores(queries, own)
        return nearest_of_rows(scores, k, squares)

    @cached_property
    def _float64(self) -> tuple[Float[Tensor, "padded d"], Float[Tensor, " padded"]]:
        """Centred rows and half their squares; zeros and infinities after the last."""
        rows = self.z.new_zeros(self._padded, self.z.shape[1], dtype=torch.float64)
        torch.sub(self.z, self.centre, out=rows[: self.n])
        halves = rows.square().sum(1) / 2
        halves[self.n :] = torch.inf
        return rows, halves

    @cached_property
    def _float32(self) -> tuple[Float[Tensor, "d1 padded"], float, float]:
        """Centred rows times a power of two, above (1 − 2e) of half their squares; it; and e."""
        pieces = self.z.split(4096)
        squares = torch.cat([(z.double() - self.centre).square().sum(1) for z in pieces])
        exponent = math.frexp(math.sqrt(float(squares.max())))[1]
        scale = 2.0 ** -max(-100, min(exponent, 100))
        e = (self.z.shape[1] + 8) * 2.0**-24
        e = e / (1 - e)
        columns = torch.zeros(self.z.shape[1] + 1, self._padded, device=self.z.device)
        columns[-1] = torch.inf
        columns[-1, : self.n] = squares * (scale**2 * (0.5 - e))
        for start, z in zip(range(0, self.n, 4096), pieces, strict=True):
            columns[:-1, start : start + len(z)] = ((z.double() - self.centre) * scale).T
        return columns, scale, e

    @property
    def _padded(self) -> int:
        return -(-self.n // CHUNK) * CHUNK


def _without(
    own: Int[Tensor, "rows *e"] | None, scores: Float[Tensor, "rows n"]
) -> Float[Tensor, "rows n"]:
    if own is not None:
        own = own.view(len(own), -1)
        rows, which = (own >= 0).nonzero(as_tuple=True)
        scores[rows, own[rows, which]] = torch.inf
    return scores
