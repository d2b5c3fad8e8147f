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


def group_of_rows(
    x: Float[Tensor, "n d"], a: Float[Tensor, " n"], index: Int[Tensor, " n"], found: ClassMoments
) -> Group:
    """Of a block of rows: x and a, and which row of ``found`` is the class of each."""
    order, sizes = index.argsort(stable=True), found.counts.long().tolist()
    a = a - (found.squares / found.counts)[index]
    members = x[order].split(sizes)
    scatter = x.new_empty(x.shape[1], x.shape[1])  # used again: fresh pages cost more
    return Group(
        (torch.mm(own.T, own, out=scatter) for own in members),
        torch.stack([w @ own for w, own in zip(a[order].split(sizes), members, strict=True)]),
        torch.zeros_like(found.counts).index_add_(0, index, a.square()),
    )


class PairMoments:
    """What distances over all pairs sum to by class, of rows that come in groups.

    A group moves the mean of a class by s: x becomes x − s, and a − ā becomes a − ā − 2 xᵀs.
    Nothing else is subtracted, so a space collapsed to a cone keeps its digits.

    O(C d²) memory for the C classes there are, and as much time for each group, besides that of
    the group.

    Attributes:
        scatters: (d, d) Σ x xᵀ by class code.
    """

    def __init__(self, dim: int, device: str | torch.device) -> None:
        self.scatters: dict[int, Tensor] = {}
        self._thirds = torch.zeros(0, dim, dtype=torch.float64, device=device)
        self._fourths = self._thirds.new_zeros(0)

    def join(self, old: ClassMoments, new: ClassMoments, group: Group) -> None:
        """More rows.

        Args:
            old: moments of the rows so far; counts of 0 where a class is new.
            new: of the rows of the group, of the same classes.
            group: their higher moments.
        """
        codes, total = new.codes.tolist(), old.counts + new.counts
        self._reserve(codes)
        step = new.means - old.means
        old_step = step * (new.counts / total)[:, None]
        new_step = step * (-old.counts / total)[:, None]
        old_turned, new_turned = torch.empty_like(step), torch.empty_like(step)  # Σ x xᵀ s
        root = (old.counts * new.counts / total).sqrt_()
        roots = step * root[:, None]
        rows = zip(old_step, new_step, roots, old_turned, new_turned, strict=True)
        for code, scatter, each in zip(codes, group.scatters, rows, strict=True):
            held, (old_s, new_s, step_root, old_out, new_out) = self.scatters[code], each
            torch.mv(held, old_s, out=old_out)
            torch.mv(scatter, new_s, out=new_out)
            held.add_(scatter).addr_(step_root, step_root)
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
        held = (self.scatters[code] for code in codes.tolist())
        return Group(held, self._thirds[codes], self._fourths[codes].clamp_min(0))

    def _reserve(self, codes: list[int]) -> None:
        self._thirds = grown(self._thirds, codes[-1] + 1)
        self._fourths = grown(self._fourths, codes[-1] + 1)
        dim = self._thirds.shape[1]
        for code in codes:
            if code not in self.scatters:
                self.scatters[code] = self._thirds.new_zeros(dim, dim)


def pairs_within(moments: ClassMoments, group: Group) -> Summary | None:
    """‖u − v‖²/2 over all pairs of one class, each alike; None of none.

    Σ_{i≠j} of a class is n Σ a, and its squares about their mean sum to
    n Σ (a − ā)²/2 + ‖Σ x xᵀ‖² − (Σ a)²/(n − 1).
    """
    squares = torch.stack([scatter.square().sum() for scatter in group.scatters])
    several = moments.counts > 1
    n, a = moments.counts[several], moments.squares[several]
    if not len(n):
        return None
    inside = n * group.fourths[several] / 2 + squares[several] - a.square() / (n - 1)
    pairs, own = n * (n - 1), a / (n - 1)
    mean = pairs @ own / pairs.sum()
    total = inside.clamp_min(0).sum() + pairs @ (own - mean).square()
    return Summary(mean, (total / pairs.sum()).sqrt())


def pairs_between(moments: ClassMoments, group: Group) -> Summary | None:
    """‖u − v‖²/2 over all pairs of two classes, each alike; None of none.

    Rows x + m_A and y + m_B are at δ̄ = (ā + b̄ + ‖Δ‖²)/2 on average, Δ = m_A − m_B, and
    (a − ā)/2 + xᵀΔ, (b − b̄)/2 − yᵀΔ and −xᵀy from it: three terms without a common product.
    """
    n, total = moments.counts, moments.counts.sum()
    if len(n) < 2:
        return None
    u = moments.means - n @ moments.means / total
    pairs = ((total - n) @ n) / 2
    mean = ((total - n) @ moments.squares + total * (n @ u.square().sum(1))) / pairs / 2
    spread = (total - n) @ group.fourths / 4 + total * (group.thirds * u).sum()
    centres = gram(n.sqrt()[:, None] * u)  # Σ_B n_B ΔΔᵀ = centres + n u_A u_Aᵀ
    before = torch.zeros_like(centres)
    for scatter, own in zip(group.scatters, u, strict=True):
        spread += (scatter * (centres + before)).sum() + total * (scatter @ own @ own)
        before += scatter
    spread = spread.clamp_min(0) + _between_classes(moments, u, mean)
    return Summary(mean, (spread / pairs).sqrt())


def _between_classes(moments: ClassMoments, u: Tensor, mean: Tensor) -> Tensor:
    """Σ_{A<B} n_A n_B (δ̄ − mean)². The error is about 1e-16 of the largest δ̄."""
    half, total = _mean_square(moments, u) / 2, mean.new_zeros(())
    size = max(1, _TILE // len(u))
    for start in range(0, len(u), size):
        rows = slice(start, start + size)
        gaps = torch.addmm(half - mean, u[rows], u.T, alpha=-1).add_(half[rows, None])
        gaps.diagonal(start).zero_()
        total += moments.counts[rows] @ gaps.square_() @ moments.counts
    return total / 2


def _mean_square(moments: ClassMoments, s: Tensor) -> Tensor:
    """ā + ‖s‖², of no row too."""
    return moments.squares / moments.counts.clamp_min(1) + s.square().sum(1)
