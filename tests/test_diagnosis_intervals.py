"""Intervals hold what they say they hold: 95 of 100 of them, on data where the truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, bootstrap

from metriscope.diagnosis.intervals import of_groups, of_mean, of_share
from metriscope.diagnostics.base import Score
from metriscope.types import Interval

TRIALS = 2000


def held(intervals: list[Interval | None], truth: float) -> float:
    inside = [found is not None and found.low <= truth <= found.high for found in intervals]
    return float(np.mean(inside))


@pytest.mark.parametrize(("share", "n"), [(0.5, 400), (0.9, 1000), (0.62, 4000)])
def test_coverage_of_a_share(share: float, n: int) -> None:
    drawn = np.random.default_rng(0).binomial(n, share, TRIALS) / n
    assert 0.93 <= held([of_share(p, n, 0.95) for p in drawn], share) <= 0.97


def test_coverage_near_one() -> None:
    # Where the plain bootstrap of 200 queries, all of them right, would say [1, 1].
    n, share = 200, 0.997
    drawn = np.random.default_rng(1).binomial(n, share, TRIALS) / n
    assert (drawn == 1).mean() > 0.5
    assert held([of_share(p, n, 0.95) for p in drawn], share) >= 0.93


def test_the_shortcut_is_the_bootstrap() -> None:
    values = np.random.default_rng(2).random(500) < 0.7
    found = of_share(values.mean(), 500, 0.9)
    drawn = of_mean(values.astype(float), 0.9, 20_000, 0)
    assert found is not None
    assert drawn is not None
    assert found.low == pytest.approx(drawn.low, abs=1.01 / 500)
    assert found.high == pytest.approx(drawn.high, abs=1.01 / 500)
    low, high = binom.ppf([0.05, 0.95], 500, values.mean()) / 500
    assert found == (low, high)


def test_coverage_of_a_mean() -> None:
    rng = np.random.default_rng(3)
    # As average precisions are: many 0, some 1, the rest between.
    truth = 0.5 * 0.3 + 0.5 * (1 / 3)
    found = []
    for trial in range(1000):
        some = rng.random(300) < 0.5
        values = np.where(some, rng.random(300) < 0.3, rng.beta(1, 2, 300))
        found.append(of_mean(values, 0.95, 300, trial))
    assert 0.93 <= held(found, truth) <= 0.97


def test_a_mean_is_resampled_as_scipy_does() -> None:
    values = np.random.default_rng(4).gamma(1, 1, 200)
    want = bootstrap((values,), np.mean, n_resamples=9999, method="percentile").confidence_interval
    found = of_mean(values, 0.95, 9999, 0)
    assert found is not None
    assert found == (pytest.approx(want.low, rel=0.01), pytest.approx(want.high, rel=0.01))
    assert found == of_mean(values, 0.95, 9999, 0)


def test_coverage_of_a_score_of_a_sample() -> None:
    """The logarithm of a mean over pairs, as uniformity is."""
    rng, score, found = np.random.default_rng(5), Score("s"), []

    def of(x: np.ndarray) -> float:
        near = np.exp(-((x[:, None] - x[None]) ** 2))
        n = len(x)
        return math.log((near.sum() - n) / (n * (n - 1)))

    truth = math.log(1 / math.sqrt(5))  # of x − y ~ N(0, 2)
    for _ in range(400):
        x = rng.standard_normal(200)
        groups = [of(part) for part in np.split(x, 10)]
        found.append(of_groups(of(x), groups, 200, score, 0.95))
    assert 0.92 <= held(found, truth) <= 0.99


def test_bounds_and_groups_that_agree() -> None:
    share, free = Score("share", lower=0, upper=1), Score("free")
    assert of_groups(0.99, [0.9, 1.0] * 5, 100, share, 0.95) == (pytest.approx(0.9523, abs=1e-3), 1)
    nothing = of_groups(0.0, [0.0] * 10, 1000, share, 0.95)
    assert nothing is not None
    assert nothing.low == 0
    assert 0.003 < nothing.high < 0.005  # about 3 of 1,000
    assert of_groups(2.0, [2.0] * 10, 1000, free, 0.95) == (2, 2)
    assert of_groups(0.5, [0.5, None, 0.5], 100, share, 0.95) is None


def test_one_query_has_no_interval() -> None:
    assert of_share(1.0, 1, 0.95) is None
    assert of_share(1.0, 0, 0.95) is None
    assert of_mean(np.ones(1), 0.95, 10, 0) is None
    assert of_mean(np.ones(0), 0.95, 10, 0) is None


def test_more_confidence_is_wider() -> None:
    narrow, wide = of_share(0.7, 100, 0.5), of_share(0.7, 100, 0.99)
    assert narrow is not None
    assert wide is not None
    assert wide.low < narrow.low < 0.7 < narrow.high < wide.high
