"""Class moments of rows that come a block at a time."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metriscope.ops.moments import ClassMoments, gram, grown, residuals_of
from metriscope.ops.pair_moments import Group, PairMoments, group_of_rows

_FEW = 64  # rows whose sum is as good as rounded once; the error of a longer one is taken out


class MomentSums:
    """Class moments of rows that come a block at a time, in any order; sums can be merged.

    Nothing is ever subtracted from a sum of squares: a block adds its residuals about its own
    class means, and √(n m/(n + m)) times the step from the n rows so far of a class to its m
    new ones (Chan, Golub and LeVeque, 1979). A space collapsed to a cone keeps its digits,
    whatever comes first.

    O(n d²) time; O(C d + d²) memory, C one more than the largest class code, and what ``pairs``
    needs.

    Args:
        dim: d.
        device: where to add.
        per_class: whether to keep what all pairs need.

    Attributes:
        scatter: (d, d) Σ (z − m_c)(z − m_c)ᵀ over all rows so far.
        pairs: higher moments by class; None unless ``per_class``.
    """

    def __init__(
        self, dim: int, device: str | torch.device = "cpu", *, per_class: bool = False
    ) -> None:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        self._counts, self._means, self._squares = zeros(0), zeros(0, dim), zeros(0)
        self.scatter, self._buffer = zeros(dim, dim), zeros(0, dim)
        self.pairs = PairMoments(dim, device) if per_class else None

    def add(self, z: Float[Tensor, "n d"], y: Int[Tensor, " n"]) -> None:
        """Rows of float64, and their class codes, small and not negative."""
        if len(z) > len(self._buffer):
            self._buffer = torch.empty_like(z)
        counts = torch.bincount(y)
        codes = counts.nonzero().flatten()
        index = (counts > 0).cumsum(0).sub_(1)[y]  # (n,) into codes
        counts = counts[codes].double()
        zeros = z.new_zeros(len(codes), z.shape[1])
        means = zeros.index_add(0, index, z) / counts[:, None]
        if bool((counts > _FEW).any()):
            rest = residuals_of(z, means, index, self._buffer)
            means += zeros.index_add_(0, index, rest) / counts[:, None]
        residuals = residuals_of(z, means, index, self._buffer)
        squares = torch.linalg.vector_norm(residuals, dim=1).square_()
        self.scatter += gram(residuals)
        sums = squares.new_zeros(len(codes)).index_add_(0, index, squares)
        found = ClassMoments(codes, counts, means, sums)
        higher = self.pairs is not None
        self._join(found, group_of_rows(residuals, squares, index, found) if higher else None)

    def merge(self, other: MomentSums) -> None:
        """The rows of another, of the same dimensions and class codes."""
        found = other.result()
        self.scatter += other.scatter
        self._join(found, None if other.pairs is None else other.pairs.of(found.codes))

    def result(self) -> ClassMoments:
        """Of all rows so far."""
        return self._of(self._counts.nonzero().flatten())

    def _of(self, codes: Tensor) -> ClassMoments:
        return ClassMoments(codes, self._counts[codes], self._means[codes], self._squares[codes])

    def _join(self, new: ClassMoments, group: Group | None) -> None:
        """Other rows of some classes, their scatter about their own means added."""
        if len(new.codes) == 0:
            return
        codes, classes = new.codes, int(new.codes[-1]) + 1
        self._counts = grown(self._counts, classes)
        self._means = grown(self._means, classes)
        self._squares = grown(self._squares, classes)
        old = self._of(codes)
        if self.pairs is not None and group is not None:
            self.pairs.join(old, new, group)
        after = old.counts + new.counts
        steps = new.means - old.means
        self._means[codes] += steps * (new.counts / after)[:, None]
        steps *= (old.counts * new.counts / after).sqrt_()[:, None]
        self._squares[codes] += new.squares + steps.square().sum(1)
        self.scatter += gram(steps[old.counts > 0])
        self._counts[codes] = after
