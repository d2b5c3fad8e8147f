"""Splits are stratified, seeded, complete and stated; too few classes or rows are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metriscope.data import load, load_source
from metriscope.data.loading import fingerprint
from metriscope.data.split import stratified
from metriscope.types import Embeddings, InputError

N, D = 24, 5
X = np.random.default_rng(3).standard_normal((N, D)).astype(np.float32)
Y = np.arange(N) % 3


def test_digits() -> None:
    data = load("digits")
    assert (data.name, data.num_classes, len(data.train) + len(data.test)) == ("digits", 10, 1797)
    assert data.split == "stratified 80/20, seed 0"
    assert data.notes == ()
    assert abs(len(data.test) / 1797 - 0.2) < 0.002
    assert data.train.x.max() == 16


def test_the_split_follows_its_seed_and_fraction() -> None:
    first, again, other = (load("digits", seed=seed) for seed in (0, 0, 1))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert np.array_equal(first.test.ids, again.test.ids)
    third = load("digits", test_fraction=1 / 3)
    assert third.split == "stratified 66.67/33.33, seed 0"
    assert abs(len(third.test) / 1797 - 1 / 3) < 0.002
    assert np.array_equal(load_source("digits", "test", seed=1).ids, other.test.ids)
    assert np.array_equal(load_source("digits", "train", seed=1).x, other.train.x)


def test_fingerprint_sees_every_part() -> None:
    x, y, names = X.astype(float), Y.astype(np.int64), ("a", "b", "c")
    base = Embeddings(x, y, names)
    first = fingerprint(base, base)
    assert len(first) == 64
    assert fingerprint(Embeddings(np.asfortranarray(x), y.copy(), names), base) == first
    changed = x.copy()
    changed[-1, -1] = np.nextafter(changed[-1, -1], np.inf)
    others = [
        Embeddings(changed, y, names),
        Embeddings(X, y, names),
        Embeddings(x, y[::-1], names),
        Embeddings(x, y, ("a", "b", "d")),
        Embeddings(x[:-1], y[:-1], names),
    ]
    prints = {fingerprint(o, base) for o in others} | {fingerprint(base, o) for o in others}
    assert len(prints | {first}) == 2 * len(others) + 1
    ones = np.ones((N, D))
    same_bytes = Embeddings(ones.view(np.float32), y, names)
    assert fingerprint(same_bytes, base) != fingerprint(Embeddings(ones, y, names), base)


def test_small_classes_are_kept_and_said(tmp_path: Path) -> None:
    sizes = {"one": 1, "two": 2, "four": 4, "ten": 10}
    labels = np.repeat(list(sizes), list(sizes.values()))
    np.savez(tmp_path / "a.npz", features=X[: len(labels)], labels=labels)
    data = load(tmp_path / "a.npz")
    counts = {
        name: (int(a), int(b))
        for name, a, b in zip(
            data.train.class_names, data.train.counts, data.test.counts, strict=True
        )
    }
    assert counts == {"one": (1, 0), "two": (1, 1), "four": (2, 2), "ten": (8, 2)}
    assert data.notes == (
        "Classes with a single row in train, which has no positive there: 2 ('one', 'two').",
        "Classes with a single row in test, which has no positive there: 1 ('two').",
        "The test part has 29% of the rows, not 20%: small classes give at least two rows to each "
        "part where they can.",
    )


@settings(deadline=None, max_examples=150)
@example(sizes=[1, 2, 3, 4, 5], fraction=0.9, seed=0)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=8).filter(sum),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**40),
)
def test_stratified_is_complete_disjoint_and_balanced(
    sizes: list[int], fraction: float, seed: int
) -> None:
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    train, test = stratified(y, fraction, seed)
    assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(len(y)))
    again = stratified(y, fraction, seed)
    assert np.array_equal(train, again[0])
    assert np.array_equal(test, again[1])
    in_test = np.bincount(y[test], minlength=len(sizes))
    for size, n in zip(sizes, in_test, strict=True):
        if size < 2:
            assert n == 0
        elif size < 4:
            assert 1 <= n <= size - 1
        else:
            assert 2 <= n <= size - 2
            assert abs(n - size * fraction) <= 0.5 or n in (2, size - 2)


def test_stratified_draws_every_row_of_a_class_sometimes() -> None:
    y = np.repeat([0, 1], 10)
    drawn = np.concatenate([stratified(y, 0.2, seed)[1] for seed in range(200)])
    counts = np.bincount(drawn, minlength=20)
    # 200 draws of 2 in 10: 40 each, SD 5.7
    assert counts.min() > 15
    assert counts.max() < 65


def write(path: Path, labels: Any = Y) -> Path:
    np.savez(path, features=X, labels=labels)
    return path


def test_fewer_than_two_classes_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"one class only \('0'\).*at least two"):
        load(write(tmp_path / "a.npz", Y * 0))
    write(tmp_path / "train.npz", ["cat"] * N)
    write(tmp_path / "test.npz", np.array(["cat", "dog"])[Y % 2])
    with pytest.raises(InputError, match=r"the train part has one class only \('cat'\)"):
        load(tmp_path)


def test_nothing_left_to_test_on(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="every class has one row only"):
        load(write(tmp_path / "a.npz", np.arange(N)))


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, float("nan")])
def test_fractions_that_leave_a_part_empty(fraction: float) -> None:
    with pytest.raises(InputError, match=r"test fraction is .*; it must be between 0 and 1"):
        load("digits", test_fraction=fraction)


def test_other_settings_of_the_split() -> None:
    with pytest.raises(InputError, match="split seed is -1; it must be 0 or more"):
        load("digits", seed=-1)
    with pytest.raises(InputError, match="split is 'valid'; it must be one of train, test, all"):
        load_source("digits", "valid")  # type: ignore[arg-type]
