"""Distances, masks, class moments, exact nearest neighbours: the only O(n²) code.

Shapes: b a batch, n rows, d dimensions, c classes. Distances and rankings are in float64, because
1 − cos has no digits left in float32 once a space has collapsed to a cone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

EPS = 1e-6  # norm below which a vector has no direction


def normalize(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """x / max(‖x‖, 1e-6), row by row. A zero row stays zero, with a finite gradient."""
    return torch.nn.functional.normalize(x, dim=1, eps=EPS)


def euclidean(z: Float[Tensor, "b d"]) -> Float[Tensor, "b b"]:
    """All distances ‖z_i − z_j‖, in float64: exactly 0 with gradient 0 for equal rows.

    From the Gram matrix, which float64 can afford: the error of d² is about 1e-16, and a product
    is several times faster than summing differences. d² below 1e-14 counts as 0.
    """
    squared = squared_euclidean(z)
    apart = squared > 1e-14
    # Two `where`s: the inner one keeps sqrt away from 0, where its gradient is infinite.
    return torch.where(apart, torch.where(apart, squared, 1.0).sqrt(), 0.0)


def squared_euclidean(z: Float[Tensor, "b d"]) -> Float[Tensor, "b b"]:
    """All squared distances, in float64, never negative."""
    z = z.double()
    gram = z @ z.T
    squared_norms = gram.diagonal()
    return (squared_norms[:, None] + squared_norms[None, :] - 2 * gram).clamp_min(0)


def same_class(labels: Int[Tensor, " b"]) -> Bool[Tensor, "b b"]:
    """True where two rows have one label, the diagonal included."""
    return labels[:, None] == labels[None, :]


def positives(labels: Int[Tensor, " b"]) -> Bool[Tensor, "b b"]:
    """True where j ≠ i has the label of i."""
    return same_class(labels).fill_diagonal_(False)


def masked_logsumexp(x: Float[Tensor, "b m"], mask: Bool[Tensor, "b m"]) -> Float[Tensor, " b"]:
    """log Σ exp over the masked-in entries of each row.

    A row without any gives a large negative finite number, not −inf, whose gradient would be NaN.
    """
    return x.masked_fill(~mask, torch.finfo(x.dtype).min / 2).logsumexp(1)


# ------------------------------------------------------------------------------ class statistics


@dataclass(frozen=True)
class ClassMoments:
    """Counts and sums by class, in float64: every mean cosine over all pairs, without a pair.

    Attributes:
        counts: (c,) rows of each class that is present; absent classes are left out.
        sums: (c, d) Σ z of each.
        codes: (c,) which class it is.
    """

    counts: Float[Tensor, " c"]
    sums: Float[Tensor, "c d"]
    codes: Int[Tensor, " c"]

    @property
    def means(self) -> Float[Tensor, "c d"]:
        """Class means m_c."""
        return self.sums / self.counts[:, None]


def class_moments(z: Float[Tensor, "n d"], labels: Int[Tensor, " n"]) -> ClassMoments:
    """Counts and sums of the classes present."""
    codes, inverse, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    sums = torch.zeros(len(codes), z.shape[1], dtype=torch.float64, device=z.device)
    sums.index_add_(0, inverse, z.double())
    return ClassMoments(counts.double(), sums, codes)


def upper_pairs(matrix: Float[Tensor, "c c"]) -> Float[Tensor, " pairs"]:
    """The entries above the diagonal: each unordered pair once."""
    rows, columns = torch.triu_indices(len(matrix), len(matrix), offset=1, device=matrix.device)
    return matrix[rows, columns]


# ------------------------------------------------------------------------------ nearest neighbours


def neighbour_blocks(
    queries: Float[Tensor, "q d"],
    gallery: Float[Tensor, "n d"] | None,
    k: int,
    *,
    block_bytes: int = 1 << 27,
) -> Iterator[tuple[slice, Int[Tensor, "rows k"], Float[Tensor, "rows k"]]]:
    """Exact Euclidean nearest neighbours, a block of queries at a time.

    On unit vectors the order is that of cosine. Vectors are centred on the gallery's mean first,
    so that a space collapsed to a cone ranks as finely as any other. Equal distances (to 2⁻⁴⁴ of
    the largest) go to the lower index, so results do not depend on the block or the machine.

    Args:
        queries: (q, d).
        gallery: (n, d), or None to search the queries themselves, each without itself.
        k: neighbours for each query; at most n (n − 1 when searching themselves).
        block_bytes: memory for one block of similarities.

    Yields:
        The block's slice of queries, neighbour indices (rows, k), nearest first, and their
        squared distances (rows, k).
    """
    leave_one_out = gallery is None
    g = (queries if gallery is None else gallery).double()
    n = len(g)
    limit = n - 1 if leave_one_out else n
    if not 1 <= k <= limit:
        raise ValueError(f"k must be between 1 and {limit}, not {k}.")
    centre = g.mean(0)
    g = g - centre
    half_squares = g.square().sum(1) / 2
    grain = max(float(half_squares.max()), 1e-300) * 2.0**-44
    rows = max(1, block_bytes // (8 * 3 * n))
    for start in range(0, len(queries), rows):
        part = slice(start, min(start + rows, len(queries)))
        q = queries[part].double() - centre
        # ⟨q, g⟩ − ‖g‖²/2 orders as −‖q − g‖² does: the rest is constant in a row.
        closeness = torch.addmm(-half_squares[None, :], q, g.T)
        closeness.div_(grain).round_()
        if leave_one_out:
            own = torch.arange(part.start, part.stop, device=g.device)
            closeness[own - part.start, own] = -torch.inf
        top, index = _top_lowest_index(closeness, k)
        squared = q.square().sum(1, keepdim=True) - 2 * grain * top
        yield part, index, squared.clamp_min(0)


def _top_lowest_index(
    scores: Float[Tensor, "rows n"], k: int
) -> tuple[Float[Tensor, "rows k"], Int[Tensor, "rows k"]]:
    """The k largest of each row in falling order; equal ones by rising index."""
    n = scores.shape[1]
    if k > n // 4:
        top, index = scores.sort(dim=1, descending=True, stable=True)
        return top[:, :k], index[:, :k]
    top, index = scores.topk(k + 1, dim=1)
    cut = top[:, k - 1] == top[:, k]  # a tie across the border: which ones topk kept is arbitrary
    top, index = top[:, :k], index[:, :k]
    index, order = index.sort(dim=1)
    top, order = top.gather(1, order).sort(dim=1, descending=True, stable=True)
    index = index.gather(1, order)
    if bool(cut.any()):
        again, where = scores[cut].sort(dim=1, descending=True, stable=True)
        top[cut], index[cut] = again[:, :k], where[:, :k]
    return top, index
