"""Mean and spread of the distance over all pairs of rows, from moments of their classes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metriscope.ops.distances import Summary
from metriscope.ops.moments import ClassMoments, gram, grown

_TILE = 1 << 21  # numbers of a tile of pairs of classes: 16 MiB


@dataclass(frozen=True, eq=False)
class Group:
    """Higher moments of some rows by class, of x = z − m_c and a = ‖x‖².

    Attributes:
        scatters: Σ x xᵀ, (d, d) of each class in turn.
        thirds: (c, d) Σ a x.
        fourths: (c,) Σ (a − ā)².
    """

    scatters: Iterable[Tensor]
    thirds: Float[Tensor, "c d"]
    fourths: Float[Tensor, " c"]


class PairMoments:
    """Higher moments by class of rows that come in groups.

    A group moves the mean of a class by s: x becomes x − s, and a − ā becomes a − ā − 2 xᵀs.
    All stays about the mean of the class so far, so a space collapsed to a cone keeps its digits.

    O(d²) time for a row, and for a class in each group; O(C d²) memory for C classes.

    Attributes:
        scatters: (d, d) Σ x xᵀ by class code.
    """

    def __init__(self, dim: int, device: str | torch.device) -> None:
        self.scatters: dict[int, Tensor] = {}
        self._thirds = torch.zeros(0, dim, dtype=torch.float64, device=device)
        self._fourths, self._buffer = self._thirds.new_zeros(0), self._thirds

    def ordered(
        self, z: Float[Tensor, "n d"], y: Int[Tensor, " n"]
    ) -> tuple[Float[Tensor, "n d"], Int[Tensor, " n"]]:
        """Rows class after class, in memory that is used again."""
        if len(z) > len(self._buffer):
            self._buffer = torch.empty_like(z)
        y, order = y.sort(stable=True)
        return torch.index_select(z, 0, order, out=self._buffer[: len(z)]), y

    def join(self, old: ClassMoments, new: ClassMoments, group: Group) -> None:
        """More rows.

        Args:
            old: moments of the rows so far, counts of 0 included, of the classes of ``new``.
            new: of the rows of the group.
            group: their higher moments.
        """
        codes, total = new.codes.tolist(), old.counts + new.counts
        self._reserve(codes)
        step = new.means - old.means
        old_step = step * (new.counts / total)[:, None]
        new_step = step * (-old.counts / total)[:, None]
        root = (old.counts * new.counts / total).sqrt_()
        roots = step * root[:, None]
        old_turned, new_turned = torch.empty_like(step), torch.empty_like(step)  # Σ x xᵀ s
        rows = zip(old_step, new_step, roots, old_turned, new_turned, strict=True)
        for code, scatter, each in zip(codes, group.scatters, rows, strict=True):
            held, (old_s, new_s, scaled, old_out, new_out) = self.scatters[code], each
            torch.mv(held, old_s, out=old_out)
            torch.mv(scatter, new_s, out=new_out)
            held.add_(scatter).addr_(scaled, scaled)
        gap = root * (_mean_square(new, new_step) - _mean_square(old, old_step))
        thirds, fourths = gap[:, None] * roots, gap.square()
        for turned, s, third, fourth in (
            (old_turned, old_step, self._thirds[new.codes], self._fourths[new.codes]),
            (new_turned, new_step, group.thirds, group.fourths),
        ):
            moved = third - 2 * turned
            thirds += moved
            fourths += fourth - 2 * ((third + moved) * s).sum(1)
        self._thirds[new.codes], self._fourths[new.codes] = thirds, fourths

    def of(self, codes: Int[Tensor, " c"]) -> Group:
        """Of some classes."""
        held = [self.scatters[code] for code in codes.tolist()]
        return Group(held, self._thirds[codes], self._fourths[codes].clamp_min(0))

    def _reserve(self, codes: list[int]) -> None:
        self._thirds = grown(self._thirds, codes[-1] + 1)
        self._fourths = grown(self._fourths, codes[-1] + 1)
        dim = self._thirds.shape[1]
        for code in codes:
            if code not in self.scatters:
                self.scatters[code] = self._thirds.new_zeros(dim, dim)


def group_of_rows(x: Float[Tensor, "n d"], a: Float[Tensor, " n"], found: ClassMoments) -> Group:
    """Of a block of rows x and a = ‖x‖², class after class."""
    counts = found.counts.long()
    sizes = counts.tolist()
    members = x.split(sizes)
    a = a - (found.squares / found.counts).repeat_interleave(counts)
    thirds = torch.empty_like(found.means)
    for own, centred, third in zip(members, a.split(sizes), thirds, strict=True):
        torch.mv(own.T, centred, out=third)
    scatter = x.new_empty(x.shape[1], x.shape[1])  # used again: fresh pages cost more
    return Group(
        (torch.mm(own.T, own, out=scatter) for own in members),
        thirds,
        torch.segment_reduce(a.square(), "sum", lengths=counts),
    )


def pairs_within(moments: ClassMoments, group: Group) -> Summary | None:
    """‖u − v‖²/2 over all pairs of rows of one class, each alike; None of none.

    Over i ≠ j of a class they sum to n Σ a, and their squares about their mean to
    n Σ (a − ā)²/2 + ‖Σ x xᵀ‖² − (Σ a)²/(n − 1). O(C d²) time.
    """
    several = moments.counts > 1
    if not bool(several.any()):
        return None
    lengths = torch.stack([torch.linalg.vector_norm(scatter) for scatter in group.scatters])
    n, sums, fourths = moments.counts[several], moments.squares[several], group.fourths[several]
    inside = n * fourths / 2 + lengths[several].square() - sums.square() / (n - 1)
    pairs, own = n * (n - 1), sums / (n - 1)
    mean = pairs @ own / pairs.sum()
    total = inside.clamp_min(0).sum() + pairs @ (own - mean).square()
    return Summary(mean, (total / pairs.sum()).sqrt())


def pairs_between(moments: ClassMoments, group: Group) -> Summary | None:
    """‖u − v‖²/2 over all pairs of rows of two classes, each alike; None of none.

    Rows m_A + x and m_B + y are at δ̄ = (ā + b̄ + ‖Δ‖²)/2 on average, Δ = m_A − m_B, and
    (a − ā)/2 + xᵀΔ, (b − b̄)/2 − yᵀΔ and −xᵀy from it: terms whose products sum to 0.
    O(C d² + C² d) time.
    """
    n, total = moments.counts, moments.counts.sum()
    if len(n) < 2:
        return None
    u = moments.means - n @ moments.means / total
    rest = total - n
    pairs = rest @ n / 2
    mean = (rest @ moments.squares + total * (n @ u.square().sum(1))) / pairs / 2
    spread = rest @ group.fourths / 4 + total * (group.thirds * u).sum()
    others = gram(n.sqrt()[:, None] * u)  # Σ_B n_B ΔΔᵀ = this + total · u_A u_Aᵀ
    for scatter, own in zip(group.scatters, u, strict=True):
        spread += torch.dot(scatter.flatten(), others.flatten()) + total * (scatter @ own @ own)
        others += scatter
    spread = spread.clamp_min(0) + _between_classes(moments, u, mean)
    return Summary(mean, (spread / pairs).sqrt())


def _between_classes(moments: ClassMoments, u: Tensor, mean: Tensor) -> Tensor:
    """Σ_{A<B} n_A n_B (δ̄ − mean)². The error of a δ̄ is about 1e-16 of the largest."""
    half, total = _mean_square(moments, u) / 2, mean.new_zeros(())
    size = max(1, _TILE // len(u))
    for start in range(0, len(u), size):
        rows = slice(start, start + size)
        gaps = torch.addmm(half - mean, u[rows], u.T, alpha=-1).add_(half[rows, None])
        gaps.diagonal(start).zero_()
        total += moments.counts[rows] @ gaps.square_() @ moments.counts
    return total / 2


def _mean_square(moments: ClassMoments, s: Tensor) -> Tensor:
    """Mean ‖x − s‖² = ā + ‖s‖² of each class, of one without rows too."""
    return moments.squares / moments.counts.clamp_min(1) + s.square().sum(1)
