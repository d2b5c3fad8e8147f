"""Classes that training lacks: the class-disjoint split, what losses make of it, what is scored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import metriscope
from metriscope import losses
from metriscope.data.split import describe_disjoint, disjoint
from metriscope.diagnostics.base import measure
from metriscope.train import Trained, train
from metriscope.types import Dataset, Embeddings, InputError
from tests.helpers import tiny_dataset, tiny_spec
from tests.spaces import space

CLASSIFICATION = ["knn", "linear_probe"]


def take(part: Embeddings, rows: np.ndarray, split: str) -> Embeddings:
    return Embeddings(part.x[rows], part.y[rows], part.class_names, split, ids=part.ids[rows])


def disjoint_dataset() -> Dataset:
    """Six clumps: three to train on, three others to test on."""
    data = tiny_dataset(classes=6, rows=180)
    x = np.concatenate([data.train.x, data.test.x])
    y = np.concatenate([data.train.y, data.test.y])
    whole = Embeddings(x, y, data.train.class_names)
    train_rows, test_rows = disjoint(y, 6)
    return replace(
        data,
        train=take(whole, train_rows, "train"),
        test=take(whole, test_rows, "test"),
        split=describe_disjoint(6),
    )


# ------------------------------------------------------------------------------------------- split


@pytest.mark.parametrize(("classes", "half"), [(200, 100), (196, 98), (4, 2), (5, 2)])
def test_the_first_half_of_the_classes_trains(classes: int, half: int) -> None:
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(classes), 3))
    train_rows, test_rows = disjoint(y, classes)
    assert set(y[train_rows]) == set(range(half))
    assert set(y[test_rows]) == set(range(half, classes))
    assert np.array_equal(np.sort(np.r_[train_rows, test_rows]), np.arange(len(y)))
    assert np.all(np.diff(train_rows) > 0)
    assert np.all(np.diff(test_rows) > 0)
    assert train_rows.dtype == test_rows.dtype == np.int64


def test_it_says_which_classes() -> None:
    assert describe_disjoint(200) == "class-disjoint, classes 1-100 train, 101-200 test"
    assert describe_disjoint(5) == "class-disjoint, classes 1-2 train, 3-5 test"


@pytest.mark.parametrize(
    ("y", "classes", "sides"),
    [
        ([0, 1, 2], 3, "of 3, 1 would train and 2 test"),
        ([0, 0], 1, "of 1, 0 would train and 1 test"),
        ([0, 1, 2], 4, "of 4, 2 would train and 1 test"),  # a class name without a row
        ([0, 3, 4, 5], 6, "of 6, 1 would train and 3 test"),
    ],
)
def test_each_side_needs_two_classes(y: list[int], classes: int, sides: str) -> None:
    with pytest.raises(InputError, match=f"at least 2 classes on each side; {sides}"):
        disjoint(np.array(y), classes)


# ---------------------------------------------------------------------------------------- training


def same(a: Trained, b: Trained) -> bool:
    pairs = [
        (left[name], right[name])
        for left, right in (
            (a.head.state_dict(), b.head.state_dict()),
            (a.loss.state_dict(), b.loss.state_dict()),
        )
        for name in left
    ]
    return all(torch.equal(p, q) for p, q in pairs) and np.array_equal(
        a.embeddings.x, b.embeddings.x
    )


@pytest.mark.parametrize("name", losses.PAPER)
@pytest.mark.parametrize("kept", [[0, 2], [1, 3], [0, 1]])
def test_training_knows_only_the_classes_it_sees(name: str, kept: list[int]) -> None:
    """As if the data had these classes only, in the same order."""
    data = tiny_dataset(classes=4)
    part = take(data.train, np.flatnonzero(np.isin(data.train.y, kept)), "train")
    lacking = replace(data, train=part)
    alone = np.flatnonzero(np.isin(data.test.y, kept))
    names = tuple(data.train.class_names[c] for c in kept)
    recoded = Dataset(
        "tiny",
        Embeddings(part.x, np.searchsorted(kept, part.y), names, "train"),
        Embeddings(data.test.x, np.zeros(len(data.test), np.int64), names, "test"),
        "given",
        "f" * 64,
    )
    spec = tiny_spec(name, epochs=2)
    got, expected = train(spec, lacking), train(spec, recoded)
    assert same(got, expected)
    if got.loss.class_level:
        assert [len(p) for p in got.loss.parameters()] == [2]
    assert np.array_equal(got.embeddings.y, data.test.y)  # the codes of all class names
    of_seen = replace(lacking, test=take(data.test, alone, "test"))
    known = train(spec, of_seen).result.scores
    for score in ("knn_accuracy@1", "knn_accuracy@5", "probe_accuracy"):
        assert got.result.scores[score] == known[score]


@pytest.mark.parametrize("name", ["arcface", "ccl", "triplet"])
def test_unseen_classes_are_retrieved_and_not_classified(name: str) -> None:
    data = disjoint_dataset()
    scores = train(tiny_spec(name, epochs=12), data).result.scores
    assert scores["recall@1"] > 0.8
    assert scores["intra.eq1"] is not None
    none = {"knn_accuracy@1", "knn_accuracy@5", "knn_accuracy@20", "probe_accuracy"}
    assert {k for k in none if scores[k] is None} == none


def test_a_comparison_of_disjoint_classes_is_reported(tmp_path) -> None:  # type: ignore[no-untyped-def]
    results = metriscope.compare(
        disjoint_dataset(), losses=["arcface", "scl"], seeds=1, epochs=3, jobs=1, out=tmp_path
    )
    assert [run.status for run in results.runs] == ["done", "done"]
    assert "class-disjoint, classes 1-3 train, 4-6 test" in (tmp_path / "report.html").read_text()


# ------------------------------------------------------------------------------------------ scores


def mixed() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Overlapping clumps, test and train, of five classes."""
    rng = np.random.default_rng(2)
    y, train_y = rng.integers(0, 5, 90), rng.integers(0, 5, 160)
    centres = 1.2 * rng.standard_normal((5, 6))
    x = centres[y] + rng.standard_normal((90, 6))
    return x, y, centres[train_y] + rng.standard_normal((160, 6)), train_y


def test_rows_of_unseen_classes_are_left_out_of_classification() -> None:
    x, y, train_x, train_y = mixed()
    keep = ~np.isin(train_y, [1, 4])
    seen = ~np.isin(y, [1, 4])
    lacking = train_x[keep], train_y[keep]
    got = measure(space(x, y, lacking), CLASSIFICATION)
    assert got == measure(space(x[seen], y[seen], lacking), CLASSIFICATION)
    assert 0.5 < got["knn_accuracy@5"] < 1  # or nothing would be told apart
    assert 0.5 < got["probe_accuracy"] < 1


def test_without_a_row_of_a_seen_class_classification_is_undefined() -> None:
    x, y, train_x, train_y = mixed()
    low, high = y < 2, train_y >= 2
    got = measure(space(x[low], y[low], (train_x[high], train_y[high])), CLASSIFICATION)
    assert len(got) == 4
    assert set(got.values()) == {None}
