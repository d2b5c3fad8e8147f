"""The validation part: who is in it, that training does not see it, what it is measured by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from metriscope import ops
from metriscope.data.split import describe_disjoint, hold_out
from metriscope.diagnostics._queries import quick_recall, retrieved, some_of_classes
from metriscope.diagnostics.base import Space, measure
from metriscope.train import VALIDATED, train
from metriscope.types import Dataset, Embeddings, InputError, RunSpec
from tests.conftest import make_embeddings
from tests.helpers import tiny_dataset, tiny_spec

COPIED = (
    "recall@1", "recall@5", "recall@10", "r_precision", "map@r", "intra.pair_cos.mean",
    "inter.euclid.mean", "density.pi_ratio",
)  # fmt: skip


def dataset(train_y: list[int], test_y: list[int] | None = None, classes: int = 6) -> Dataset:
    """Rows whose one feature is their number."""
    names = tuple(f"c{i}" for i in range(classes))

    def part(y: list[int], split: str) -> Embeddings:
        x = np.arange(len(y), dtype=np.float32)[:, None]
        return Embeddings(x, np.array(y), names, split, "here", np.arange(len(y)) + 1000)

    test = part(train_y if test_y is None else test_y, "test")
    return Dataset("d", part(train_y, "train"), test, "given", "f" * 64, ("before.",))


def halves(data: Dataset) -> tuple[Embeddings, Embeddings]:
    assert data.validation is not None
    return data.train, data.validation


# ------------------------------------------------------------------------------------ who is in it


def test_every_class_gives_its_share_and_rows_keep_their_ids() -> None:
    y = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 3, 4], [1, 3, 4, 10, 100]))
    before = dataset(y.tolist())
    after = hold_out(before, 0.2)
    train_part, held = halves(after)
    assert held.counts.tolist() == [0, 0, 2, 2, 20, 0]
    assert train_part.counts.tolist() == [1, 3, 2, 8, 80, 0]
    for part, split in ((train_part, "train"), (held, "validation")):
        assert np.array_equal(part.ids, before.train.ids[part.x[:, 0].astype(int)])
        assert np.array_equal(part.y, y[part.ids - 1000])
        assert np.all(np.diff(part.ids) > 0)
        assert (part.split, part.origin) == (split, "here")
    assert np.array_equal(np.sort(np.r_[train_part.ids, held.ids]), before.train.ids)
    assert after.fingerprint == before.fingerprint
    assert after.test is before.test
    assert after.notes == before.notes
    assert np.array_equal(halves(hold_out(before, 0.2))[1].ids, held.ids)


def test_unseen_classes_are_chosen_for_by_unseen_classes() -> None:
    y = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 3, 4, 5], 10))
    after = hold_out(dataset(y.tolist(), [8, 8, 9, 9], 10), 0.2)
    train_part, held = halves(after)
    assert held.counts.tolist() == [0, 0, 0, 0, 10, 10, 0, 0, 0, 0]
    assert train_part.counts.tolist() == [10, 10, 10, 10, *[0] * 6]
    assert after.notes == (
        "before.",
        "The validation part has 33% of the training rows, not 20%: classes are held out whole.",
    )
    assert halves(hold_out(dataset(y.tolist(), [8, 8], 10), 0.5))[1].counts[3:6].sum() == 30
    most = halves(hold_out(dataset(y.tolist(), [8, 8], 10), 0.99))
    assert (most[0].counts > 0).sum() == 2
    # One class of the test part that training lacks makes no other protocol.
    assert halves(hold_out(dataset(y.tolist(), [8, 1, 2, 3], 10), 0.2))[1].counts.max() == 2


def test_a_split_by_class_is_held_out_by_class() -> None:
    data = tiny_dataset(classes=8, rows=240)
    seen = np.flatnonzero(data.train.y < 4)
    part = Embeddings(
        data.train.x[seen], data.train.y[seen], data.train.class_names, "train", ids=seen
    )
    other = np.flatnonzero(data.test.y >= 4)
    test = Embeddings(data.test.x[other], data.test.y[other], data.train.class_names, "test")
    split = hold_out(replace(data, train=part, test=test, split=describe_disjoint(8)), 0.2)
    trained = train(tiny_spec("arcface", validation=0.2), split)
    assert [len(p) for p in trained.loss.parameters()] == [2]
    scores = trained.result.scores
    assert 0 <= (scores["val.recall@1"] or -1) <= 1
    assert set(halves(split)[1].y) == {2, 3}


@pytest.mark.parametrize(
    ("train_y", "test_y", "share", "why"),
    [
        ([0, 1] * 20, None, 0.0, "none was asked for"),
        ([0, 1, 2] * 3, None, 0.2, "two training classes of at least four rows"),
        ([0] * 50 + [1, 2, 3], None, 0.2, "two training classes of at least four rows"),
        ([0, 1, 2] * 9, [4, 4, 5, 5], 0.2, "two are held out whole and two are left"),
        ([0, 0, 1, 1, 2, 3], [4, 4, 5, 5], 0.2, "two are held out whole and two are left"),
    ],
)
def test_too_little_to_choose_by_is_said(
    train_y: list[int], test_y: list[int] | None, share: float, why: str
) -> None:
    before = dataset(train_y, test_y)
    after = hold_out(before, share)
    assert after.validation is None
    assert after.train is before.train
    first, note = after.notes
    assert first == "before."
    assert why in note
    assert "no loss can be recommended" in note


def test_a_share_that_small_classes_cannot_keep_is_said() -> None:
    after = hold_out(dataset([0, 1, 2] * 4), 0.1)
    assert after.notes[1:] == (
        "The validation part has 50% of the training rows, not 10%: a class gives two or more, or "
        "none.",
    )


def test_a_validation_part_of_ones_own_is_refused() -> None:
    """The fingerprint, and so a run's key, would not tell its rows."""
    data = tiny_dataset()
    with pytest.raises(InputError, match="has a validation part already"):
        hold_out(replace(data, validation=data.test), 0.2)


# ---------------------------------------------------------------------------------------- training


@pytest.fixture(scope="module")
def split() -> Dataset:
    return hold_out(tiny_dataset(rows=240, spread=1.6), 0.25)


def test_training_does_not_see_it(split: Dataset) -> None:
    """Nor does looking at it in every epoch move anything."""
    spec = tiny_spec("ccl", epochs=4)
    with_it, without = train(spec, split), train(spec, replace(split, validation=None))
    for mine, other in (
        (with_it.head.state_dict(), without.head.state_dict()),
        (with_it.loss.state_dict(), without.loss.state_dict()),
    ):
        assert all(torch.equal(mine[name], other[name]) for name in other)
    assert without.result.scores == {
        k: v for k, v in with_it.result.scores.items() if not k.startswith("val.")
    }
    others = set(with_it.result.trace) - {"seconds", "val.recall@1"}
    assert all(with_it.result.trace[c] == without.result.trace[c] for c in others)
    assert set(without.result.trace) - {"seconds"} == others
    assert set(without.queries) == {"test"}


def test_scores_are_those_of_a_test_part_of_the_same_rows(split: Dataset) -> None:
    held = halves(split)[1]
    spec = tiny_spec("triplet", validation=0.25, epochs=5)
    trained = train(spec, split)
    as_test = train(spec, replace(split, test=held, validation=None)).result.scores
    scores = trained.result.scores
    assert {k[4:] for k in scores if k.startswith("val.")} >= set(COPIED)
    assert all(scores[f"val.{name}"] == as_test[name] for name in COPIED)
    assert scores["val.recall@1"] != scores["recall@1"]  # or nothing would be told apart
    column = trained.result.trace["val.recall@1"]
    assert len(column) == 6
    assert column[-1] == pytest.approx(scores["val.recall@1"], abs=1e-12)
    assert column[0] != column[-1]


def test_the_first_row_of_the_trace_is_the_untrained_head(split: Dataset) -> None:
    from metriscope.network import Head

    spec, held = tiny_spec("scl", epochs=1), halves(split)[1]
    torch.manual_seed(spec.seed)
    x = torch.from_numpy(split.train.x)
    head = Head(x.shape[1], spec.head)
    head.fit_scale(x, "rms")
    z = head.embed(torch.from_numpy(held.x)).double()
    expected = float(ops.recall(z, torch.from_numpy(held.y), (1,)))
    assert train(spec, split).result.trace["val.recall@1"][0] == pytest.approx(expected)


def test_a_head_that_diverges_keeps_its_trace(split: Dataset) -> None:
    from metriscope.train import TrainingError
    from metriscope.types import OptimizerSpec

    spec: RunSpec = tiny_spec("triplet", optimizer=OptimizerSpec(name="sgd", lr=1e38))
    with pytest.raises(TrainingError) as error:
        train(spec, split)
    assert error.value.trace["val.recall@1"][0] is not None
    assert all(v is None or 0 <= v <= 1 for v in error.value.trace["val.recall@1"])


# ------------------------------------------------------------------------------------ the quick one


@pytest.mark.parametrize("size", [1.0, 1e-4, 1e-6])
def test_the_quick_recall_is_the_exact_one_in_a_cone_too(
    rng: np.random.Generator, size: float
) -> None:
    y = torch.from_numpy(rng.integers(0, 7, 300))
    z = torch.from_numpy(rng.standard_normal((300, 9)) + 0.7 * np.eye(9)[y.numpy()])
    apex = torch.zeros(9, dtype=torch.float64)
    apex[0] = 3
    unit = torch.nn.functional.normalize(apex + size * z, dim=1)
    assert quick_recall(unit, y) == pytest.approx(float(ops.recall(unit, y, (1,))), abs=1e-12)


def test_the_quick_recall_leaves_out_rows_that_are_alone() -> None:
    z = torch.tensor([[0.0, 0.0], [0.0, 1.0], [5.0, 0.0], [0.0, -0.5]])
    assert quick_recall(z, torch.tensor([0, 0, 1, 2])) == 0.5
    assert quick_recall(z, torch.tensor([3, 3, 1, 1])) == 0.25


@pytest.mark.parametrize(
    ("z", "y"),
    [
        (torch.ones(4, 2), [0, 0, 1, 1]),
        (torch.eye(4), [0, 1, 2, 3]),
        (torch.full((4, 2), torch.nan), [0, 0, 1, 1]),
        (torch.tensor([[0.0], [1.0], [torch.inf], [2.0]]), [0, 0, 1, 1]),
    ],
)
def test_the_quick_recall_is_undefined_where_recall_is(z: torch.Tensor, y: list[int]) -> None:
    assert quick_recall(z, torch.tensor(y)) is None


def test_a_part_of_the_rows_keeps_two_of_a_class(rng: np.random.Generator) -> None:
    assert np.array_equal(some_of_classes(np.array([1, 0, 1]), 3), [0, 1, 2])
    few = rng.permutation(np.repeat([0, 1, 2], [900, 80, 20]))
    assert np.bincount(few[some_of_classes(few, 100)]).tolist() == [90, 8, 2]
    assert np.bincount(few[some_of_classes(few, 30)]).tolist() == [26, 2, 2]
    many = rng.permutation(np.repeat(np.arange(500), 3))
    chosen = some_of_classes(many, 100)
    assert len(chosen) == 100
    assert np.all(np.diff(chosen) > 0)
    counts = np.bincount(many[chosen], minlength=500)
    assert set(counts) == {0, 2}
    assert np.flatnonzero(counts).mean() == pytest.approx(250, abs=100)  # classes from all over
    assert np.array_equal(chosen, some_of_classes(many, 100))


# ----------------------------------------------------------------------------- what was retrieved


def test_what_each_query_retrieved_by_hand() -> None:
    # On a circle: a b a b b c, the last alone in its class and far away.
    angles = np.array([0.0, 0.1, 0.21, 0.33, 0.46, 2.0])
    z = np.stack([np.cos(angles), np.sin(angles)], 1)
    found = retrieved(Space(make_embeddings(z, np.array([0, 1, 0, 1, 1, 2]))))
    assert found is not None
    # Neighbours, by row: b a … | a a b … | b b a … | a b … | b a …; R is 1, 2, 1, 2, 2
    assert found.first.tolist() == [2, 3, 3, 2, 1, -1]
    assert found.r_precision.tolist()[:5] == [0, 0, 0, 0.5, 0.5]
    assert found.precision.tolist()[:5] == [0, 0, 0, 0.25, 0.5]
    assert np.isnan([found.r_precision[5], found.precision[5]]).all()
    assert found.values("recall@1").tolist()[:5] == [0, 0, 0, 0, 1]
    assert found.values("recall@5").tolist()[:5] == [1] * 5


def test_beyond_the_tenth_is_none() -> None:
    angles = np.arange(13) * 0.1 + np.arange(13) ** 2 * 0.001
    z = np.stack([np.cos(angles), np.sin(angles)], 1)
    y = np.array([0, *[1] * 11, 0])
    found = retrieved(Space(make_embeddings(z, y)))
    assert found is not None
    assert found.first[[0, -1]].tolist() == [0, 0]
    assert found.values("recall@10")[0] == 0


@pytest.mark.parametrize("part", ["test", "validation"])
def test_their_means_are_the_scores_of_the_run(split: Dataset, part: str) -> None:
    trained = train(tiny_spec("infonce", validation=0.25), split)
    found, scores = trained.queries[part], trained.result.scores
    rows = split.test if part == "test" else halves(split)[1]
    assert np.array_equal(found.ids, rows.ids)
    for name in ("recall@1", "recall@5", "recall@10", "r_precision", "map@r"):
        stored = scores[name if part == "test" else f"val.{name}"]
        assert np.nanmean(found.values(name)) == pytest.approx(stored, abs=1e-12)


@pytest.mark.parametrize(("z", "y"), [(np.ones((4, 3)), [0, 0, 1, 1]), (np.eye(4), [0, 1, 2, 3])])
def test_where_retrieval_is_undefined_nothing_was_retrieved(z: np.ndarray, y: list[int]) -> None:
    space = Space(make_embeddings(z, np.array(y)))
    assert retrieved(space) is None
    assert measure(space, VALIDATED)["recall@1"] is None
