"""Exact nearest neighbours, and what a search of all rows among each other finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Each of n rows searched among the other n − 1, by cosine; ties go to the lower row.

    Attributes:
        nearest: (n, min(10, n − 1)) rows, nearest first.
        relevant: (n,) R, how many others there are of a row's class.
        hits: (n,) how many of its R nearest are of its class.
        precision: (n,) (1/R) Σ_{i≤R} P(i)·rel(i), its average precision at R; NaN where R = 0.
    """

    nearest: Int[Tensor, "n k"]
    relevant: Int[Tensor, " n"]
    hits: Float[Tensor, " n"]
    precision: Float[Tensor, " n"]


def find_neighbours(z: Float[Tensor, "n d"], y: Int[Tensor, " n"]) -> Neighbours:
    """One sweep over all pairs, a block at a time: O(n²d) time, O(n) memory."""
    n = len(z)
    _, inverse, counts = torch.unique(y, return_inverse=True, return_counts=True)
    relevant = counts[inverse] - 1
    most = int(relevant.max())
    nearest = y.new_empty(n, min(10, n - 1))
    hits, precision = z.new_zeros(n), z.new_zeros(n)
    if n > 1:
        rank = torch.arange(1, most + 1, dtype=z.dtype, device=z.device)
        for part, index, _ in neighbour_blocks(z, None, min(max(10, most), n - 1)):
            nearest[part] = index[:, : nearest.shape[1]]
            found = (y[index[:, :most]] == y[part, None]) & (rank <= relevant[part, None])
            so_far = found.cumsum(1)
            hits[part] = found.sum(1)
            precision[part] = (so_far * found / rank).sum(1)
    return Neighbours(nearest, relevant, hits, precision / relevant)


def neighbour_blocks(
    queries: Float[Tensor, "q d"],
    gallery: Float[Tensor, "n d"] | None,
    k: int,
    *,
    block_bytes: int = 1 << 25,
) -> Iterator[tuple[slice, Int[Tensor, "rows k"], Float[Tensor, "rows k"]]]:
    """Exact Euclidean nearest neighbours, a block of queries at a time.

    On unit vectors the order is that of cosine. Vectors are centred on the gallery's median first,
    so that a space collapsed to a cone ranks as finely as any other, outliers or not. Squared
    distances d² that differ by no more than rounding (2⁻⁴³ (r + d)², r the query's distance to
    the median) are equal, and equal ones go to the lower index, so results do not depend on the
    size of a block.

    Args:
        queries: (q, d).
        gallery: (n, d), or None to search the queries themselves, each without itself.
        k: neighbours for each query; at most n (n − 1 when searching themselves).
        block_bytes: memory for one block of similarities and their order.

    Yields:
        The block's slice of queries, neighbour indices (rows, k), nearest first, and their
        squared distances (rows, k), with that rounding.

    Raises:
        ValueError: k is out of range.
    """
    leave_one_out = gallery is None
    g = (queries if gallery is None else gallery).double()
    n = len(g)
    limit = n - 1 if leave_one_out else n
    if not 1 <= k <= limit:
        raise ValueError(f"k must be between 1 and {limit}, not {k}.")
    centre = g.median(0).values
    g = g - centre
    half_squares = g.square().sum(1) / 2
    rows = max(1, block_bytes // (8 * 3 * n))
    for start in range(0, len(queries), rows):
        part = slice(start, min(start + rows, len(queries)))
        q = queries[part].double() - centre
        # ⟨q, g⟩ − ‖g‖²/2 orders as −‖q − g‖² does: the rest is constant in a row.
        closeness = torch.addmm(-half_squares[None, :], q, g.T)
        if leave_one_out:
            own = torch.arange(part.start, part.stop, device=g.device)
            closeness[own - part.start, own] = -torch.inf
        squared_norms = q.square().sum(1, keepdim=True)
        top, index = _top_lowest_index(closeness, k, squared_norms)
        yield part, index, (squared_norms - 2 * top).clamp_min(0)


def _top_lowest_index(
    scores: Float[Tensor, "rows n"], k: int, squared_norms: Float[Tensor, "rows 1"]
) -> tuple[Float[Tensor, "rows k"], Int[Tensor, "rows k"]]:
    """The k largest of each row in falling order; tied ones by rising index."""
    n = scores.shape[1]
    if k > n // 4:
        top, index, _ = _order_ties(*scores.sort(dim=1, descending=True), squared_norms)
        return top[:, :k], index[:, :k]
    top, index, tie = _order_ties(*scores.topk(k + 1, dim=1), squared_norms)
    top, index = top[:, :k], index[:, :k]
    cut = tie[:, k - 1]  # a tie across the border: which ones topk kept is arbitrary
    if bool(cut.any()):
        again, where, _ = _order_ties(*scores[cut].sort(dim=1, descending=True), squared_norms[cut])
        top[cut], index[cut] = again[:, :k], where[:, :k]
    return top, index


def _order_ties(
    top: Float[Tensor, "rows m"],
    index: Int[Tensor, "rows m"],
    squared_norms: Float[Tensor, "rows 1"],
) -> tuple[Float[Tensor, "rows m"], Int[Tensor, "rows m"], Bool[Tensor, "rows m-1"]]:
    """``top`` (falling) with tied entries by rising index, and which entries tie with the next."""
    reach = squared_norms.sqrt() + (squared_norms - 2 * top[:, 1:]).clamp_min(0).sqrt()
    # Strictly below: the −inf of a row's own entry, infinitely far, ties with nothing.
    tie = top[:, :-1] - top[:, 1:] < reach.square().mul(2.0**-44).clamp_min(1e-300)
    tied = tie.any(1)
    if bool(tied.any()):
        group = torch.nn.functional.pad((~tie[tied]).cumsum(1), (1, 0))
        width = index.max() + 1
        index[tied] = (group * width + index[tied]).sort(dim=1).values % width
    return top, index, tie
