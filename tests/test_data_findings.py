"""Findings about the data, on spaces that a known damage was done to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metriscope.diagnosis.classes import per_class
from metriscope.diagnosis.search import among_themselves
from metriscope.diagnostics.base import Space, measure
from metriscope.findings import examine_subject
from metriscope.findings.base import of_space
from metriscope.types import Embeddings, Examined, Finding
from tests.damages import HEALTHY, damaged, healthy
from tests.spaces import Arrays, unit

NAMES = ("retrieval", "outliers", "label_noise", "duplicates", "training_recall")
CODES = ("MS110", "MS401", "MS403", "MS404", "MS405", "MS406", "MS407")


def examined(x: np.ndarray, y: np.ndarray, train: Arrays | None = None) -> dict[str, Finding]:
    """What the checks of this file say of a space."""
    names = tuple(f"c{i}" for i in range(max(y.max(), train[1].max() if train else 0) + 1))
    space = Space(Embeddings(x, y, names), None if train is None else Embeddings(*train, names))
    table = per_class(among_themselves(space), names, space.test.counts, np.zeros(len(names)), 0.95)
    about = {"rows": len(x), "queries": sum(row.queries for row in table)}
    found = examine_subject(of_space(Examined(measure(space, NAMES), per_class=table, about=about)))
    return {finding.code: finding for finding in found if finding.code in CODES}


def fired(x: np.ndarray, y: np.ndarray, train: Arrays | None = None) -> dict[str, str]:
    return {c: f.severity for c, f in examined(x, y, train).items() if f.fired}


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_spaces_fire_nothing(name: str) -> None:
    given = healthy(name, seed=2, train=True)
    said = examined(given.x, given.y, given.train)
    assert {f.severity for f in said.values()} == {"ok"}
    assert set(said) == set(CODES)


@pytest.mark.parametrize(
    ("damage", "base", "want"),
    [
        ("labels 1 %", "fifty classes", {"MS403": "warning"}),
        ("labels 5 %", "ten classes, overlapping", {"MS403": "problem"}),
        ("labels 20 %", "five classes, overlapping", {"MS403": "problem"}),
        ("repeated", "ten classes, overlapping", {"MS405": "warning"}),
        ("leaked", "neural collapse", {"MS404": "problem"}),
        ("two classes merged", "small, tight", {}),
        ("three clumps a class", "ten classes, tight", {}),
    ],
)
def test_each_damage_fires_its_finding_alone(damage: str, base: str, want: dict[str, str]) -> None:
    given = damaged(damage, base, seed=1)
    assert fired(given.x, given.y, given.train) == want


def test_confused_pairs_of_labels_count_as_noise_where_classes_are_apart() -> None:
    given = healthy("ten classes, tight")
    y = given.y.copy()
    y[np.flatnonzero(y == 3)[:10]] = 4  # all wrong labels of one kind
    assert fired(given.x, y) == {"MS403": "warning"}


def test_rows_of_noise_are_outliers() -> None:
    given, rng = healthy("ten classes, tight"), np.random.default_rng(0)
    x = unit(given.x)
    x[:20] = unit(rng.standard_normal((20, x.shape[1])))
    assert fired(x, given.y)["MS407"] == "warning"


def test_small_classes_with_their_own_near_are_no_outliers() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(30), [100] * 15 + [3] * 15)
    x = 3 * unit(rng.standard_normal((30, 64)))[y] + rng.standard_normal((len(y), 64)) / 8
    assert examined(x, y)["MS407"].value == 0
    x[-45::3] = 3 * rng.standard_normal((15, 64))  # one of each of the small classes
    assert examined(x, y)["MS407"].severity == "warning"


def test_a_row_alone_in_its_class_is_no_outlier() -> None:
    given = healthy("ten classes, tight")
    y = given.y.copy()
    x = unit(given.x)
    x[:20], y[:20] = unit(np.random.default_rng(0).standard_normal((20, 64))), 10 + np.arange(20)
    assert examined(x, y)["MS407"].value == 0


@pytest.mark.parametrize("classes", [2, 5, 20])
def test_many_labels_of_the_next_class_are_noise_not_overlap(classes: int) -> None:
    rng = np.random.default_rng(2)
    right = np.arange(2_000) % classes
    x = 2 * unit(rng.standard_normal((classes, 64)))[right] + rng.standard_normal((2_000, 64)) / 8
    assert examined(x, right)["MS403"].severity == "ok"
    y = np.where(rng.random(2_000) < 0.15, (right + 1) % classes, right)
    assert fired(x, y)["MS403"] == "problem"


@pytest.mark.parametrize("dim", [2, 3])
def test_overlap_in_few_dimensions_is_no_noise(dim: int) -> None:
    rng = np.random.default_rng(1)
    y = np.arange(1_500) % 5
    x = 2 * unit(rng.standard_normal((5, dim)))[y] + rng.standard_normal((1_500, dim)) / dim**0.5
    assert examined(x, y)["MS403"].severity == "ok"


def test_copies_with_another_label_fire_though_they_are_few() -> None:
    given = healthy("ten classes, tight")
    x = np.concatenate([given.x, given.x[:2]])
    y = np.concatenate([given.y, (given.y[:2] + 1) % 10])
    (message,) = [f.message for f in examined(x, y).values() if f.code == "MS405"]
    assert "0.40% have a copy with another label" in message


def test_singletons_fire() -> None:
    given = healthy("ten classes, tight")
    y = given.y.copy()
    y[:60] = 10 + np.arange(60)
    assert fired(given.x, y)["MS401"] == "warning"


def test_small_classes_that_are_lost_fire_imbalance_with_their_names() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(8), [600, 600, 600, 25, 25, 25, 25, 25])
    centres = unit(rng.standard_normal((8, 32)))
    centres[3:] = unit(centres[0] + 0.3 * centres[3:])  # beside a large one
    x = centres[y] + 0.15 * rng.standard_normal((len(y), 32))
    finding = examined(x, y)["MS406"]
    assert finding.severity == "warning"
    assert set(finding.classes) == {"c3", "c4", "c5", "c6", "c7"}
    same = np.repeat(np.arange(8), 60)  # the same classes, all of one size
    x = centres[same] + 0.15 * rng.standard_normal((len(same), 32))
    assert examined(x, same)["MS406"].severity == "ok"


# ------------------------------------------------------------------------------- training and test


def remembered(lost: float) -> tuple[Arrays, Arrays]:
    """Test rows that are wider than training rows, and these."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(10), 60)
    centres = unit(rng.standard_normal((20, 24)))
    wide = centres[y] + lost * rng.standard_normal((600, 24))
    tight = centres[y] + 0.05 * rng.standard_normal((600, 24))
    return (wide, y), (tight, y)


@pytest.mark.parametrize(
    ("lost", "want"), [(0.05, {}), (0.3, {"MS110": "warning"}), (0.4, {"MS110": "problem"})]
)
def test_what_was_only_remembered_is_found(lost: float, want: dict[str, str]) -> None:
    test, train = remembered(lost)
    assert fired(*test, train) == want


def test_a_larger_training_part_does_not_win_by_its_size() -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((10, 16))

    def part(each: int) -> Arrays:
        y = np.repeat(np.arange(10), each)
        return centres[y] + 1.2 * rng.standard_normal((len(y), 16)), y

    (x, y), train = part(20), part(400)
    space = Space(Embeddings(x, y, tuple("abcdefghij")), Embeddings(*train, tuple("abcdefghij")))
    like = measure(space, ["training_recall"])["train.recall@1"]
    recall = measure(space, ["retrieval"])["recall@1"]
    whole = measure(Space(space.train), ["retrieval"])["recall@1"]  # type: ignore[arg-type]
    assert like is not None
    assert recall is not None
    assert whole is not None
    assert whole > recall + 0.05
    assert abs(like - recall) < 0.05


def test_other_classes_in_training_stand_in_for_those_it_lacks() -> None:
    rng = np.random.default_rng(1)
    centres = unit(rng.standard_normal((20, 16)))
    y, other = np.repeat(np.arange(10), 20), np.repeat(np.arange(10, 20), 50)
    x = centres[y] + 0.02 * rng.standard_normal((len(y), 16))
    train = centres[other] + 0.02 * rng.standard_normal((len(other), 16)), other
    names = tuple(map(str, range(20)))
    space = Space(Embeddings(x, y, names), Embeddings(*train, names))
    assert measure(space, ["training_recall"]) == {"train.recall@1": 1.0}


def test_the_callers_random_state_is_left_alone() -> None:
    given = healthy("small, tight", train=True)
    state = torch.random.get_rng_state()
    examined(given.x, given.y, given.train)
    assert torch.equal(state, torch.random.get_rng_state())
