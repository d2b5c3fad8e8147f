"""Mean and SD of the distance over all pairs, from class moments, against every pair."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import metriscope
from metriscope import measurement, ops
from metriscope.ops import pair_moments
from metriscope.types import InputError
from tests.spaces import Arrays, clumps, cone, simplex, unit

NAMES = [f"pairs.{where}.{what}" for where in ("within", "between") for what in ("mean", "sd")]


def exact(z: np.ndarray, y: np.ndarray) -> list[float | None]:
    """By definition, from the vectors as they are, in extended precision."""
    z = z.astype(np.longdouble)
    i, j = np.triu_indices(len(z), 1)
    d = ((z[i] - z[j]) ** 2).sum(1) / 2
    found: list[float | None] = []
    for pairs in (d[y[i] == y[j]], d[y[i] != y[j]]):
        found += [float(pairs.mean()), float(pairs.std())] if len(pairs) else [None, None]
    return found


def added(z: np.ndarray, y: np.ndarray, cuts: list[int]) -> ops.MomentSums:
    sums = ops.MomentSums(z.shape[1], per_class=True)
    for rows in np.split(np.arange(len(z)), cuts):
        sums.add(torch.from_numpy(z[rows]), torch.from_numpy(y[rows]))
    return sums


def statistics(sums: ops.MomentSums) -> list[float | None]:
    scores = measurement._over_pairs(sums)
    assert list(scores) == NAMES
    return list(scores.values())


def assert_close(
    got: list[float | None], want: list[float | None], rel: float, sd: float = 0
) -> None:
    """``sd``: a bound of the rounding of an SD, as a part of its mean."""
    floor = [0, sd * (want[0] or 0), 0, sd * (want[2] or 0)]
    for name, a, b, least in zip(NAMES, got, want, floor, strict=True):
        if a is None or b is None:
            assert a is b, name
        else:
            assert a == pytest.approx(b, rel=rel, abs=1e-16 + least), name


def around(spread: float, centres: np.ndarray, n: int = 120) -> Arrays:
    """Rows about unit vectors, of unequal classes; the last class comes last, one is a row."""
    rng = np.random.default_rng(5)
    classes = len(centres)
    y = rng.choice(classes - 2, n, p=rng.dirichlet(np.full(classes - 2, 4.0)))
    y[n // 3], y[-n // 6 :] = classes - 2, classes - 1
    return unit(centres[y] + spread * rng.standard_normal((n, centres.shape[1]))), y


def one_cone(spread: float, classes: int = 6, d: int = 7) -> Arrays:
    """Class means and rows as far from each other as ``spread``."""
    rng = np.random.default_rng(6)
    axis = unit(rng.standard_normal((1, d)))
    return around(spread, axis + spread * rng.standard_normal((classes, d)))


def apart(spread: float, classes: int = 6, d: int = 7) -> Arrays:
    return around(spread, unit(np.random.default_rng(7).standard_normal((classes, d))))


def corners(spread: float, classes: int = 6, d: int = 7) -> Arrays:
    """Neural collapse: class means as far from each other as they can be, all alike."""
    return around(spread, simplex(classes, 1, d)[0])


# ------------------------------------------------------------------------------------ the numbers


@pytest.mark.parametrize("make", [one_cone, apart, corners])
@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e-6, 1e-8])
@pytest.mark.parametrize("cuts", [[], [1, 2, 5, 77], [*range(1, 120)]])
def test_they_are_those_of_every_pair(
    make: Callable[[float], Arrays], spread: float, cuts: list[int]
) -> None:
    z, y = make(spread)
    # A mean near 1 holds 1e-16, which is that much of a spread.
    assert_close(statistics(added(z, y, cuts)), exact(z, y), 1e-13 + 2e-15 / spread)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 120), max_size=6),
    st.integers(0, 2**32 - 1),
    st.booleans(),
    st.sampled_from([one_cone, apart]),
)
def test_any_order_and_any_merge(
    cuts: list[int], seed: int, back: bool, make: Callable[[float], Arrays]
) -> None:
    z, y = make(1e-6)
    order = np.random.default_rng(seed).permutation(len(z))
    parts = [added(z[rows], y[rows], []) for rows in np.split(order, sorted(cuts))]
    total = ops.MomentSums(z.shape[1], per_class=True)
    for part in parts[::-1] if back else parts:
        total.merge(part)
    assert_close(statistics(total), exact(z, y), 1e-9)
    plain = ops.MomentSums(z.shape[1])
    plain.add(torch.from_numpy(z), torch.from_numpy(y))
    np.testing.assert_allclose(total.scatter, plain.scatter, rtol=1e-8, atol=1e-16)


def test_outliers_that_come_first_or_last() -> None:
    z, y = one_cone(1e-6)
    first = np.concatenate([-z[:2], z]), np.concatenate([y[:2], y])
    for rows, labels in (first, (first[0][::-1].copy(), first[1][::-1].copy())):
        for cuts in ([], [1, 2], [1, 2, 50, 120]):
            assert_close(statistics(added(rows, labels, cuts)), exact(rows, labels), rel=1e-12)


def test_repeated_rows_are_rows() -> None:
    for z, y in (clumps(), cone()):
        z, y = unit(z).repeat(4, 0)[::-1].copy(), y.repeat(4)[::-1].copy()
        assert_close(statistics(added(z, y, [3, 60])), exact(z, y), 1e-9)


def test_classes_that_are_points() -> None:
    z, y = simplex(5, 4, 6)
    got = statistics(added(z, y, [7]))
    assert got == [pytest.approx(x, abs=1e-14) for x in (0, 0, 1.25, 0)]
    z, y = np.repeat(z[:1], 20, 0), y
    assert statistics(added(z, y, [7])) == [pytest.approx(0, abs=1e-15)] * 4


def test_distances_that_are_all_alike() -> None:
    z, y = np.eye(12), np.arange(12) // 6
    assert_close(statistics(added(z, y, [5])), [1, 0, 1, 0], 1e-15, sd=2e-8)
    z[0] = -z[0]
    assert_close(statistics(added(z, y, [5])), exact(z, y), 1e-15, sd=2e-8)


def test_there_may_be_no_pair() -> None:
    z, y = clumps()
    one, none = np.zeros(len(z), np.int64), np.arange(len(z))
    for labels in (one, none, none + 100):
        assert_close(statistics(added(z, labels, [4])), exact(z, labels), 1e-12)
    assert statistics(added(z, one, []))[2:] == [None, None]
    assert statistics(added(z, none, []))[:2] == [None, None]
    assert statistics(added(z[:1], y[:1], [])) == [None] * 4


def test_more_dimensions_than_rows_and_more_classes_than_a_tile(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    z, y = unit(rng.standard_normal((60, 90))), np.arange(60) % 23
    want = exact(z, y)
    assert_close(statistics(added(z, y, [40])), want, 1e-12)
    monkeypatch.setattr(pair_moments, "_TILE", 60)
    assert_close(statistics(added(z, y, [40])), want, 1e-12)


def test_codes_may_come_late_and_leave_gaps() -> None:
    z, y = clumps()
    codes = np.array([900, 3, 70, 0, 512])[y]
    assert_close(statistics(added(z, codes, [1, 2, 9])), exact(z, y), 1e-12)


# --------------------------------------------------------------------------------------- geometry


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few rows a block."""
    monkeypatch.setattr(ops, "block_rows", lambda dim: 3)


@pytest.mark.parametrize(("spread", "rel"), [(1.0, 1e-12), (1e-3, 1e-10), (1e-6, 1e-7)])
def test_geometry_adds_them_and_changes_nothing_else(
    spread: float, rel: float, blocks: None, tmp_path: Path
) -> None:
    x, y = one_cone(spread)
    without = metriscope.geometry((x, y))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    for source, labels in (((x, y), None), (tmp_path / "x.npy", tmp_path / "y.npy")):
        got = metriscope.geometry(source, labels=labels, per_class=True)
        assert list(got) == [*without, *NAMES]
        assert_close([got[name] for name in NAMES], exact(unit(x), y), rel)
        for name, value in without.items():
            assert got[name] == pytest.approx(value, rel=1e-3 * rel**0.5, abs=1e-13), name


def test_zero_vectors_are_at_a_half_from_others(blocks: None) -> None:
    x, y = clumps()
    x[[0, 1, 2, 20]] = 0
    got = metriscope.geometry((3 * x, y), zero_vectors="keep", per_class=True)
    assert_close([got[name] for name in NAMES], exact(x, y), 1e-12)
    got = metriscope.geometry((x[:3], [0, 0, 0]), zero_vectors="keep", per_class=True)
    assert [got[name] for name in NAMES] == [0, 0, None, None]
    got = metriscope.geometry((x[2:4], [0, 0]), zero_vectors="keep", per_class=True)
    assert got["pairs.within.mean"] == pytest.approx(0.5, rel=1e-15)


def test_nothing_is_held_that_nobody_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError

    assert ops.MomentSums(4, per_class=True).pairs is not None
    monkeypatch.setattr("metriscope.ops.moment_sums.PairMoments", refuse)
    assert ops.MomentSums(4).pairs is None
    assert not set(NAMES) & set(metriscope.geometry(clumps()))


def test_more_classes_than_memory_holds_are_refused(
    monkeypatch: pytest.MonkeyPatch, blocks: None
) -> None:
    x, y = clumps()
    monkeypatch.setattr(measurement, "free_memory", lambda device: 1600)  # 8 × 5 × 5 × 8
    metriscope.geometry((x, y), per_class=True)
    many = np.arange(len(x)) % 12
    words = (
        r"memory: per_class holds 5 × 5 numbers for each of 12 classes; 2,400 more bytes of memory "
        r"are needed, and 1,600 are free\. Leave it out, or reduce"
    )
    monkeypatch.setattr(ops, "block_rows", lambda dim: 100)
    with pytest.raises(InputError, match=words):
        metriscope.geometry((x, many), per_class=True)
    metriscope.geometry((x, many))
    # A class at a time: only those that are new need room.
    monkeypatch.setattr(ops, "block_rows", lambda dim: 1)
    order = np.argsort(many, kind="stable")
    metriscope.geometry((x[order], many[order]), per_class=True)


def test_sums_that_differ_are_not_merged() -> None:
    for one in (True, False):
        sums = ops.MomentSums(3, per_class=one)
        with pytest.raises(InputError, match="both sums must be per_class, or neither"):
            sums.merge(ops.MomentSums(3, per_class=not one))
