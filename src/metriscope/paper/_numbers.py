"""Small statistics of published numbers and of a handful of losses."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

MOST = 8  # losses whose orders are all tried; more take Student's t


class Correlation(NamedTuple):
    """Spearman's ρ of n pairs. ``p``: two-sided; exact up to :data:`MOST`."""

    rho: float
    p: float
    n: int


def spearman(x: Sequence[float], y: Sequence[float]) -> Correlation | None:
    """Rank correlation; None of fewer than three pairs, or where one side is all the same."""
    import numpy as np
    from scipy import stats

    if len(x) < 3 or len(set(x)) == 1 or len(set(y)) == 1:
        return None
    found = stats.spearmanr(x, y)
    rho = float(found.statistic)
    if len(x) > MOST:
        return Correlation(rho, float(found.pvalue), len(x))
    orders = np.array(list(itertools.permutations(stats.rankdata(y))))  # (n!, n)
    ranks = stats.rankdata(x)
    all_rho = (orders - orders[0].mean()) @ (ranks - ranks.mean())
    all_rho = all_rho / (len(x) * orders[0].std() * ranks.std())
    return Correlation(rho, float((np.abs(all_rho) >= abs(rho) - 1e-9).mean()), len(x))


def share_error(share: float, of: int) -> float:
    """Standard error √(p(1 − p)/n) of a share of n queries."""
    return math.sqrt(share * (1 - share) / of)


def apart(first: float, second: float, of: int) -> float:
    """Difference of two shares of n queries each, in standard errors of it.

    The queries are the same, which is not made use of: nobody can from printed shares, so it is
    rather too small. Infinite where both errors are 0 and the shares differ.
    """
    error = math.hypot(share_error(first, of), share_error(second, of))
    if error == 0:
        return math.copysign(math.inf, first - second) if first != second else 0.0
    return (first - second) / error
