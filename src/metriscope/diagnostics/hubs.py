"""Hubs: do a few rows fill everybody's neighbour list, more than this shape explains?"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metriscope import ops
from metriscope.diagnostics._sample import some_rows
from metriscope.diagnostics.base import RESOLUTION, Score, Space, Values, diagnostic

_QUERIES = 4000
_NEIGHBOURS = 10
_ROUNDS = 3
_DRAWS = 8
_CORE = 1 / 5


@diagnostic(
    "hubs",
    reads="diagnosis",
    group="retrieval",
    scores=[
        Score("hubness.top", better="lower", lower=0, upper=1),
        Score("hubness.top.usual", lower=0, upper=1),
    ],
)
def hubs(space: Space) -> Values:
    """Share of all neighbour places that 1 % of the rows hold, and what this shape makes usual.

    Formula, with N(j) how many of q ≤ 4,000 drawn queries have row j among their k = min(10, n − 1)
    nearest others, T the ⌈n/100⌉ rows of largest N::

        top   = Σ_{j∈T} N(j) / (q k)
        usual = the most of as many rows μ_c + s_c ε, normalised, for the class c of each row

    with ε Gaussian of unit mean square length. μ_c, s_c and the covariance of ε, pooled over
    classes, are those of each class's core: the fifth of its rows around one of them that is near
    its centre (s_c² the median of their ‖z − μ_c‖²), so that wrong labels and further clumps do
    not widen it. The null has the same classes in the same places, a little tighter, without any
    row that is special. High dimension alone makes hubs, and the null has them. It is the
    largest of up to eight draws, always the same, which follow the order of rows and the axes.

    Bounds: [0, 1]. Undefined where the core of every class is one point. Source: Radovanović
    et al. (2010); the null is derived here.
    """
    draws = [] if space.rows < 2 or space.collapsed else [_top(z) for z in _without_hubs(space)]
    if not draws:
        return {"hubness.top": None, "hubness.top.usual": None}
    return {"hubness.top": _top(space.z), "hubness.top.usual": torch.stack(draws).max()}


def _without_hubs(space: Space) -> Iterator[Float[Tensor, "n d"]]:
    """Draws of the null; none without any width."""
    centred, of = space.centred, space.class_index
    first, _ = _cores(space, space.residuals.square().sum(1), share=0)
    means = centred[first]  # a row: between two clumps there is none
    for _ in range(_ROUNDS):
        core, widths = _cores(space, (centred - means[of]).square().sum(1), share=_CORE)
        means = torch.zeros_like(means).index_add_(0, of[core], centred[core])
        means /= torch.bincount(of[core], minlength=len(means))[:, None]
    residuals = centred[core] - means[of[core]]
    scatter = residuals.T @ residuals
    if bool(scatter.trace() <= RESOLUTION**2):
        return
    values, vectors = torch.linalg.eigh(scatter / scatter.trace())
    axes = values.clamp_min(0).sqrt()[:, None] * vectors.T
    generator = torch.Generator().manual_seed(0)
    for _ in range(max(1, min(_DRAWS, _QUERIES // space.rows))):
        e = torch.randn(centred.shape, generator=generator, dtype=torch.float64).to(centred)
        z = means[of] + space.mean + widths[of, None].sqrt() * (e @ axes)
        yield ops.unit_rows(z)[0]


def _cores(
    space: Space, squares: Float[Tensor, " n"], share: float
) -> tuple[Int[Tensor, " core"], Float[Tensor, " c"]]:
    """That share of each class, at least a row, with the smallest squares; and their median."""
    counts = space.moments.counts.long()
    order = squares.argsort(stable=True)
    order = order[space.class_index[order].argsort(stable=True)]  # by class, then by square
    starts = counts.cumsum(0) - counts
    kept = (share * counts).ceil().long().clamp_min(1)
    rank = torch.arange(len(order), device=order.device) - starts.repeat_interleave(counts)
    core = order[rank < kept.repeat_interleave(counts)]
    return core, squares[order[starts + kept // 2]]


def _top(z: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    n = len(z)
    rows = some_rows(n, _QUERIES, z.device)
    k, found = min(_NEIGHBOURS, n - 1), z.new_zeros(n)
    for part, index, _ in ops.neighbour_blocks(z[rows], z, k + 1):
        others = index != rows[part, None]
        others &= others.cumsum(1) <= k  # the own row is last or, among many equal ones, absent
        found += torch.bincount(index[others], minlength=n)
    return found.topk(-(-n // 100)).values.sum() / (len(rows) * k)
