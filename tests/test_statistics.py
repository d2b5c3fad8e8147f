"""Estimates, differences, pairs: closed forms, hand-checked numbers, and what cannot be said."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import bootstrap, t, ttest_1samp, ttest_rel

from metriscope.statistics import (
    Outcomes,
    compare,
    compare_all,
    difference,
    estimate,
    holm,
    of_outcomes,
    seeds_difference,
    seeds_estimate,
)

RNG = np.random.default_rng(0)


def hits(s: int, q: int, share: float = 0.8, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random((s, q)) < share).astype(np.float64)


def test_without_queries_that_differ_it_is_students_t_of_the_seeds() -> None:
    values = np.repeat(RNG.normal(7, 0.1, (4, 1)), 50, axis=1)
    found, want = estimate(values), ttest_1samp(values[:, 0], 0).confidence_interval()
    assert found.interval == (pytest.approx(want.low), pytest.approx(want.high))
    assert found.freedom == pytest.approx(3)
    assert found.sd == pytest.approx(values[:, 0].std(ddof=1))


def test_where_seeds_agree_it_is_students_t_of_the_queries() -> None:
    first, second = np.tile(RNG.random((2, 1, 30)), (1, 3, 1))
    found, want = difference(first, second), ttest_rel(first[0], second[0])
    low, high = want.confidence_interval()
    assert found.p == pytest.approx(want.pvalue)
    assert found.interval == (pytest.approx(low), pytest.approx(high))
    assert found.freedom == pytest.approx(29)
    assert found.d is None  # the seeds have no SD


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_p_is_where_the_interval_ends_at_0(confidence: float) -> None:
    for seed in range(20):
        first, second = hits(3, 60, 0.8, seed), hits(3, 60, 0.65, seed + 100)
        found = difference(first, second, confidence=confidence)
        assert found.interval is not None
        assert found.p is not None
        assert (found.interval.low <= 0 <= found.interval.high) == (found.p >= 1 - confidence)
    exact = difference(first, second, confidence=1 - found.p).interval
    assert exact is not None
    assert min(map(abs, exact)) == pytest.approx(0, abs=1e-6)


def test_components_of_the_variance() -> None:
    """Against sums of squares of a table, by hand."""
    values = RNG.normal(size=(4, 1, 1)).repeat(25, 1)[:, :, 0] + RNG.normal(size=(1, 25))
    values = values + RNG.normal(size=values.shape)
    s, q = values.shape
    rows, columns, mean = values.mean(1), values.mean(0), values.mean()
    rest = values - rows[:, None] - columns[None] + mean
    of_rest = (rest**2).sum() / ((s - 1) * (q - 1)) / (s * q)
    variance = rows.var(ddof=1) / s + columns.var(ddof=1) / q - of_rest
    assert estimate(values).error == pytest.approx(math.sqrt(variance))


def test_identical_values() -> None:
    first = hits(3, 400)
    found = difference(first, first.copy())
    assert (found.mean, found.p, found.wins, found.losses, found.d, found.h) == (
        0,
        1,
        0,
        0,
        None,
        0,
    )
    assert found.interval is not None
    assert found.interval.high == -found.interval.low == pytest.approx(0.0095, abs=1e-4)  # Wilson
    (pair,) = compare_all(Outcomes("recall@1", {"a": first, "b": first}, (0, 1, 2)))
    assert (pair.adjusted, pair.verdict) == (1, "no evidence of a difference")


@pytest.mark.parametrize(("n", "least"), [(1, 0.5), (3, 0.25), (4, 0.125), (6, 2**-5)])
def test_a_few_queries_that_all_point_one_way_prove_little(n: int, least: float) -> None:
    first, second = np.ones((2, 3, 1000))
    second[:, :n] = 0
    found = difference(first, second)
    assert found.p == pytest.approx(least, rel=1e-6)
    assert found.interval is not None
    assert (found.interval.low < 0) == (least > 0.05)


def test_a_difference_that_nothing_varies() -> None:
    found = difference(np.ones((3, 500)), np.zeros((3, 500)))
    assert found.mean == 1
    assert found.p is not None
    assert 0 < found.p < 1e-15
    assert found.interval is not None
    assert 0.5 < found.interval.low < 1
    seeds = seeds_difference(np.full(3, 0.7), np.full(3, 0.6))
    assert seeds.p == pytest.approx(0.25)
    assert seeds.d is None


def test_seeds_that_happen_to_agree_leave_an_interval() -> None:
    values = np.zeros((2, 100))
    values[0, :50] = values[1, 50:] = 1  # both 0.5, of other queries
    found = estimate(values)
    assert found.sd == 0
    assert found.error is not None
    assert found.error >= 0
    found = estimate(np.abs(values - hits(2, 100, 0.01, 3)))
    assert found.interval is not None
    assert found.interval.high > found.interval.low


def test_one_seed_has_no_interval() -> None:
    first, second = hits(1, 300), hits(1, 300, 0.7, 1)
    found = estimate(first)
    assert (found.interval, found.error, found.freedom, found.sd) == (None,) * 4
    assert found.queries_interval is not None
    between = difference(first, second)
    assert (between.interval, between.p, between.d, between.error) == (None,) * 4
    assert between.h is not None
    assert between.wins is not None
    (pair,) = compare_all(Outcomes("recall@1", {"a": first, "b": second}, (0,)))
    assert (pair.adjusted, pair.verdict) == (None, "cannot say")
    assert seeds_estimate(np.array([0.3])).interval is None
    assert seeds_difference(np.array([0.3]), np.array([0.2])).p is None


def test_queries_alone_are_a_bootstrap_as_of_one_run() -> None:
    values = RNG.beta(2, 1, (1, 400))
    found = estimate(values).queries_interval
    want = bootstrap((values[0],), np.mean, method="percentile").confidence_interval
    assert found is not None
    assert found == (pytest.approx(want.low, abs=0.004), pytest.approx(want.high, abs=0.004))
    several = estimate(np.concatenate([values, RNG.beta(2, 1, (4, 400))])).queries_interval
    assert several is not None
    assert several.high - several.low == pytest.approx(found.high - found.low, rel=0.15)


def test_intervals_of_shares_stay_between_0_and_1() -> None:
    near = np.ones((2, 50))
    near[0, 0] = 0
    found = estimate(near).interval
    assert found is not None
    assert 0 < found.low < 0.99 < found.high < 1
    perfect = estimate(np.ones((3, 200)))
    assert perfect.interval == (pytest.approx(0.9812, abs=1e-4), 1)  # Wilson
    below = estimate(np.zeros((3, 200))).interval
    assert below == (0, pytest.approx(0.0188, abs=1e-4))
    middle = estimate(hits(3, 4000, 0.5))
    assert middle.interval is not None
    assert middle.error is not None
    assert middle.freedom is not None
    half = t.ppf(0.975, middle.freedom) * middle.error  # far from both ends it is mean ± t·error
    want = (middle.mean - half, middle.mean + half)
    assert middle.interval == pytest.approx(want, abs=2e-4)


@pytest.mark.parametrize(("s", "least"), [(2, 0.98), (3, 0.995), (5, 0.997)])
def test_one_miss_leaves_a_narrow_interval(s: int, least: float) -> None:
    """Without a limit, log(share / (1 − share)) gave [0.0017, 1] for two seeds."""
    near = np.ones((s, 574))
    near[0, 0] = 0
    high, low = estimate(near).interval, estimate(1 - near).interval
    assert high is not None
    assert least < high.low < near.mean() < high.high <= 1
    assert low == (pytest.approx(1 - high.high, abs=1e-9), pytest.approx(1 - high.low))


def test_without_resamples_only_shares_have_an_interval_of_the_queries() -> None:
    values = RNG.random((3, 50))
    assert estimate(values, resamples=0).queries_interval is None
    assert estimate(values[:1], resamples=0).queries_interval is None
    assert estimate(values, resamples=0).interval == estimate(values).interval
    assert estimate(hits(3, 50), resamples=0) == estimate(hits(3, 50))
    one = Outcomes("map@r", {"a": values}, (0, 1, 2))
    assert of_outcomes(one, "a", resamples=0).queries_interval is None
    assert of_outcomes(one, "a").queries_interval is not None


def test_two_seeds_that_happen_to_agree_do_not_prove_much() -> None:
    """Queries alone: 3.3 of their errors would do at 0.05/21, Holm's first of seven losses."""
    between = np.zeros((2, 400))
    between[:, :40], between[0, 40:60], between[1, 60:80] = 1, 1, 1  # both 0.15, the rest differs
    found = difference(between, np.zeros((2, 400)), confidence=1 - 0.05 / 21)
    alone = between.mean(0).std() / math.sqrt(399)
    assert found.interval is not None
    half = (found.interval.high - found.interval.low) / 2
    out = math.log(0.05 / 21) / math.log(0.05)
    assert half == pytest.approx(alone * t.isf(0.05 / 42, 399) * 0.5 * out**1.5)
    more = np.concatenate([between, between[:1]])
    three = difference(more, np.zeros((3, 400)), confidence=1 - 0.05 / 21).interval
    assert three is not None
    assert three.high - three.low >= 2 * t.isf(0.05 / 42, 399) * more.mean(0).std() / math.sqrt(400)


def test_effect_sizes() -> None:
    first, second = np.zeros((2, 2, 10))
    first[:, :5] = 1  # 0.5 in both seeds
    second[0, :2] = second[1, :4] = 1  # 0.2 and 0.4
    found = difference(first, second)
    assert found.d == pytest.approx(0.2 / np.std([0.3, 0.1], ddof=1))
    assert found.h == pytest.approx(2 * math.asin(0.5**0.5) - 2 * math.asin(0.3**0.5))
    assert (found.wins, found.losses) == (pytest.approx(0.3), 0)
    assert difference(first * 0.5, second).h is None


def test_seeds_alone_are_a_paired_t_test() -> None:
    first, second = RNG.normal(1, 1, 5), RNG.normal(0, 1, 5)
    found, want = seeds_difference(first, second), ttest_rel(first, second)
    low, high = want.confidence_interval()
    assert found.p == pytest.approx(want.pvalue)
    assert found.interval == (pytest.approx(low), pytest.approx(high))
    assert (found.queries, found.wins) == (0, None)


def test_whole_numbers_are_known_to_their_step_only() -> None:
    first, second = np.full(3, 9.0), np.full(3, 5.0)
    found = seeds_difference(first, second, grain=1.0)
    assert found.error == pytest.approx(math.sqrt(1 / 6 / 3))
    assert found.p == pytest.approx(0.0034, abs=1e-4)
    assert seeds_estimate(first, grain=1.0).error == pytest.approx(math.sqrt(1 / 12 / 3))
    values = {"a": first[:, None], "b": second[:, None]}
    epochs = Outcomes("epochs", values, (0, 1, 2), False, False, grain=1.0)
    assert compare_all(epochs)[0].difference == found
    assert of_outcomes(epochs, "a").error == pytest.approx(math.sqrt(1 / 12 / 3))
    same = seeds_difference(first, first, grain=1.0)
    assert (same.p, same.mean) == (1, 0)


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == [1, 1]
    assert holm([]) == []
    p = RNG.random(9) * 0.1
    rejected = 0  # step down, as Holm (1979) writes it
    for i, one in enumerate(sorted(p)):
        if one > 0.05 / (9 - i):
            break
        rejected += 1
    assert sum(q <= 0.05 for q in holm(p.tolist())) == rejected


def test_every_pair_once_in_the_order_of_the_losses() -> None:
    values = {
        name: hits(3, 200, share, i)
        for i, (name, share) in enumerate({"a": 0.9, "b": 0.5, "c": 0.88}.items())
    }
    pairs = compare_all(Outcomes("recall@1", values, (0, 1, 2)))
    assert [(p.first, p.second) for p in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [p.verdict for p in pairs] == ["different", "no evidence of a difference", "different"]
    raw = [p.difference.p for p in pairs]
    assert [p.adjusted for p in pairs] == holm([p for p in raw if p is not None])
    (one,) = compare(Outcomes("recall@1", values, (0, 1, 2)), [("b", "a")])
    assert one.difference.mean == -pairs[0].difference.mean
    assert one.adjusted == one.difference.p == raw[0]
