"""Items to look at: planted ones are found, with their ids, and healthy spaces have none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from metriscope.diagnosis.items import shares, suspects
from metriscope.diagnosis.search import among_themselves, in_gallery
from metriscope.diagnostics import _label_noise
from metriscope.diagnostics._label_noise import LabelNoise
from metriscope.diagnostics._suspects import mislabelled
from metriscope.diagnostics.base import Space, measure
from metriscope.types import Embeddings, Item, Scores
from tests.damages import HEALTHY, healthy
from tests.spaces import Arrays, unit

CLEAR, OVERLAPPING = "ten classes, tight", "ten classes, overlapping"
WANTED = ("outliers", "label_noise", "duplicates")


def named(x: np.ndarray, y: np.ndarray, prefix: str = "row") -> Embeddings:
    classes = tuple(f"class {c}" for c in range(10))
    return Embeddings(x, y, classes, ids=np.array([f"{prefix} {i}" for i in range(len(x))]))


def found(space: Space, kind: str) -> list[Item]:
    return [item for item in suspects(space, among_themselves(space)) if item.kind == kind]


def scores(space: Space) -> Scores:
    return measure(space, WANTED)


def planted(name: str, share: float, seed: int = 0) -> tuple[Arrays, np.ndarray, np.ndarray]:
    """A space with wrong labels; which they are, and what they were."""
    given, rng = healthy(name, seed), np.random.default_rng(seed + 50)
    some = rng.choice(len(given.y), round(share * len(given.y)), replace=False)
    y = given.y.copy()
    y[some] = (y[some] + rng.integers(1, given.classes, len(some))) % given.classes
    return (given.x, y), np.sort(some), given.y


# ------------------------------------------------------------------------------------- mislabelled


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_wrong_labels_of_a_clear_space_are_all_found_and_nothing_else(share: float) -> None:
    (x, y), some, was = planted(CLEAR, share)
    space = Space(named(x, y))
    items = found(space, "mislabelled")
    assert sorted(int(str(item.id).split()[1]) for item in items) == some.tolist()
    for item in items:
        row = int(str(item.id).split()[1])
        assert (item.label, item.other_label) == (f"class {y[row]}", f"class {was[row]}")
        assert 0.7 < item.value <= 1
    assert [i.value for i in items] == sorted((i.value for i in items), reverse=True)
    assert scores(space)["items.mislabelled"] == len(items) / len(y)


@pytest.mark.parametrize(("share", "precision", "recall"), [(0.05, 0.9, 0.5), (0.2, 0.9, 0.6)])
def test_overlap_costs_little_precision(share: float, precision: float, recall: float) -> None:
    (x, y), some, _ = planted(OVERLAPPING, share)
    rows = {int(str(item.id).split()[1]) for item in found(Space(named(x, y)), "mislabelled")}
    right = len(rows & set(some.tolist()))
    assert right / len(rows) >= precision
    assert right / len(some) >= recall


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_the_share_of_wrong_labels_is_estimated(share: float, seed: int) -> None:
    (x, y), _, _ = planted(OVERLAPPING, share, seed)
    said = scores(Space(named(x, y)))
    low, high = said["label_noise.low"], said["label_noise.high"]
    assert low is not None
    assert high is not None
    assert low <= share <= high
    assert high - low < 4 * (share / len(y)) ** 0.5 + 0.01


def test_many_classes_are_judged_by_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    given = healthy("two hundred classes")
    y = given.y.copy()
    y[::50] = (y[::50] + 7) % 200
    names = tuple(map(str, range(200)))
    said = scores(Space(Embeddings(given.x, y, names)))
    assert said["label_noise"] == pytest.approx(0.02, abs=0.002)
    assert said["items.mislabelled"] == pytest.approx(0.02, abs=0.002)
    monkeypatch.setattr(_label_noise, "_NUMBERS", 100_000)  # weights of 500 rows, and in blocks
    few = scores(Space(Embeddings(given.x, y, names)))
    assert few["label_noise"] == pytest.approx(said["label_noise"], abs=0.002)


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_many_classes_that_overlap_much_are_not_noise(share: float) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(2_000) % 50
    x = 0.5 * rng.standard_normal((50, 24))[y] + rng.standard_normal((2_000, 24))
    wrong = rng.random(len(y)) < share
    said = scores(
        Space(Embeddings(x, np.where(wrong, (y + 9) % 50, y), tuple(map(str, range(50)))))
    )
    assert said["label_noise"] == pytest.approx(wrong.mean(), abs=0.015)
    assert said["items.mislabelled"] is not None
    assert said["items.mislabelled"] <= share + 0.002


def test_a_label_that_its_neighbours_bear_out_is_not_listed() -> None:
    yes, no = torch.tensor([True, True]), torch.tensor([True, False])
    noise = LabelNoise(0.1, 0, 1, yes, torch.tensor([0.9, 0.9]), torch.zeros(2).long(), no)
    assert mislabelled(noise).tolist() == [True, False]


def test_labels_of_classes_of_four_rows_are_not_judged() -> None:
    given = healthy("small, tight")
    kept = np.concatenate([np.flatnonzero(given.y == c)[: 4 if c else 80] for c in range(5)])
    said = scores(Space(named(given.x[kept], given.y[kept])))
    assert said["label_noise"] is None
    assert said["items.mislabelled"] is None


# ---------------------------------------------------------------------------------------- outliers


def test_rows_far_from_everything_are_outliers_with_the_farthest_first() -> None:
    given, rng = healthy(CLEAR), np.random.default_rng(3)
    some = rng.choice(len(given.y), 20, replace=False)
    x = given.x.copy()
    x[some] = rng.standard_normal((20, x.shape[1]))
    space = Space(named(x, given.y))
    items = found(space, "outlier")
    assert {int(str(item.id).split()[1]) for item in items} == set(some.tolist())
    assert [i.value for i in items] == sorted((i.value for i in items), reverse=True)
    assert min(item.value for item in items) > 1
    assert scores(space)["items.outliers"] == 20 / len(given.y)


def test_a_loose_class_is_not_all_outliers() -> None:
    rng = np.random.default_rng(0)
    centres, y = np.eye(16)[:10], np.repeat(np.arange(10), 60)
    width = np.where(y == 0, 0.25, 0.02)[:, None]
    space = Space(named(unit(centres[y] + width * rng.standard_normal((600, 16))), y))
    assert found(space, "outlier") == []


def test_a_tight_class_is_neither_all_copies_nor_full_of_outliers() -> None:
    rng = np.random.default_rng(0)
    centres, y = np.eye(16)[:10], np.repeat(np.arange(10), 60)
    x = centres[y] + np.where(y == 0, 0.002, 0.25)[:, None] * rng.standard_normal((600, 16))
    x[0] = centres[0] + 0.1 * centres[1]  # far by that class's measure alone
    space = Space(named(unit(x), y))
    assert found(space, "outlier") == []
    assert found(space, "duplicate") == []


def test_two_outliers_beside_each_other_are_no_copies() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(10), 60)
    x = np.eye(16)[y] + 0.005 * rng.standard_normal((600, 16))
    x[:2] = np.eye(16)[12:13] + 0.01 * rng.standard_normal((2, 16))
    assert found(Space(named(unit(x), y)), "duplicate") == []


# -------------------------------------------------------------------------------------- duplicates


def test_copies_within_are_listed_once_a_pair_and_counted_as_rows() -> None:
    given = healthy(OVERLAPPING)
    x, y = np.concatenate([given.x, 3 * given.x[:7]]), np.concatenate([given.y, given.y[:7]])
    y[-1] = (y[-1] + 1) % 10
    space, n = Space(named(x, y)), len(given.y)
    items = found(space, "duplicate")
    pairs = {frozenset((item.id, item.other)) for item in items}
    assert pairs == {frozenset((f"row {i}", f"row {n + i}")) for i in range(7)}
    assert len(items) == 7
    assert all(item.value < 1e-12 and item.part == "same" for item in items)
    said = scores(space)
    assert said["duplicates.within"] == said["duplicates.within.exact"] == 14 / len(y)
    assert said["duplicates.conflicting"] == 2 / len(y)


@pytest.mark.parametrize(("name", "dim"), [(CLEAR, 64), ("neural collapse", 64), (OVERLAPPING, 64)])
def test_near_copies_are_told_from_neighbours_in_tight_spaces_too(name: str, dim: int) -> None:
    given, rng = healthy(name), np.random.default_rng(1)
    x = unit(given.x)
    usual = float(torch.cdist(*[torch.from_numpy(x)] * 2).topk(2, largest=False)[0][:, 1].median())
    near = x[:10] + 0.1 * usual * unit(rng.standard_normal((10, dim)))
    space = Space(named(np.concatenate([x, near]), np.concatenate([given.y, given.y[:10]])))
    items = found(space, "duplicate")
    assert {item.id for item in items} | {item.other for item in items} == {
        f"row {i}" for i in (*range(10), *range(len(x), len(x) + 10))
    }
    assert scores(space)["duplicates.within.exact"] == 0


def test_copies_in_training_and_in_a_gallery_say_where() -> None:
    given = healthy(OVERLAPPING, train=True)
    assert given.train is not None
    x, y = given.train
    beside = named(np.concatenate([x, given.x[:5]]), np.concatenate([y, given.y[:5]]), "other")
    test = named(given.x, given.y)
    pairs = [(f"row {i}", f"other {len(x) + i}") for i in range(5)]

    trained = Space(test, beside)
    items = found(trained, "duplicate")
    assert sorted((item.id, item.other) for item in items) == pairs
    assert {item.part for item in items} == {"train"}
    said = scores(trained)
    assert said["duplicates.across"] == said["duplicates.across.exact"] == 5 / len(test)
    assert said["duplicates.within"] == 0

    alone = Space(test)
    search = in_gallery(alone, beside, by_id=False)
    items = [i for i in suspects(alone, search, gallery=True) if i.kind == "duplicate"]
    assert sorted((item.id, item.other) for item in items) == pairs
    assert {item.part for item in items} == {"gallery"}
    share = 5 / len(test)
    assert shares(search, "gallery") == {
        "duplicates.gallery": share,
        "duplicates.gallery.exact": share,
    }


# --------------------------------------------------------------------------------------- in general


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_space_has_next_to_none(name: str) -> None:
    given = healthy(name, seed=1)
    space = Space(Embeddings(given.x, given.y, tuple(map(str, range(given.classes)))))
    assert len(suspects(space, among_themselves(space))) <= len(given.y) / 400


def test_what_the_search_decides_is_what_the_diagnostics_say() -> None:
    given = healthy(OVERLAPPING)
    x = np.concatenate([given.x, given.x[:9]])
    y = np.concatenate([given.y, (given.y[:9] + (np.arange(9) < 4)) % 10])
    space = Space(named(x, y))
    said = shares(among_themselves(space))
    assert said == {name: scores(space)[name] for name in said}
    assert said["duplicates.within"] == said["duplicates.within.exact"] == 18 / len(y)
    assert said["duplicates.conflicting"] == 8 / len(y)


def test_rows_that_only_the_search_saw_are_listed_too() -> None:
    given = healthy(CLEAR)
    space = Space(named(given.x, given.y))
    seen = among_themselves(space)
    squared, ids = seen.squared.copy(), seen.nearest_ids.astype("<U12")
    squared[3, 0], ids[3, 0] = 0.0, "far away"
    wider = replace(seen, squared=squared, nearest_ids=ids)
    (item,) = [i for i in suspects(space, wider) if i.kind == "duplicate"]
    assert (item.id, item.other, item.value) == ("row 3", "far away", 0.0)
    assert shares(wider)["duplicates.within"] == 1 / len(given.y)


def test_lists_are_cut_and_shares_are_not() -> None:
    given = healthy(CLEAR)
    space = Space(named(np.concatenate([given.x] * 2), np.concatenate([given.y] * 2)))
    search = among_themselves(space)
    assert len(suspects(space, search, most=4)) == 4
    assert shares(search)["duplicates.within"] == 1


def test_a_point_and_few_rows_have_no_items() -> None:
    for x in (np.ones((30, 4)), np.eye(4)[:1], np.eye(4)[[0, 1]]):
        space = Space(named(x, np.arange(len(x)) % 3))
        search = among_themselves(space)
        assert suspects(space, search) == ()
        assert set(shares(search).values()) <= {None, 0.0}


def test_ids_are_plain_text_or_integers() -> None:
    given = healthy("small, tight")
    x, y = np.concatenate([given.x, given.x[:2]]), np.concatenate([given.y, given.y[:2]])
    for ids, kind in ((np.arange(len(x)) + 10**12, int), (np.arange(len(x)).astype(str), str)):
        space = Space(Embeddings(x, y, tuple("abcde"), ids=ids))
        items = suspects(space, among_themselves(space))
        assert items
        assert {type(end) for item in items for end in (item.id, item.other)} == {kind}
