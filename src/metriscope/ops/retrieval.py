"""What a search finds of the classes of queries, among themselves or in a gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metriscope.ops.neighbours import FEW, Gallery
from metriscope.ops.ranking import nearest_of_rows
from metriscope.ops.relevance import same_in_order


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
    """One sweep over all pairs, a block at a time: O(n²d) time, O(n) memory.

    Rows with few others of their class are searched by float32. For the rest all distances are in
    float64: the gaps in an order of hundreds are finer than float32.
    """
    n = len(z)
    relevant = _relevant(y)
    nearest = y.new_empty(n, min(10, n - 1))
    hits = torch.zeros(n, dtype=torch.float64, device=z.device)
    precision = torch.zeros_like(hits)
    if n > 1:
        among, order, k = Gallery(z), relevant.argsort(stable=True), nearest.shape[1]
        for part in among.parts(n):  # rows of about one R
            rows = order[part]
            ask, mine, wanted = z[rows], y[rows], relevant[rows]
            most = int(wanted.max())
            if most <= FEW:
                index = among.nearest_index(ask, rows, max(k, most))
                same = y[index[:, :most]] == mine[:, None]
            else:
                scores, squares = among.scores(ask, rows)
                index, _ = nearest_of_rows(scores, k, squares)
                same = same_in_order(scores, squares, y, mine, most)
            nearest[rows] = index[:, :k]
            hits[rows], precision[rows] = _counted(same, wanted)
    return Neighbours(nearest, relevant, hits, precision / relevant)


@dataclass(frozen=True, eq=False)
class Found:
    """What queries found in a gallery; see :class:`Neighbours`.

    Attributes:
        nearest: (q, min(10, n)) rows of the gallery, −1 where there are no more.
        squared: (q, min(10, n)) squared distances, infinite where there are no more.
        relevant, hits, precision: (q,).
    """

    nearest: Int[Tensor, "q k"]
    squared: Float[Tensor, "q k"]
    relevant: Int[Tensor, " q"]
    hits: Float[Tensor, " q"]
    precision: Float[Tensor, " q"]


def find_in_gallery(
    z: Float[Tensor, "q d"],
    y: Int[Tensor, " q"],
    gallery: Float[Tensor, "n d"],
    gallery_y: Int[Tensor, " n"],
    own: Int[Tensor, "q e"],
) -> Found:
    """Each query searched in the gallery, without its ``own`` rows of it (−1 for none).

    O(q n d) time; a block of queries at a time.
    """
    relevant = relevant_in(y, gallery_y, own)
    k = min(10, len(gallery))
    nearest = y.new_empty(len(z), k)
    squared, hits, precision = z.new_empty(len(z), k), z.new_zeros(len(z)), z.new_zeros(len(z))
    among, order = Gallery(gallery), relevant.argsort(stable=True)
    for part in among.parts(len(z)):  # rows of about one R
        rows = order[part]
        ask, mine, wanted = z[rows], y[rows], relevant[rows]
        most = int(wanted.max())
        if max(most, k) <= FEW:
            index, far = among.nearest(ask, own[rows], max(k, most))
            index.clamp_max_(len(gallery) - 1)  # beyond the last
            same = gallery_y[index[:, :most]] == mine[:, None]
        else:
            scores, squares = among.scores(ask, own[rows])
            index, far = nearest_of_rows(scores, k, squares)
            same = same_in_order(scores, squares, gallery_y, mine, most)
        index, far = index[:, :k], far[:, :k]
        nearest[rows], squared[rows] = index.where(far.isfinite(), -1), far
        hits[rows], precision[rows] = _counted(same, wanted)
    return Found(nearest, squared, relevant, hits, precision / relevant)


def relevant_in(
    y: Int[Tensor, " q"], gallery_y: Int[Tensor, " n"], own: Int[Tensor, "q e"]
) -> Int[Tensor, " q"]:
    """How many rows of the gallery are of a query's class, its ``own`` (−1: none) left out."""
    counts = torch.bincount(gallery_y, minlength=int(y.max()) + 1)
    left_out = (own >= 0) & (gallery_y[own.clamp_min(0)] == y[:, None])
    relevant: Tensor = counts[y] - left_out.sum(1)
    return relevant


def _counted(
    same: Bool[Tensor, "rows most"], wanted: Int[Tensor, " rows"]
) -> tuple[Float[Tensor, " rows"], Float[Tensor, " rows"]]:
    """Hits among the first R of each row, and Σ P(i)·rel(i) over them."""
    rank = torch.arange(1, same.shape[1] + 1, dtype=torch.float64, device=same.device)
    same &= rank <= wanted[:, None]
    return same.sum(1).double(), same.cumsum(1, dtype=torch.float64).mul_(same) @ (1 / rank)


def recall(
    z: Float[Tensor, "n d"], y: Int[Tensor, " n"], ks: Sequence[int]
) -> Float[Tensor, " ks"]:
    """Recall@k of each k: the share of rows with one of their class among their k nearest others.

    From one sweep over all pairs, ranked exactly as by ``neighbour_blocks``. Rows that are alone
    in their class are left out.

    Args:
        z: (n, d) unit vectors.
        y: (n,) class codes.
        ks: numbers of neighbours, from 1; all n − 1 others where that is fewer.

    Returns:
        (ks,) float64; NaN where every row is alone.

    Raises:
        ValueError: no ks, or one below 1.
    """
    if not ks or min(ks) < 1:
        raise ValueError(f"ks must be numbers from 1, not {list(ks)}.")
    found = torch.zeros(len(ks), dtype=torch.float64, device=z.device)
    if len(z) > 1:
        among, cuts = Gallery(z), [min(k, len(z) - 1) for k in ks]
        for part in among.parts(len(z)):
            own = torch.arange(part.start, part.stop, device=z.device)
            index = among.nearest_index(z[part], own, max(cuts), cuts)
            same = y[index] == y[part, None]
            found += torch.stack([same[:, :k].any(1).sum() for k in cuts])
    return found / (_relevant(y) > 0).sum()


def _relevant(y: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    _, inverse, counts = torch.unique(y, return_inverse=True, return_counts=True)
    relevant: Tensor = counts[inverse] - 1
    return relevant
