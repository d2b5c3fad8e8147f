"""Counts, means and scatter by class: every mean cosine over all pairs, without a pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from metriscope.ops.pairs import EPS

_BLOCK = 1 << 22  # numbers of a block of rows: 32 MiB, many rows of each class


@dataclass(frozen=True, eq=False)
class ClassMoments:
    """What n rows of c classes sum to, in float64. Absent classes are left out.

    Attributes:
        codes: (c,) which class it is; rising.
        counts: (c,) its rows N_c.
        means: (c, d) m_c.
        squares: (c,) Σ ‖z − m_c‖².
    """

    codes: Int[Tensor, " c"]
    counts: Float[Tensor, " c"]
    means: Float[Tensor, "c d"]
    squares: Float[Tensor, " c"]

    @property
    def sums(self) -> Float[Tensor, "c d"]:
        """Σ z of each class."""
        return self.counts[:, None] * self.means


def class_moments(z: Float[Tensor, "n d"], labels: Int[Tensor, " n"]) -> ClassMoments:
    """Moments of the classes present, whatever their codes."""
    codes, index, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    counts = counts.double()
    z, size = z.double(), block_rows(z.shape[1])
    blocks = list(zip(z.split(size), index.split(size), strict=True))
    buffer = torch.empty_like(z[:size])
    zeros, squares = z.new_zeros(len(codes), z.shape[1]), torch.zeros_like(counts)
    means = zeros.index_add(0, index, z) / counts[:, None]
    for rows, own in blocks:
        zeros.index_add_(0, own, residuals_of(rows, means, own, buffer))
    means += zeros / counts[:, None]  # what rounding left of long sums
    for rows, own in blocks:
        residuals = residuals_of(rows, means, own, buffer)
        squares.index_add_(0, own, torch.linalg.vector_norm(residuals, dim=1).square_())
    return ClassMoments(codes, counts, means, squares)


def residuals_of(z: Tensor, means: Tensor, index: Tensor, buffer: Tensor) -> Tensor:
    """z minus the mean of its class, in memory that is used again: fresh pages cost more."""
    chosen = torch.index_select(means, 0, index, out=buffer[: len(z)])
    return torch.sub(z, chosen, out=chosen)


def unit_rows(x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
    """x / max(‖x‖, 1e-6), of float64 and in place, and norms: NaN of rows that are not finite.

    Rows too long for their squares are shortened first; only that they are long is left in norms.
    """
    norms = torch.linalg.vector_norm(x, dim=1)
    if not bool(norms.sum().isfinite()):  # squares that float64 cannot hold
        x /= x.abs().amax(1, keepdim=True).where(norms[:, None].isinf(), 1)
        norms = torch.linalg.vector_norm(x, dim=1)
    return x.div_(norms.clamp_min(EPS)[:, None]), norms


def block_rows(dim: int) -> int:
    """How many rows of ``dim`` numbers to add at once."""
    return max(_BLOCK // dim, 64)


def gram(x: Float[Tensor, "n d"]) -> Float[Tensor, "d d"]:
    """xᵀx. NumPy sees that it is symmetric and does half the work, where it can."""
    if x.device.type != "cpu":
        return x.T @ x
    array = x.numpy()
    return torch.from_numpy(np.dot(array.T, array))


def grown(x: Float[Tensor, "c *rest"], classes: int) -> Float[Tensor, "more *rest"]:
    """Padded with zeros where it is short: at least to twice its length, so that it seldom is."""
    if classes <= len(x):
        return x
    more = x.new_zeros(max(classes, 2 * len(x)), *x.shape[1:])
    more[: len(x)] = x
    return more
