"""Where a score of a sample could as well lie; of shares and means, see the statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from metriscope.diagnostics.base import Score
from metriscope.statistics.intervals import of_mean, of_share, wilson
from metriscope.types import Interval

__all__ = ["of_groups", "of_mean", "of_share"]


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
