"""Where a mean over queries could as well lie: percentile bootstrap, its shortcut, Wilson's."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from metriscope.types import Interval


def of_share(share: float, n: int, confidence: float) -> Interval | None:
    """Of the mean of n values that are 0 or 1; None of fewer than two.

    Resampling them draws Binomial(n, share)/n: its quantiles are the bootstrap's, without drawing.
    Of a share of 0 or 1 all resamples are alike, so there it is Wilson's interval.
    """
    from scipy.stats import binom

    if n < 2:
        return None
    right = round(share * n)
    if right in (0, n):
        return wilson(right, n, confidence)
    tail = (1 - confidence) / 2
    low, high = binom.ppf([tail, 1 - tail], n, share) / n
    return Interval(float(low), float(high))


def of_mean(values: np.ndarray, confidence: float, resamples: int, seed: int) -> Interval | None:
    """Percentile bootstrap of the mean of (n,) values; None of fewer than two."""
    n = len(values)
    if n < 2:
        return None
    random = np.random.default_rng(seed)
    means = [values[random.integers(n, size=n)].mean() for _ in range(resamples)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(low), float(high))


def wilson(right: int, n: int, confidence: float) -> Interval:
    """Wilson's score interval of a share, which also holds near 0 and 1 and for few queries."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, weight = right / n, z * z / n
    centre = share + weight / 2
    half = z * ((share * (1 - share) + weight / 4) / n) ** 0.5
    low, high = (centre - half) / (1 + weight), (centre + half) / (1 + weight)
    return Interval(max(low, 0.0) if right else 0.0, min(high, 1.0) if right < n else 1.0)


def within(interval: Interval | None, lower: float, upper: float) -> Interval | None:
    """The part of it from ``lower`` to ``upper``."""
    if interval is None:
        return None
    return Interval(*(min(max(end, lower), upper) for end in interval))
