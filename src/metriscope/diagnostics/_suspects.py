"""Rows that are far from all others, and rows that are there twice, from distances alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metriscope.diagnostics._label_noise import LabelNoise

FALSE_RATE = 1e-4
"""Share of ordinary rows that may be taken for an outlier, or for one of two near-duplicates."""

SAME = 1e-14
"""Distance of unit vectors that is rounding."""

SURE = 0.7
"""Probability of being wrong above which a label is listed."""

_FEWEST = 20  # rows from which what is ordinary can be told
_NEAR = 0.2  # largest distance of near-duplicates: a cosine of 0.98
_NEARER = 0.3  # and of what is usual


@dataclass(frozen=True, eq=False)
class Copies:
    """Rows with a copy. ``exact``: (n,) of the same direction; ``near``: (n,) or almost."""

    exact: Bool[Tensor, " n"]
    near: Bool[Tensor, " n"]


def copies(distance: Float[Tensor, "n k"], same: float = SAME) -> Copies:
    """Rows whose nearest neighbour is the same, or far nearer than neighbours are.

    Exact: d_1 ≤ ``same``. Near: d_1 < 0.2, d_1 < 0.3 median d_1, and d_1 < t d_k, so that classes
    tighter than the rest are not all copies. t ≤ 0.3 is where the lower tail of d_1/d_k, as a power
    law through its quartile and its median, holds one row in 10,000: what a space of that
    dimension does by chance. Of fewer than 20 rows only exact copies are told.

    Args:
        distance: (n, k) to the nearest, rising; NaN where fewer were found.
        same: how far rounding may have set copies apart.
    """
    if not distance.shape[1]:
        none = distance.new_zeros(len(distance), dtype=torch.bool)
        return Copies(none, none)
    first = distance[:, 0]
    last = distance.nan_to_num(nan=-1).amax(1)
    exact = first <= same
    other = ~exact & first.isfinite() & (last > 0)
    if int(other.sum()) < _FEWEST or distance.shape[1] < 2:
        return Copies(exact, exact)
    ratio = first / last.clamp_min(1e-300)
    quarter, half = ratio[other].quantile(torch.tensor([0.25, 0.5]).to(ratio)).tolist()
    slope = math.log(2) / math.log(half / quarter) if half > quarter else math.inf
    limit = min(half * (2 * FALSE_RATE) ** (1 / slope), _NEARER)
    usual = float(first[other].median())
    near = (first < min(_NEAR, _NEARER * usual)) & (ratio < limit)
    return Copies(exact, exact | near)


def far_out(
    distance: Float[Tensor, "n k"], nearest: Int[Tensor, "n k"], mates: Int[Tensor, " n"]
) -> tuple[Bool[Tensor, " n"], Float[Tensor, " n"]] | None:
    """Rows far from everything, and how many times as far as is usual there and anywhere.

    With D_i the mean distance to the min(k, others of its class) nearest, so that a small class
    need not lie beside another one, r_i = D_i / (median D of these) says how far row i
    is by the measure of its own neighbourhood, so that loose classes are not all outliers. The
    limit is where the upper tail of log r, exponential through its median and its 90th
    percentile, holds one row in 10,000; lighter tails, such as those of Gaussian classes, hold
    fewer. A row is far out where both r_i and D_i / (median D of all) are beyond the limit; the
    smaller of the two is returned. A row alone in its class is not judged. None of fewer than 20
    rows with others of their class.

    Args:
        distance: (n, k) to the nearest. nearest: (n, k) their rows.
        mates: (n,) others of its class.
    """
    judged = mates > 0
    if int(judged.sum()) < _FEWEST:
        return None
    few = torch.arange(1, distance.shape[1] + 1, device=mates.device) <= mates[:, None]
    mean = (distance * few).sum(1) / few.sum(1)  # NaN of a row alone in its class
    usual = mean[judged].median().clamp_min(SAME)
    there = mean[nearest].nanmedian(1).values.nan_to_num(nan=float(usual)).clamp_min(SAME)
    local = (mean / there).clamp_min(SAME).log()
    half, high = local[judged].quantile(torch.tensor([0.5, 0.9]).to(local)).tolist()
    limit = half + (high - half) * math.log(0.5 / FALSE_RATE) / math.log(5)
    times = torch.minimum(mean / there, mean / usual).nan_to_num()
    return (times > math.exp(limit)) & (times > 1), times


def mislabelled(found: LabelNoise) -> Bool[Tensor, " n"]:
    """Rows that are probably wrong, and whose neighbours are rather of the other class too."""
    return (found.wrong > SURE) & found.agreed
