"""What each query retrieved, on disk; results that somebody edited."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metriscope import kept
from metriscope.disk import StorageError
from metriscope.grid import Silent, run
from metriscope.kept import QUERIES, differences, read_queries, write_queries
from metriscope.store import Store, load_results
from metriscope.train import train
from metriscope.types import Dataset, InputError, Queries, Results, RunResult
from tests.helpers import tiny_dataset, tiny_spec


def queries(ids: list[object]) -> Queries:
    n = len(ids)
    values = np.linspace(0, 1, n)
    values[-1] = np.nan
    return Queries(np.array(ids), np.array([*range(n - 1), -1]), values, values**2)


def kept_as(folder: Path, **parts: Queries) -> Path:
    file = folder / "runs" / "k" / QUERIES
    write_queries(file, parts)
    return file


@pytest.mark.parametrize(
    "ids", [[5, 3, 2**40], ["a/1.png", "\u202e<b>$\\", "n" * 300], ["", "é", "\n"]]
)
def test_they_come_back_as_they_were(tmp_path: Path, ids: list[object]) -> None:
    parts = {"test": queries(ids), "validation": queries(ids[::-1] * 2)}
    file = kept_as(tmp_path, **parts)
    for part, given in parts.items():
        found = read_queries(tmp_path, "k", part)
        assert found is not None
        for name in ("ids", "first", "r_precision", "precision"):
            np.testing.assert_array_equal(getattr(found, name), getattr(given, name))
            assert getattr(found, name).dtype.kind == getattr(given, name).dtype.kind
        np.testing.assert_array_equal(found.values("recall@5"), given.values("recall@5"))
    assert pq.read_table(file).column_names == ["part", "id", "first", "r_precision", "precision"]
    assert [p.name for p in file.parent.iterdir()] == [QUERIES]


def test_ids_of_two_kinds_become_text_and_surrogates_escapes(tmp_path: Path) -> None:
    kept_as(tmp_path, test=queries([1, 2]), validation=queries(["caf\udce9", "2"]))
    found = [read_queries(tmp_path, "k", part) for part in ("test", "validation")]
    assert [q.ids.tolist() for q in found if q] == [["1", "2"], ["caf\\udce9", "2"]]


def test_a_part_without_queries_is_not_there(tmp_path: Path) -> None:
    kept_as(tmp_path, test=queries([1, 2]))
    assert read_queries(tmp_path, "k", "test") is not None
    assert read_queries(tmp_path, "k", "validation") is None
    kept_as(tmp_path)
    assert read_queries(tmp_path, "k", "test") is None
    assert read_queries(tmp_path, "other", "test") is None


def broken(name: str, file: Path) -> None:
    table = pq.read_table(file)
    data = file.read_bytes()
    if name == "empty":
        file.write_bytes(b"")
    elif name == "cut":
        file.write_bytes(data[:-20])
    elif name == "garbage inside":
        file.write_bytes(data[:4] + bytes(len(data) // 2) + data[4 + len(data) // 2 :])
    elif name == "no parquet":
        file.write_text("part,id\n")
    elif name == "a folder":
        file.unlink()
        file.mkdir()
    elif name == "a column less":
        pq.write_table(table.drop_columns(["first"]), file)
    elif name == "text for numbers":
        pq.write_table(table.set_column(3, "r_precision", pa.array(["x"] * len(table))), file)
    elif name == "lists for numbers":
        pq.write_table(table.set_column(4, "precision", pa.array([[0.5]] * len(table))), file)
    elif name == "shares for ranks":
        pq.write_table(table.set_column(2, "first", pa.array([0.5] * len(table))), file)


@pytest.mark.parametrize(
    "name",
    ["empty", "cut", "garbage inside", "no parquet", "a folder", "a column less",
     "text for numbers", "lists for numbers", "shares for ranks"],
)  # fmt: skip
def test_a_damaged_file_is_as_none(tmp_path: Path, name: str) -> None:
    file = kept_as(tmp_path, test=queries([1, 2, 3]))
    broken(name, file)
    assert read_queries(tmp_path, "k", "test") is None


def test_a_full_disk_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        kept_as(tmp_path, test=queries([1, 2]))


# ---------------------------------------------------------------------------- written by a worker


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.claim("tiny", "f" * 64)
    store.scratch.mkdir(exist_ok=True)
    return store


def divided() -> Dataset:
    from metriscope.data.split import hold_out

    return hold_out(tiny_dataset(), 0.25)


def test_a_run_leaves_them_before_its_result(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    data, there = divided(), []
    real = Store.save_run

    def save(self: Store, *args: object) -> None:
        there.append((self.run_folder(spec.key) / QUERIES).exists())
        real(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "save_run", save)
    spec = tiny_spec(validation=0.25)
    (result,) = run([spec], data, store, jobs=1, observer=Silent(), in_process=True)
    assert result.status == "done", result.error
    assert there == [True]
    for part, prefix, rows in (("test", "", data.test), ("validation", "val.", data.validation)):
        found = read_queries(store.folder, spec.key, part)
        assert found is not None
        assert rows is not None
        assert np.array_equal(found.ids, rows.ids)
        for name in ("recall@1", "recall@5", "recall@10", "r_precision", "map@r"):
            stored = result.scores[prefix + name]
            assert np.nanmean(found.values(name)) == pytest.approx(stored, abs=1e-12)


def test_runs_with_and_without_a_validation_part_lie_side_by_side(store: Store) -> None:
    """The data that workers read are those of the run at hand, in any order."""
    whole, part = tiny_dataset(), divided()
    plain, held = tiny_spec(), tiny_spec(validation=0.25)
    results = [
        run([spec], data, store, jobs=1, observer=Silent(), in_process=True)[0]
        for spec, data in ((held, part), (plain, whole), (replace(held, seed=1), part))
    ]
    assert [r.status for r in results] == ["done"] * 3
    assert ["val.recall@1" in r.scores for r in results] == [True, False, True]
    assert len(list(store.folder.glob("runs/*/result.json"))) == 3
    assert read_queries(store.folder, plain.key, "validation") is None
    assert results[1].scores == train(plain, whole).result.scores  # of all training rows


def test_data_are_written_for_the_workers_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    real = np.save
    monkeypatch.setattr(
        "metriscope.worker.np.save", lambda f, x: (written.append(f.name), real(f, x))
    )
    for seed in range(2):  # as tuning does
        spec = tiny_spec(seed=seed, epochs=1)
        run([spec], tiny_dataset(), store, jobs=1, observer=Silent(), in_process=True)
    assert sorted(written) == sorted(
        f"{s}_{a}.npy" for s in ("train", "test") for a in ("x", "y", "ids")
    )
    assert len(list(store.scratch.iterdir())) == 1


# --------------------------------------------------------------------------------- edited results


def finished(seed: int, **scores: float | None) -> RunResult:
    return RunResult(tiny_spec(seed=seed), "done", dict(scores), {"loss": [1.0]}, 1.0)


def test_what_somebody_edited_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path)
    runs = [finished(seed, a=0.5, b=None) for seed in range(5)]
    for one in runs[:4]:
        store.save_run(one)
    store.save_run(RunResult(runs[3].spec, "failed", error="no"))
    results = Results(tuple(runs[:2]), others={"trials": tuple(runs[1:4]), "sweep": (runs[4],)})
    store.save(results)
    assert differences(tmp_path, load_results(tmp_path)) == (runs[3].key,)

    data = json.loads((tmp_path / "results.json").read_text())
    data["runs"][0]["scores"]["a"] = 0.6
    data["others"]["trials"][1]["scores"]["b"] = 0.0
    (tmp_path / "results.json").write_text(json.dumps(data))
    assert differences(tmp_path, load_results(tmp_path)) == tuple(runs[i].key for i in (0, 2, 3))
    assert differences(tmp_path / "nowhere", results) == ()


def test_a_score_more_or_less_is_an_edit(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save_run(finished(0, a=0.5))
    for scores in ({}, {"a": 0.5, "b": 1.0}, {"a": None}):
        assert differences(tmp_path, Results((finished(0, **scores),)))
    assert not differences(tmp_path, Results((finished(0, a=0.5),)))


EDITS = {
    "text": '"high"',
    "NaN as text": '"NaN"',
    "NaN": "NaN",
    "infinity": "Infinity",
    "a list": "[0.5]",
    "an object": '{"mean": 0.5}',
    "true": "true",
}


@pytest.mark.parametrize("what", EDITS)
@pytest.mark.parametrize("place", ["score", "trace", "baseline", "trial"])
def test_a_score_that_is_no_number_is_refused(tmp_path: Path, what: str, place: str) -> None:
    one = RunResult(tiny_spec(), "done", {"recall@1": 0.123}, {"loss": [0.125]}, 1.0)
    about = {"dataset": "tiny", "baseline": {"recall@1": 0.0625}}
    Store(tmp_path).save(Results((one,), about=about, others={"trials": (replace(one),)}))
    file = tmp_path / "results.json"
    head, middle, tail = file.read_text().partition('"others"')
    number = {"score": "0.123", "trace": "0.125", "baseline": "0.0625", "trial": "0.123"}[place]
    if place == "trial":
        tail = tail.replace(number, EDITS[what])
    else:
        head = head.replace(number, EDITS[what])
    file.write_text(head + middle + tail)
    with pytest.raises(InputError, match=r"damaged or was edited.*is no number") as error:
        load_results(tmp_path)
    assert str(error.value).count("\n") == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"status": "done"', '"status": "great"'),
        ('"scores": {', '"scores": 3, "x": {'),
        ('"trace": {', '"trace": [], "x": {'),
        ('"recommendation": null', '"recommendation": "scl"'),
        ('"dataset": "tiny",\n  "baseline"', '"datasets": ["tiny"],\n  "baseline"'),
        ('"seconds": 1.0', '"seconds": null'),
        ('"others": {', '"others": [1], "x": {'),
    ],
)
def test_results_of_another_shape_are_refused(tmp_path: Path, old: str, new: str) -> None:
    one = RunResult(tiny_spec(), "done", {"recall@1": 0.5}, {"loss": [0.5]}, 1.0)
    Store(tmp_path).save(Results((one,), about={"dataset": "tiny", "baseline": {}}))
    file = tmp_path / "results.json"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(InputError, match="damaged or was edited"):
        load_results(tmp_path)


def test_an_edited_result_is_done_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    one = finished(0, a=0.5)
    store.save_run(one)
    file = store.run_folder(one.key) / "result.json"
    text = file.read_text()
    for old, new in (('"a": 0.5', '"a": "x"'), ('"trace": {', '"trace": [1], "y": {')):
        file.write_text(text.replace(old, new))
        assert store.read_run(one.spec) is None
        assert kept.differences(tmp_path, Results((one,))) == ()


# ------------------------------------------------------------------------- one dataset, or several


def of_dataset(name: str, fingerprint: str) -> Results:
    spec = replace(tiny_spec(), dataset=name, fingerprint=fingerprint)
    one = RunResult(spec, "done", {"recall@1": 0.5}, {"loss": [1.0]}, 1.0)
    about = {"dataset": name, "fingerprint": fingerprint, "baseline": {"recall@1": 0.25}}
    other = replace(one, spec=replace(spec, seed=9))
    return Results((one,), (), about, {"loss": "triplet"}, {"sweep": (other,)})


def test_results_of_several_datasets_come_back_as_they_were(tmp_path: Path) -> None:
    parts = [of_dataset("a", "1"), of_dataset("b", "2")]
    joined = Results.joined(parts, {"command": "metriscope reproduce"})
    Store(tmp_path).save(joined)
    again = load_results(tmp_path)
    assert again == joined
    assert again.datasets == ("a", "b")
    assert again.of("b").runs == parts[1].runs
    assert again.of("b").others == parts[1].others
    assert again.of("a").recommendation == {"loss": "triplet"}


def test_results_from_before_there_was_a_validation_part_are_read(tmp_path: Path) -> None:
    one = finished(0, a=0.5)
    Store(tmp_path).save(Results((one,), about={"dataset": "tiny"}))
    file = tmp_path / "results.json"
    data = json.loads(file.read_text())
    del data["others"], data["recommendation"], data["runs"][0]["spec"]["validation"]
    file.write_text(json.dumps(data))
    assert load_results(tmp_path) == Results((one,), about={"dataset": "tiny"})


def test_a_folder_holds_several_datasets_where_that_is_asked_for(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.claim("a", "1", beside=True)
    store.save(Results.joined([of_dataset("a", "1"), of_dataset("b", "2")], {}))
    for name, fingerprint in (("a", "1"), ("b", "2"), ("c", "3")):
        store.claim(name, fingerprint, beside=True)
        with pytest.raises(InputError, match="results of other data"):
            store.claim(name, fingerprint)
    with pytest.raises(InputError, match=r"results of other data \('b'.*This is 'b' of another"):
        store.claim("b", "4", beside=True)


def test_of_several_datasets_runs_alone_tell_too(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save_run(of_dataset("a", "1").runs[0])
    (tmp_path / "results.json").write_text("{")
    store.claim("b", "2", beside=True)
    with pytest.raises(InputError, match="results of other data"):
        store.claim("a", "2", beside=True)
    (tmp_path / "results.json").write_text('{"about": {"datasets": [1], "fingerprint": [2]}}')
    store.claim("a", "1")
