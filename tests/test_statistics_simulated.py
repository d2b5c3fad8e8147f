"""Simulations where the truth is known, small; `python -m benchmarks statistics` has the large."""

from __future__ import annotations

from dataclasses import replace

import pytest
from benchmarks.statistics import DOMINANT, World, best_kept, found, held, planted

BY_NAME = {world.name: world for world in DOMINANT}


@pytest.mark.parametrize("world", DOMINANT, ids=lambda world: world.name)
@pytest.mark.parametrize(("s", "q"), [(3, 100), (5, 400)])
def test_intervals_hold_the_truth(world: World, s: int, q: int) -> None:
    for mean, apart in (held(world, s, q, 500, seed=1),):
        assert 0.93 <= mean <= 0.975
        assert 0.93 <= apart <= 0.975


def test_intervals_hold_the_truth_of_values_between_0_and_1() -> None:
    world = replace(BY_NAME["all alike"], binary=False, share=0.7)
    assert all(0.93 <= share <= 0.97 for share in held(world, 3, 200, 400))


def test_intervals_of_shares_near_1_hold_the_truth() -> None:
    for name in ("queries", "seeds"):
        mean, _ = held(replace(BY_NAME[name], share=0.98), 3, 200, 500)
        assert 0.94 <= mean <= 0.98


def test_two_seeds_are_enough_for_an_interval_that_holds() -> None:
    for world in (BY_NAME["queries"], BY_NAME["all alike"]):
        assert all(0.93 <= share <= 0.98 for share in held(world, 2, 200, 400))


@pytest.mark.parametrize("world", DOMINANT, ids=lambda world: world.name)
def test_one_loss_under_two_names_is_no_difference(world: World) -> None:
    assert found(world, 3, 300, 200, (0.0, 0.0)) <= 0.07


def test_one_loss_under_seven_names_is_no_difference() -> None:
    for name in ("the rest", "seeds"):
        assert found(BY_NAME[name], 3, 200, 40, (0.0,) * 7) <= 0.07


def test_planted_differences_are_found() -> None:
    """A test at 5 % finds half of those whose true size is two standard errors."""
    for errors, least in ((2.0, 0.45), (3.0, 0.78), (4.0, 0.95)):
        power, observed = planted(errors, 3, 1_000, 150)
        assert power >= least
        assert observed >= 0.99  # every one that is as large as that in the data
    assert planted(0.0, 3, 1_000, 200)[0] <= 0.08


def test_the_best_loss_is_among_those_recommended() -> None:
    kept, ranks = best_kept(BY_NAME["all alike"], 3, 500, 60)
    assert kept >= 0.95
    assert ranks >= 0.95
