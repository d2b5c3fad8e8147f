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


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Spearman's ρ; None of fewer than three pairs, or where one side is all the same."""
    import numpy as np
    from scipy.stats import rankdata

    if len(x) < 3 or len(set(x)) == 1 or len(set(y)) == 1:
        return None
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def spearman(x: Sequence[float], y: Sequence[float]) -> Correlation | None:
    """ρ with its p; None where it is undefined."""
    import numpy as np
    from scipy.stats import rankdata, spearmanr

    rho = rank_correlation(x, y)
    if rho is None:
        return None
    if len(x) > MOST:
        return Correlation(rho, float(spearmanr(x, y).pvalue), len(x))
    ranks, orders = rankdata(x), np.array(list(itertools.permutations(rankdata(y))))  # (n!, n)
    products = orders @ ranks  # in the order of ρ, whose other parts are all alike
    middle = ranks.sum() * orders[0].mean()
    extreme = np.abs(products - middle) >= abs(products[0] - middle) - 1e-9
    return Correlation(rho, float(extreme.mean()), len(x))


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
