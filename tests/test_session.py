"""From a dataset to a recommendation: what is asked for, what is kept when something goes wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import metriscope
from metriscope import kept, recommendation, session, views
from metriscope.data.split import hold_out
from metriscope.diagnostics.base import Space, measure
from metriscope.disk import StorageError, write_json
from metriscope.grid import Silent
from metriscope.recommendation import GOALS
from metriscope.session import Request
from metriscope.store import Store, load_results, to_json
from metriscope.train import VALIDATED
from metriscope.types import Dataset, InputError, Queries, Results, RunResult, RunSpec
from tests.helpers import tiny_dataset, tiny_spec

QUICK: dict[str, Any] = {"epochs": 2, "jobs": 1, "settings": {"head.hidden": 8, "head.dim": 4}}


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are done in this process, and no page is made."""
    monkeypatch.setattr(session, "_where_registered", lambda names: ((), True))
    monkeypatch.setattr("metriscope.report.html.write", lambda results, path: None)


def compare(out: Path, data: Dataset | None = None, **asked: Any) -> Results:
    chosen = {"losses": ["scl", "triplet"], "seeds": 2, "out": out} | QUICK | asked
    return metriscope.compare(data or tiny_dataset(rows=120, spread=1.2), **chosen)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished comparison, which no test may change."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "_where_registered", lambda names: ((), True))
        patch.setattr("metriscope.report.html.write", lambda results, path: None)
        compare(folder, seeds=3)
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


# -------------------------------------------------------------------------------------- the flow


def test_a_comparison_ends_with_a_recommendation(whole: Path) -> None:
    results = load_results(whole)
    assert [run.status for run in results.runs] == ["done"] * 6
    assert {run.spec.validation for run in results.runs} == {0.2}
    about = results.about
    assert (about["train_rows"], about["validation_rows"], about["test_rows"]) == (64, 16, 40)
    assert about["notes"] == []
    assert all("val.recall@1" in run.scores for run in results.runs)
    found = results.recommendation
    assert found is not None
    assert (found["goal"], found["part"]) == ("top1", "validation")
    assert {row["loss"] for row in found["rows"]} == {"scl", "triplet"}
    for run in results.runs:
        files = {p.name for p in (whole / "runs" / run.key).iterdir()}
        assert {"result.json", "queries.parquet", "embeddings.parquet"} <= files
    assert json.loads((whole / "results.json").read_text()) == to_json(results)
    assert kept.differences(whole, results) == ()


def test_again_nothing_is_trained_and_all_is_the_same(copy: Path) -> None:
    class Untrained(Silent):
        def epoch(self, spec: RunSpec, epoch: int, loss: float) -> None:
            raise AssertionError("trained again")

    before = load_results(copy)
    again = compare(copy, seeds=3, observer=Untrained())
    assert again.runs == before.runs
    assert again.recommendation == before.recommendation
    other = compare(copy, seeds=3, goal="compact", observer=Untrained())
    assert other.recommendation is not None
    assert other.recommendation["goal"] == "compact"


def test_it_is_said_how_many_rows_are_held_out(tmp_path: Path) -> None:
    said: list[str] = []
    compare(tmp_path, losses=["scl"], seeds=1, notify=said.append)
    assert any("64 training, 16 validation and 40 test rows" in s for s in said)


def test_without_a_validation_part_all_is_as_before_there_was_one(tmp_path: Path) -> None:
    said: list[str] = []
    results = compare(tmp_path, losses=["scl"], seeds=1, validation=0, notify=said.append)
    (run,) = results.runs
    plain = {k: v for k, v in run.spec.to_dict().items() if k != "validation"}
    assert run.key == RunSpec.from_dict(plain).key
    assert not [name for name in (*run.scores, *run.trace) if name.startswith("val.")]
    assert results.recommendation is None
    assert results.about["validation_rows"] == 0
    assert any("80 training, 40 test rows" in s for s in said)
    assert any("no loss can be recommended" in note for note in results.about["notes"])
    assert set(said) >= set(results.about["notes"])


def test_runs_with_and_without_one_share_a_folder(copy: Path) -> None:
    plain = compare(copy, seeds=1, validation=0)
    assert len(list(copy.glob("runs/*/result.json"))) == 8
    assert len(plain.runs) == len(load_results(copy).runs) == 2
    assert load_results(copy).recommendation is None


def test_each_loss_is_tuned_then_compared_then_varied(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    results = compare(
        tmp_path, seeds=[0, 1], epochs=1, tune=2, sweep={"triplet.margin": [0.1, 2.0]}
    )
    assert len(results.runs) == 4
    kinds = {kind: len(runs) for kind, runs in results.others.items()}
    assert kinds == {"untuned": 4, "trials": 4, "sweep": 4}
    assert results.about["tuning"]["budget"] == 2
    assert list(results.about["sweep"]) == ["triplet.margin"]
    assert results.recommendation is not None
    assert load_results(tmp_path) == Results(
        results.runs, results.findings, to_json(results)["about"],
        to_json(results)["recommendation"], results.others,
    )  # fmt: skip


# --------------------------------------------------------------------- the test part has no say


def noised(results: Results, folder: Path) -> Results:
    """The same with noise for all that comes from the test part, on disk too."""
    rng = np.random.default_rng(5)

    def spoilt(run: RunResult) -> RunResult:
        scores = {
            name: value if name.startswith("val.") else float(rng.random())
            for name, value in run.scores.items()
        }
        spoilt = RunResult(run.spec, run.status, scores, run.trace, run.seconds, run.versions)
        test = kept.read_queries(folder, run.key, "test")
        held = kept.read_queries(folder, run.key, "validation")
        assert test is not None
        assert held is not None
        n = len(test.ids)
        noise = Queries(test.ids, rng.integers(0, 11, n), rng.random(n), rng.random(n))
        Store(folder).save_run(spoilt)
        kept.write_queries(
            folder / "runs" / run.key / kept.QUERIES, {"test": noise, "validation": held}
        )
        (folder / "runs" / run.key / "embeddings.parquet").write_bytes(rng.bytes(100))
        return spoilt

    about = dict(results.about) | {"baseline": {"recall@1": 0.0}}
    return Results(tuple(map(spoilt, results.runs)), (), about)


@pytest.mark.parametrize("goal", GOALS)
def test_noise_for_test_scores_moves_no_recommendation(copy: Path, goal: Any) -> None:
    before = load_results(copy)
    expected = recommendation.recommend(before, copy, goal)
    spoilt = noised(before, copy)
    assert spoilt.runs != before.runs
    assert recommendation.recommend(spoilt, copy, goal) == expected


def test_noise_for_validation_scores_moves_it(copy: Path) -> None:
    """Or the test above would prove nothing."""
    before = load_results(copy)
    runs = tuple(
        RunResult(r.spec, "done", {**r.scores, "val.density.pi_ratio": 1 / (3 + i)}, r.trace)
        for i, r in enumerate(before.runs)
    )
    moved = Results(runs, (), before.about)
    expected = recommendation.recommend(before, copy, "compact")
    assert recommendation.recommend(moved, copy, "compact") != expected


# ------------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("where", "name", "what"),
    [(views, "complete", "Views"), (recommendation, "recommend", "The recommendation")],
)
def test_what_fails_after_the_runs_is_a_note_and_results_are_kept(
    copy: Path, monkeypatch: pytest.MonkeyPatch, where: Any, name: str, what: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("no luck")

    said: list[str] = []
    monkeypatch.setattr(where, name, fail)
    results = compare(copy, seeds=3, notify=said.append)
    assert [run.status for run in results.runs] == ["done"] * 6
    (note,) = results.about["notes"]
    assert note.startswith(what)
    assert note.endswith("could not be made (ValueError: no luck).")
    assert note in said
    assert load_results(copy).about["notes"] == [note]
    assert (results.recommendation is None) == (name == "recommend")


@pytest.mark.parametrize("error", [StorageError("cannot write"), KeyboardInterrupt()])
def test_a_full_disk_or_an_interrupt_then_loses_nothing(
    copy: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    (copy / "results.json").unlink()
    monkeypatch.setattr(views, "complete", fail)
    with pytest.raises(type(error)):
        compare(copy, seeds=3)
    assert len(load_results(copy).runs) == 6


def test_tuning_needs_something_to_choose_by(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    few = tiny_dataset(classes=20, rows=60)  # two rows of a class to train on
    for data, asked in ((few, {}), (None, {"validation": 0})):
        with pytest.raises(InputError, match="tuning chooses by the validation part"):
            compare(tmp_path / "o", data, tune=3, **asked)
    assert not list(tmp_path.glob("o/runs/*"))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"goal": "best"}, "unknown goal 'best'"),
        ({"goal": None}, "unknown goal 'None'"),
        ({"tune": -1}, "tune is -1"),
        ({"tune": 2.5}, "tune is 2.5"),
        ({"tune": True}, "tune is True"),
        ({"sweep": {"triplet.margin": []}}, "sweep of triplet.margin"),
    ],
)
def test_what_cannot_be_asked_for(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Request(**asked)


@pytest.mark.parametrize("share", [-0.1, 0.51, float("nan"), 1])
def test_shares_that_cannot_be_held_out(tmp_path: Path, share: float) -> None:
    with pytest.raises(InputError, match="it is the share of the training part to choose by"):
        compare(tmp_path / "o", validation=share)
    assert not (tmp_path / "o").exists()


def test_room_is_asked_for_all_three_parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = tiny_dataset(rows=120, dim=64)
    store, rows = Store(tmp_path), 120 * 64 * 4 + 4000  # of features, and half of a run
    monkeypatch.setattr(Store, "room", lambda self: rows)
    from metriscope.data.split import hold_out

    for divided in (data, hold_out(data, 0.4)):
        with pytest.raises(StorageError, match="MB are needed"):
            session._check_room(store, [tiny_spec()], divided)
    monkeypatch.setattr(Store, "room", lambda self: 0)
    store.save_run(RunResult(tiny_spec(), "done"))
    session._check_room(store, [tiny_spec()], data)  # nothing is left to do


def test_untrained_features_are_scored_on_the_validation_part_too(whole: Path) -> None:
    """As the runs are, and beside what chance reaches there."""
    about = load_results(whole).about
    before = about["baseline_validation"]
    run = load_results(whole).runs[0]
    assert {f"val.{name}" for name in before} == {n for n in run.scores if n.startswith("val.")}
    held = hold_out(tiny_dataset(rows=120, spread=1.2), 0.2).validation
    assert held is not None
    assert before == measure(Space(held), only=VALIDATED)
    assert load_results(whole).recommendation["untrained"] == before["recall@1"]  # type: ignore[index]
    assert about["chance_validation"] == session._chance(held.counts)
    assert session._chance(np.array([3, 2, 1])) == (3 * 2 + 2 * 1) / (5 * 5)
    assert session._chance(np.array([1, 1])) is None


def test_those_of_other_validation_rows_are_not_taken(tmp_path: Path) -> None:
    data, store = hold_out(tiny_dataset(rows=120), 0.2), Store(tmp_path)
    assert data.validation is not None
    kept_of = {"dataset": "tiny", "fingerprint": "f" * 64, "baseline_validation": {"recall@1": 0.1}}
    for rows, taken in ((len(data.validation), True), (len(data.validation) + 1, False)):
        about = kept_of | {"validation_rows": rows}
        write_json(tmp_path / "results.json", to_json(Results((), about=about)))
        found = session._untrained(store, data)["baseline_validation"]
        assert (found == {"recall@1": 0.1}) == taken
    assert session._untrained(store, tiny_dataset()) == {}


def test_the_baseline_of_other_data_is_not_taken(tmp_path: Path) -> None:
    """Several datasets may share a folder: what is kept must be of this one."""
    data, store = tiny_dataset(), Store(tmp_path)
    mine = {"dataset": "tiny", "fingerprint": "f" * 64, "baseline": {"recall@1": 0.125}}
    for about in (
        {**mine, "dataset": "other"},
        {**mine, "fingerprint": "e" * 64},
        {"datasets": {"other": mine}},
    ):
        write_json(tmp_path / "results.json", to_json(Results((), about=about)))
        assert session._baseline(store, data)["recall@1"] != 0.125
    for about in (mine, {"datasets": {"other": {}, "tiny": mine}}):
        write_json(tmp_path / "results.json", to_json(Results((), about=about)))
        assert session._baseline(store, data) == {"recall@1": 0.125}
