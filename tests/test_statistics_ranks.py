"""Ranks of losses on one dataset, and over several."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2, friedmanchisquare, rankdata

from metriscope.statistics import (
    Outcomes,
    compare_all,
    critical_difference,
    of_outcomes,
    rank_all,
)
from metriscope.statistics.ranks import GROUPS, resampled

# C4.5 with none, m, cf, and m + cf tuned; AUC on 14 datasets (Demšar, JMLR 2006, table 6). The
# 13th is printed as 0.975 twice and ranked 2 and 3.
DEMSAR = """0.763 0.768 0.771 0.798  0.599 0.591 0.590 0.569  0.954 0.971 0.968 0.967
0.628 0.661 0.654 0.657  0.882 0.888 0.886 0.898  0.936 0.931 0.916 0.931  0.661 0.668 0.609 0.685
0.583 0.583 0.563 0.625  0.775 0.838 0.866 0.875  1.000 1.000 1.000 1.000  0.940 0.962 0.965 0.962
0.619 0.666 0.614 0.669  0.972 0.981 0.9751 0.975  0.957 0.978 0.946 0.970"""


def outcomes(gaps: dict[str, float], s: int = 3, q: int = 1000, seed: int = 0) -> Outcomes:
    rng = np.random.default_rng(seed)
    hard = rng.standard_normal((1, q))
    values = {
        name: (hard + 0.5 * rng.standard_normal((s, q)) + 1 - gap > 0).astype(float)
        for name, gap in gaps.items()
    }
    return Outcomes("recall@1", values, tuple(range(s)))


def test_places_chances_and_regret() -> None:
    found = rank_all(outcomes({"worst": 1.5, "best": 0.0, "near": 0.02, "far": 0.7}))
    assert [rank.loss for rank in found][2:] == ["far", "worst"]
    assert {rank.loss for rank in found[:2]} == {"best", "near"}
    assert [rank.rank for rank in found] == [1, 2, 3, 4]
    assert [rank.interval for rank in found] == [(1, 2), (1, 2), (3, 3), (4, 4)]
    assert sum(rank.best or 0 for rank in found) == pytest.approx(1)
    assert found[2].best == found[3].best == 0
    assert found[0].regret is not None
    assert 0 < found[0].regret < 0.02
    regrets = [rank.regret for rank in found if rank.regret is not None]
    assert regrets == sorted(regrets)
    assert regrets[3] == pytest.approx(found[0].mean - found[3].mean, abs=0.02)


def test_lower_can_be_better() -> None:
    given = outcomes({"a": 0.0, "b": 0.5})
    low = Outcomes("loss", given.values, given.seeds, higher=False)
    assert [rank.loss for rank in rank_all(low)] == ["b", "a"]
    assert [rank.interval for rank in rank_all(low)] == [(1, 1), (2, 2)]
    assert rank_all(low)[0].mean == given.values["b"].mean()


def test_losses_that_are_one_share_the_first_place() -> None:
    given = outcomes({"a": 0.0})
    twice = Outcomes("recall@1", {"a": given.values["a"], "b": given.values["a"]}, given.seeds)
    for rank in rank_all(twice):
        assert (rank.rank, rank.interval, rank.best, rank.regret) == (1, (1, 2), 0.5, 0)


def test_one_seed_has_places_and_nothing_else() -> None:
    for rank in rank_all(outcomes({"a": 0.0, "b": 0.5}, s=1)):
        assert (rank.interval, rank.best, rank.regret) == (None, None, None)
    assert rank_all(Outcomes("recall@1", {}, ())) == ()


@pytest.mark.parametrize(
    ("s", "q", "sd", "rest"),
    [
        (3, 400, 0.02, 0.0),
        (2, 400, 0.02, 0.0),
        (10, 400, 0.01, 0.6),
        (10, 1, 0.02, 0.0),
        (3, 2 * GROUPS + 7, 1e-3, 0.0),
    ],
)
def test_resamples_spread_as_the_variance_says(s: int, q: int, sd: float, rest: float) -> None:
    """Of a difference of two losses: that of the crossed model, times what Student's t adds."""
    rng = np.random.default_rng(1)
    values = rng.normal(0, sd, (2, s, 1)) + rng.normal(0, 0.3, (2, 1, q)) * (q > 1)
    values = values + rng.normal(0, rest, (2, s, q)) * (q > 1)
    values = values[:, :, np.argsort((values[0] - values[1]).mean(0))]  # as by class
    drawn = resampled(values, 4000, 0)
    between = values[0] - values[1]
    seeds, queries = between.mean(1).var(ddof=1) / s, between.mean(0).var() / q
    left = between - between.mean(0) - between.mean(1)[:, None] + between.mean()
    queries = max(queries - (left**2).sum() / ((s - 1) * s * q**2), queries / 4)
    at = np.maximum(chi2.ppf(np.linspace(0, 1, 100_001)[1:-1], s - 1), chi2.ppf(0.05, s - 1))
    heavy = ((s - 1) / at).mean()  # of Student's t, its χ² held above its 5 % quantile
    spread = (drawn[:, 0] - drawn[:, 1]).var()
    assert spread == pytest.approx(heavy * seeds + queries, rel=0.2 if s == 2 else 0.1)
    assert np.median(drawn[:, 0] - drawn[:, 1]) == pytest.approx(between.mean(), abs=0.01)


def test_two_seeds_have_a_finite_regret() -> None:
    for seed in range(5):
        first = rank_all(outcomes({"a": 0.0, "b": 0.01}, s=2, seed=seed))[0]
        assert first.regret is not None
        assert first.regret < 0.1


@pytest.mark.parametrize("higher", [True, False])
def test_nothing_is_gained_beyond_what_a_score_can_be(higher: bool) -> None:
    """Epochs from 0 to 21 of two seeds: Student's t would draw −30, and a gain of 10 from 3."""
    epochs = {"a": [[1.0], [5.0]], "b": [[9.0], [2.0]], "c": [[12.0], [1.0]]}
    values = {name: np.array(of) for name, of in epochs.items()}
    if higher:
        values = {name: 21 - of for name, of in values.items()}
    free = Outcomes("epochs", values, (0, 1), higher, per_query=False, grain=1.0)
    bound = replace(free, lower=0.0, upper=21.0)
    most = {name: float(21 - of.mean() if higher else of.mean()) for name, of in values.items()}
    for rank in rank_all(bound):
        assert rank.regret is not None
        assert 0 <= rank.regret <= most[rank.loss]
    assert sum(rank.best or 0 for rank in rank_all(bound)) == pytest.approx(1)
    assert any((rank.regret or 0) > most[rank.loss] for rank in rank_all(free))
    for name in values:
        wide, found = of_outcomes(free, name).interval, of_outcomes(bound, name).interval
        assert wide is not None
        assert wide.low < 0
        assert found == (0, min(wide.high, 21))
    for wide_pair, pair in zip(compare_all(free), compare_all(bound), strict=True):
        wide, found = wide_pair.difference.interval, pair.difference.interval
        assert wide is not None
        assert found == (max(wide.low, -21), min(wide.high, 21))
        assert pair.difference.p == wide_pair.difference.p


@pytest.mark.parametrize("higher", [True, False])
@pytest.mark.parametrize("near", [0.0, 1.0])
def test_draws_near_an_end_stay_centred(near: float, higher: bool) -> None:
    """Draws beyond 1 must not become 1 while those as far below stay."""
    wide, narrow = np.array([[0.0], [0.1]]), np.array([[0.06], [0.061]])
    values = {"wide": abs(near - wide), "narrow": abs(near - narrow)}
    shares = Outcomes("share", values, (0, 1), higher, False, lower=0.0, upper=1.0)
    first, second = rank_all(shares)
    assert (first.best or 0) > (second.best or 0)
    assert 0 < (first.regret or 0) < (second.regret or 0) < 0.03
    apart = abs(first.mean - second.mean)
    assert (second.regret or 0) - (first.regret or 0) == pytest.approx(apart, abs=2e-3)


def test_behind_a_perfect_loss_nobody_loses_more_than_to_it() -> None:
    values = {"perfect": np.ones((2, 1)), "other": np.array([[0.5], [0.9]])}
    shares = Outcomes("share", values, (0, 1), per_query=False, lower=0.0, upper=1.0)
    for seed in range(8):
        first, second = rank_all(shares, draws=100, seed=seed)
        assert first.regret == 0
        assert 0.2 < (second.regret or 0) <= 0.3 + 1e-12


def test_demsars_example() -> None:
    table = np.array(DEMSAR.split(), float).reshape(14, 4)
    names = ("C4.5", "+m", "+cf", "+m+cf")
    means = {f"d{i}": dict(zip(names, row, strict=True)) for i, row in enumerate(table)}
    found = critical_difference(means)
    assert found is not None
    assert dict(zip(found.losses, np.round(found.ranks, 3), strict=True)) == {
        "C4.5": 3.143, "+m": 2.0, "+cf": 2.893, "+m+cf": 1.964,
    }  # fmt: skip
    assert found.critical == pytest.approx(1.25, abs=0.005)
    assert found.p == pytest.approx(friedmanchisquare(*table.T).pvalue)
    assert found.datasets == 14
    assert found.groups == ((0, 3),)  # "not powerful enough", he says


@pytest.mark.parametrize(
    ("k", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949)]
)
def test_quantiles_of_nemenyi(k: int, q: float) -> None:
    means = {f"d{i}": {str(j): float(j) for j in range(k)} for i in range(6)}
    found = critical_difference(means)
    assert found is not None
    assert found.critical == pytest.approx(q * (k * (k + 1) / 36) ** 0.5, abs=2e-3)


def test_groups_are_the_longest_runs() -> None:
    rng = np.random.default_rng(0)
    base = np.array([0.0, 0.1, 2.0, 4.0, 4.1, 4.2])
    table = base + 0.3 * rng.standard_normal((30, 6))
    means = {f"d{i}": {str(j): -v for j, v in enumerate(row)} for i, row in enumerate(table)}
    found = critical_difference(means)
    assert found is not None
    ranks = rankdata(table, axis=1).mean(0)
    assert found.ranks == pytest.approx(sorted(ranks))
    for i, j in found.groups:
        assert i < j
        assert found.ranks[j] - found.ranks[i] < found.critical
        for wider in ((i - 1, j), (i, j + 1)):
            if wider[0] >= 0 and wider[1] < 6:
                assert found.ranks[wider[1]] - found.ranks[wider[0]] >= found.critical
    assert found.groups == ((0, 1), (3, 5))
    assert found.p is not None
    assert found.p < 1e-6


def test_ties_gaps_and_what_so_few_can_show() -> None:
    five = {f"d{i}": {str(j): 0.1 * (j % 3) for j in range(7)} for i in range(5)}
    found = critical_difference(five)
    assert found is not None
    assert found.power == (
        "5 datasets, 7 losses: only mean ranks 4.0 or more apart (of at most 6) count as "
        "different, so a finding of no difference says little."
    )
    assert sorted(found.ranks) == [1.5, 1.5, 3.5, 3.5, 6, 6, 6]  # ties share their mean
    five["d3"] = {k: v for k, v in five["d3"].items() if k != "2"} | {"6": float("nan")}
    found = critical_difference(five)
    assert found is not None
    assert set(found.losses) == {"0", "1", "3", "4", "5"}
    assert "Left out, since not every dataset has them: 2, 6." in found.power
    flat = critical_difference({f"d{i}": dict.fromkeys("abc", 0.5) for i in range(3)})
    assert flat is not None
    assert (flat.p, flat.groups) == (1, ((0, 2),))
    two = critical_difference({"x": {"a": 1.0, "b": 0.0}, "y": {"a": 1.0, "b": 0.0}})
    assert two is not None
    assert two.p is None
    assert "nothing can count as different" in two.power
    assert critical_difference({"x": {"a": 1.0, "b": 0.0}}) is None
    assert critical_difference({"x": {"a": 1.0}, "y": {"a": 1.0}}) is None
    assert critical_difference({}) is None
