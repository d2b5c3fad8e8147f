"""All pairs of a space, in pieces."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Summary(NamedTuple):
    """Mean and standard deviation (ddof 0) of some numbers."""

    mean: Float[Tensor, ""]
    sd: Float[Tensor, ""]


def summary(pieces: Iterable[Float[Tensor, " k"]]) -> Summary | None:
    """Of numbers that come in pieces, without keeping them; None of none.

    Squares are about the mean of a piece, and pieces are joined by the step between their means
    (Chan, Golub and LeVeque, 1979), so the SD of numbers that are almost equal keeps its digits.
    """
    count, mean, squares = 0, torch.zeros(()), torch.zeros(())
    for piece in pieces:
        if len(piece):
            own = piece.mean()
            step, count = own - mean, count + len(piece)
            mean = mean + step * (len(piece) / count)
            squares = squares + (piece - own).square().sum()
            squares = squares + step.square() * (len(piece) * (1 - len(piece) / count))
    return Summary(mean, (squares / count).sqrt()) if count else None


def upper_pairs(matrix: Float[Tensor, "c c"]) -> Float[Tensor, " pairs"]:
    """The entries above the diagonal: each unordered pair once."""
    rows, columns = torch.triu_indices(len(matrix), len(matrix), offset=1, device=matrix.device)
    return matrix[rows, columns]


def pair_distances(
    x: Float[Tensor, "n d"], *, block_bytes: int = 1 << 26
) -> Iterator[Float[Tensor, " pairs"]]:
    """Distances of all n(n − 1)/2 unordered pairs, in pieces of at most ``block_bytes``.

    From differences of vectors: those of almost equal ones keep their digits too. A piece without
    such, compared to the largest distance from the mean, is from a product, to 1e-13.
    """
    x = x - x.mean(0)
    far = x.square().sum(1).max() / 100 if len(x) else 0
    for i, j in _tiles(x, block_bytes):
        if i is j:
            yield torch.nn.functional.pdist(i)
            continue
        squared = _squared(i, j, i.square().sum(1), j.square().sum(1))
        if bool(squared.min() > far):
            yield squared.sqrt_().flatten()
        else:
            yield torch.cdist(i, j, compute_mode="donot_use_mm_for_euclid_dist").flatten()


def squared_pair_blocks(
    z: Float[Tensor, "n d"], *, block_bytes: int = 1 << 21
) -> Iterator[Float[Tensor, " pairs"]]:
    """Squared distances of all n(n − 1)/2 unordered pairs, in pieces of at most ``block_bytes``.

    From a product of vectors centred on their mean: the error is about 1e-16 of the largest
    squared distance, so a space collapsed to a cone is measured as finely as any other.
    """
    z = z.double()
    z = z - z.mean(0)
    # ‖u‖² stands beside u, so that a tile needs nothing but its own rows.
    for i, j in _tiles(torch.cat([z, z.square().sum(1, keepdim=True)], 1), block_bytes):
        squared = _squared(i[:, :-1], j[:, :-1], i[:, -1], j[:, -1]).clamp_min_(0)
        yield upper_pairs(squared) if i is j else squared.flatten()


def _squared(x: Tensor, y: Tensor, x_squares: Tensor, y_squares: Tensor) -> Tensor:
    """(n, m) ‖x‖² + ‖y‖² − 2xᵀy, which rounding may leave below 0."""
    return torch.addmm(y_squares, x, y.T, alpha=-2).add_(x_squares[:, None])


def _tiles(x: Tensor, block_bytes: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Blocks of rows to be paired, each two once; one with itself is one object twice."""
    parts = x.split(max(1, math.isqrt(block_bytes // 8)))
    for at, i in enumerate(parts):
        for j in parts[at:]:
            yield i, j
