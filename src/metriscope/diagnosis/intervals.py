"""Where a score could as well lie: percentile bootstrap over queries, and its shortcut."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from metriscope.diagnosis.classes import wilson
from metriscope.diagnostics.base import Score
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


def of_groups(
    value: float, groups: Sequence[float | None], rows: int, score: Score, confidence: float
) -> Interval | None:
    """Of a score of a sample, from the same score of g disjoint groups that it was cut into.

    A group is as good as a sample of its size, so SD/√g estimates the standard error of the whole
    (subsampling; Politis, Romano and Wolf, 1999): value ± t_{g−1} SD/√g, within the score's bounds.
    Where the groups agree, as on nothing at all, Wilson's interval of a share of the rows.

    Args:
        value: of the sample. groups: of each group; None where it is undefined in one.
        rows: of the sample.
        score: its bounds.
        confidence: of the interval.
    """
    from scipy.stats import t

    found = [group for group in groups if group is not None]
    if len(found) < max(len(groups), 2):
        return None
    error = float(np.std(found, ddof=1)) / math.sqrt(len(found))
    if not error and (score.lower, score.upper) == (0, 1):
        return wilson(round(value * rows), rows, confidence)
    half = float(t.ppf((1 + confidence) / 2, len(found) - 1)) * error
    return Interval(float(max(value - half, score.lower)), float(min(value + half, score.upper)))
