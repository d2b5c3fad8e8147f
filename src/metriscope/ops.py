"""Distances, masks, class moments, exact nearest neighbours: the only O(n²) code.

Shapes: b a batch, n rows, d dimensions, c classes. Distances and rankings are in float64, because
1 − cos has no digits left in float32 once a space has collapsed to a cone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

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
    distances: Tensor = _Euclidean.apply(z)  # type: ignore[no-untyped-call]
    return distances


class _Euclidean(torch.autograd.Function):
    """Keeps z and d for the backward pass, where autograd would keep six (b, b) matrices."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        x = z.double()
        norms = x.square().sum(1)
        squared = torch.addmm(norms, x, x.T, alpha=-2).add_(norms[:, None])
        d = squared.masked_fill_(squared <= 1e-14, 0).sqrt_()
        ctx.save_for_backward(z, d)
        return d

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        z, d = ctx.saved_tensors
        # ∂d_ij/∂z_i = (z_i − z_j) / d_ij, and every distance appears twice.
        w = grad / d.masked_fill(d == 0, torch.inf)
        w = w + w.T
        x = z.double()
        gradient: Tensor = w.sum(1, keepdim=True) * x - w @ x
        return gradient.to(z.dtype)


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


# ---------------------------------------------------------------------------------- all pairs


def squared_pair_blocks(
    z: Float[Tensor, "n d"], *, block_bytes: int = 1 << 25
) -> Iterator[Float[Tensor, " pairs"]]:
    """Squared distances of all n(n − 1)/2 unordered pairs, in pieces of about ``block_bytes``.

    From a product of vectors centred on their mean: the error is about 1e-16 of the largest
    squared distance, so a space collapsed to a cone is measured as finely as any other.
    """
    z = z.double()
    z = z - z.mean(0)
    squares = z.square().sum(1)
    rows = max(1, block_bytes // (8 * max(len(z), 1)))
    for start in range(0, len(z), rows):
        stop = min(start + rows, len(z))
        d2 = torch.addmm(squares[start:], z[start:stop], z[start:].T, alpha=-2)
        d2 = d2.add_(squares[start:stop, None]).clamp_min_(0)
        yield upper_pairs(d2[:, : stop - start])
        yield d2[:, stop - start :].flatten()


# ------------------------------------------------------------------------------ nearest neighbours


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
