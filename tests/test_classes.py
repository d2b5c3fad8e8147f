"""How each class fares in a search, against counting by hand."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

import metriscope
from metriscope.diagnosis.classes import confusions, per_class
from metriscope.diagnosis.search import Search, among_themselves
from metriscope.statistics.intervals import wilson
from metriscope.types import ClassRow, Confusion
from tests.spaces import clumps, space

NAMES = ("ant", "bee", "cow", "dog", "emu")


def search(y: list[int], found: list[int], relevant: list[int] | None = None) -> Search:
    """Queries of class ``y`` whose nearest is of class ``found`` (−1: nothing)."""
    rows = np.arange(len(y))
    nearest = np.asarray(found, np.int64)[:, None]
    some = np.ones(len(y), np.int64) if relevant is None else np.asarray(relevant)
    return Search(np.asarray(y, np.int64), rows, rows, nearest, nearest, nearest * 0.5, some, NAMES)


def table(given: Search, rows: tuple[int, ...] = (3, 4, 1, 0, 2)) -> tuple[ClassRow, ...]:
    return per_class(given, NAMES, np.asarray(rows), np.linspace(0, 1, 5))


def test_a_class_loses_queries_to_another() -> None:
    given = search(
        [0, 0, 0, 1, 1, 1, 1, 2, 4, 4], [0, 1, 2, 1, 4, 4, 0, 0, 4, 4], [2] * 7 + [0, 1, 1]
    )
    ant, bee, cow, emu = table(given)
    assert [row.name for row in (ant, bee, cow, emu)] == ["ant", "bee", "cow", "emu"]
    assert (ant.rows, ant.queries, ant.recall) == (3, 3, pytest.approx(1 / 3))
    assert (ant.confused_with, ant.lost) == ("bee", pytest.approx(1 / 3))  # of equals the first
    assert (bee.queries, bee.recall, bee.confused_with, bee.lost) == (4, 0.25, "emu", 0.5)
    assert (cow.queries, cow.recall, cow.interval, cow.confused_with) == (0, None, None, None)
    assert (emu.recall, emu.confused_with, emu.lost, emu.spread) == (1, None, None, 1)


def test_confusions_are_all_pairs_most_frequent_first() -> None:
    given = search([0, 0, 0, 1, 1, 1, 1, 2, 4], [0, 1, 2, 1, 4, 4, 0, 0, -1], [2] * 7 + [0, 1])
    assert confusions(given) == (
        Confusion("bee", "emu", 2, 0.5),
        Confusion("ant", "bee", 1, 1 / 3),
        Confusion("ant", "cow", 1, 1 / 3),
        Confusion("bee", "ant", 1, 0.25),
    )


def test_a_query_that_found_nothing_is_lost_to_nobody() -> None:
    (*_, emu) = table(search([4, 4], [-1, 4]))
    assert (emu.recall, emu.confused_with, emu.lost) == (0.5, None, None)


def test_no_queries_at_all_leave_sizes() -> None:
    rows = table(search([], []))
    assert [(row.rows, row.queries, row.recall) for row in rows] == [
        (3, 0, None),
        (4, 0, None),
        (1, 0, None),
        (2, 0, None),
    ]
    assert confusions(search([], [])) == ()


def test_of_a_real_search_they_add_up() -> None:
    sizes = (30, 20, 1, 40, 9)
    found = among_themselves(space(*clumps(sizes=sizes)))
    rows = per_class(found, found.class_names, np.asarray(sizes), np.zeros(5))
    right = sum((row.recall or 0) * row.queries for row in rows)
    lost = sum(pair.queries for pair in confusions(found))
    assert right + lost == pytest.approx(99)
    asked = found.relevant > 0
    assert right == pytest.approx((found.nearest_y[asked, 0] == found.y[asked]).sum())
    for row in rows:
        mine = [pair for pair in confusions(found) if pair.label == row.name]
        assert row.confused_with == (mine[0].found if mine else None)
        assert sum(pair.share for pair in mine) == pytest.approx(1 - (row.recall or 0)) or not mine


@pytest.mark.parametrize("confidence", [0.9, 0.99])
@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (3, 7), (0, 50), (50, 50), (999, 1000)])
def test_wilson_holds_the_shares_that_a_score_test_accepts(
    right: int, n: int, confidence: float
) -> None:
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    low, high = wilson(right, n, confidence)
    for end, outermost in ((low, right == 0), (high, right == n)):
        # At an end the observed share is just z standard errors of it away.
        away = abs(right / n - end) - z * (end * (1 - end) / n) ** 0.5
        assert end == right / n if outermost else away == pytest.approx(0, abs=1e-12)
    assert 0 <= low <= right / n <= high <= 1


def test_many_classes_need_no_matrix_of_them() -> None:
    classes = 30_000
    y = np.arange(classes)
    rng = np.random.default_rng(0)
    found = rng.integers(classes, size=classes)
    names = tuple(map(str, range(classes)))
    given = Search(y, y, y, found[:, None], found[:, None], y[:, None] * 1.0, y * 0 + 1, names)
    rows = per_class(given, names, y * 0 + 2, y * 0.0)
    assert len(rows) == classes
    assert sum(row.recall == 1 for row in rows) == (found == y).sum()
    assert len(confusions(given)) == (found != y).sum()


def test_chance_is_that_of_labels_in_random_order_with_and_without_a_gallery() -> None:
    rng = np.random.default_rng(0)
    x, y, other = rng.normal(size=(60, 8)), rng.integers(0, 3, 60), rng.integers(0, 3, 40)
    n, m = np.bincount(y), np.bincount(other)
    own = metriscope.diagnose(x, y, only="retrieval")
    assert own.about["chance"] == pytest.approx((n * (n - 1)).sum() / (60 * 59), abs=1e-12)
    among = metriscope.diagnose(x, y, gallery=(rng.normal(size=(40, 8)), other), only="retrieval")
    assert among.about["chance"] == pytest.approx((n * m).sum() / (60 * 40), abs=1e-12)
