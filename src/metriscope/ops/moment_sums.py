"""Class moments of rows that come a block at a time."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metriscope.ops.moments import ClassMoments, gram, grown, residuals_of
from metriscope.ops.pair_moments import Group, PairMoments, group_of_rows
from metriscope.types import InputError

_FEW = 64  # rows whose sum is as good as rounded once; the error of a longer one is taken out


class MomentSums:
    """Class moments of rows that come a block at a time, in any order; sums can be merged.

    Nothing is ever subtracted from a sum of squares: a block adds its residuals about its own
    class means, and √(n m/(n + m)) times the step from the n rows so far of a class to its m
    new ones (Chan, Golub and LeVeque, 1979). A space collapsed to a cone keeps its digits,
    whatever comes first.

    O(n d²) time; O(C d + d²) memory, C one more than the largest class code; with ``per_class``
    O(d²) for each class, and as much time for each class of a block.

    Args:
        dim: d.
        device: where to add.
        per_class: whether to keep what the spread over all pairs needs, in ``pairs``.

    Attributes:
        pairs: higher moments by class; None without ``per_class``.
    """

    def __init__(
        self, dim: int, device: str | torch.device = "cpu", *, per_class: bool = False
    ) -> None:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        self.dim = dim
        self._counts, self._means, self._squares = zeros(0), zeros(0, dim), zeros(0)
        self._scatter, self._buffer = zeros(dim, dim), zeros(0, dim)
        self.pairs = PairMoments(dim, device) if per_class else None

    @property
    def scatter(self) -> Float[Tensor, "d d"]:
        """Σ (z − m_c)(z − m_c)ᵀ over all rows so far."""
        if self.pairs is None:
            return self._scatter
        total = torch.zeros_like(self._scatter)
        for scatter in self.pairs.scatters.values():
            total += scatter
        return total

    def add(self, z: Float[Tensor, "n d"], y: Int[Tensor, " n"]) -> None:
        """Rows of float64, and their class codes, small and not negative."""
        if len(z) == 0:
            return
        if len(z) > len(self._buffer):
            self._buffer = torch.empty_like(z)
        if self.pairs is not None:
            z, y = self.pairs.ordered(z, y)
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
        sums = squares.new_zeros(len(codes)).index_add_(0, index, squares)
        new = ClassMoments(codes, counts, means, sums)
        if self.pairs is None:
            self._join(new, gram(residuals))
        else:
            self._join(new, group_of_rows(residuals, squares, new))

    def merge(self, other: MomentSums) -> None:
        """The rows of another, of the same dimensions and class codes.

        Raises:
            InputError: ``per_class`` of one but not of the other.
        """
        if (self.pairs is None) != (other.pairs is None):
            raise InputError("both sums must be per_class, or neither; make them alike.")
        new = other.result()
        if len(new.codes):
            self._join(new, other.scatter if other.pairs is None else other.pairs.of(new.codes))

    def result(self) -> ClassMoments:
        """Of all rows so far."""
        return self._of(self._counts.nonzero().flatten())

    def _of(self, codes: Tensor) -> ClassMoments:
        return ClassMoments(codes, self._counts[codes], self._means[codes], self._squares[codes])

    def _join(self, new: ClassMoments, scatter: Tensor | Group) -> None:
        """Other rows of some classes, with their scatter about their own means."""
        codes, classes = new.codes, int(new.codes[-1]) + 1
        self._counts = grown(self._counts, classes)
        self._means = grown(self._means, classes)
        self._squares = grown(self._squares, classes)
        old = self._of(codes)
        after, steps = old.counts + new.counts, new.means - old.means
        self._means[codes] += steps * (new.counts / after)[:, None]
        steps *= (old.counts * new.counts / after).sqrt_()[:, None]
        self._squares[codes] += new.squares + steps.square().sum(1)
        self._counts[codes] = after
        if isinstance(scatter, Tensor):
            self._scatter += scatter
            self._scatter += gram(steps[old.counts > 0])
        elif self.pairs is not None:
            self.pairs.join(old, new, scatter)
