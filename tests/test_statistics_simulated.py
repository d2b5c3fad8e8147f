"""Simulations where the truth is known, small; `python -m benchmarks statistics` has the large."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from benchmarks.statistics import DOMINANT, World, best_kept, found, held, planted, width

BY_NAME = {world.name: world for world in DOMINANT}


def least(trials: int) -> float:
    """Two of its own standard deviations below a coverage of 93 %."""
    return 0.93 - 2 * math.sqrt(0.93 * 0.07 / trials)


def most(trials: int) -> float:
    """As many above 97 %."""
    return 0.97 + 2 * math.sqrt(0.97 * 0.03 / trials)


@pytest.mark.parametrize(("s", "q"), [(2, 200), (3, 100), (5, 400)])
def test_intervals_hold_the_truth(s: int, q: int) -> None:
    shares = [held(world, s, q, 500, seed=1) for world in DOMINANT]
    for of in zip(*shares, strict=True):  # of a mean, of a difference
        assert all(least(500) <= share <= most(500) for share in of)
        assert 0.94 <= sum(of) / len(of) <= 0.97  # SD 0.005


def test_intervals_hold_the_truth_of_values_between_0_and_1() -> None:
    world = replace(BY_NAME["all alike"], binary=False, share=0.7)
    assert all(0.93 <= share <= 0.97 for share in held(world, 3, 200, 400))


@pytest.mark.parametrize("world", DOMINANT, ids=lambda world: world.name)
@pytest.mark.parametrize("share", [0.97, 0.995])
def test_intervals_of_shares_near_1_hold_the_truth_and_are_narrow(
    world: World, share: float
) -> None:
    near = replace(world, share=share)
    for s in (2, 3):
        assert held(near, s, 574, 150)[0] >= least(150)
        if not world.seeds:  # else as wide as the seeds are apart
            binomial = 4 * math.sqrt(share * (1 - share) / 574)
            assert width(near, s, 574, 60) <= (4 if world.name == "the rest" else 1.25) * binomial


@pytest.mark.parametrize("world", DOMINANT, ids=lambda world: world.name)
def test_one_loss_under_two_names_is_no_difference(world: World) -> None:
    assert found(world, 3, 300, 200, (0.0, 0.0)) <= 0.07


@pytest.mark.parametrize("s", [2, 3])
def test_one_loss_under_seven_names_is_no_difference(s: int) -> None:
    for name in ("the rest", "seeds"):
        assert found(BY_NAME[name], s, 200, 60, (0.0,) * 7) <= 0.07


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
