"""Results on disk: whole or not there, and refused in plain words when they are wrong."""

from __future__ import annotations

import errno
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from metriscope.disk import StorageError, atomically, write_json
from metriscope.store import Store, load_results, to_json
from metriscope.types import Embeddings, Finding, InputError, Results, RunResult, RunSpec
from tests.helpers import tiny_dataset, tiny_spec


def result(loss: str = "triplet", seed: int = 0) -> RunResult:
    trace = {"epoch": [0, 1], "loss": [1.0, 0.25], "grad_norm.loss": [None, None]}
    return RunResult(tiny_spec(loss, seed), "done", {"recall@1": 0.5, "nc1": None}, trace, 1.5)


def test_a_run_comes_back_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.finished(result().spec) is None
    store.save_run(result(), tiny_dataset().test, {"head.w": torch.ones(2)})
    assert store.finished(result().spec) == result()
    folder = store.run_folder(result().key)
    assert {p.name for p in folder.iterdir()} == {
        "spec.json",
        "trace.parquet",
        "embeddings.parquet",
        "head.safetensors",
        "result.json",
    }
    table = pq.read_table(folder / "embeddings.parquet")
    assert table.column_names == ["id", "label", "split", "embedding"]
    test = tiny_dataset().test
    assert np.array_equal(np.stack(table["embedding"].to_pylist()).astype(np.float32), test.x)
    assert table["label"].to_pylist() == [test.class_names[c] for c in test.y]
    assert table["id"].to_pylist() == test.ids.tolist()
    trace = pq.read_table(folder / "trace.parquet")
    assert trace["loss"].to_pylist() == [1.0, 0.25]
    assert trace["grad_norm.loss"].to_pylist() == [None, None]


def test_a_failed_or_unfinished_or_edited_run_is_not_finished(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save_run(RunResult(result().spec, "failed", error="no"))
    assert store.finished(result().spec) is None
    store.save_run(result())
    file = store.run_folder(result().key) / "result.json"
    text = file.read_text()
    file.write_text(text[: len(text) // 2])
    assert store.finished(result().spec) is None
    file.write_text(text.replace('"epochs": 3', '"epochs": 4'))
    assert store.finished(result().spec) is None
    file.write_text(text)
    assert store.finished(result().spec) == result()


def test_results_come_back_as_they_were_and_hold_no_nan(tmp_path: Path) -> None:
    finding = Finding("MS1", "problem", "t", "m", 1.0, 0.5, "c", "n", (result().key,), "triplet")
    results = Results((result(), result("scl", 3)), (finding,), {"dataset": "tiny", "x": math.nan})
    Store(tmp_path).save(results)
    data = json.loads((tmp_path / "results.json").read_text(), parse_constant=pytest.fail)
    assert data["format"] == 1
    assert set(data) >= {"format", "runs", "findings", "recommendation"}
    assert set(data["runs"][0]) >= {
        "key", "dataset", "loss", "params", "seed", "status", "scores", "trace", "seconds",
        "error", "versions",
    }  # fmt: skip
    again = load_results(tmp_path)
    assert again.runs == results.runs
    assert again.findings == results.findings
    assert again.about == {"dataset": "tiny", "x": None}
    assert to_json(again) == data


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no results.json"),
        ("{", "damaged or was edited"),
        ("[]", "damaged or was edited"),
        ('{"format": 2, "runs": [], "findings": []}', "format 2; this metriscope reads format 1"),
        ('{"format": 1, "runs": [{"spec": 3}], "findings": []}', "damaged or was edited"),
    ],
)
def test_wrong_results_are_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    with pytest.raises(InputError, match=message):
        load_results(tmp_path)


def _edit(data: dict[str, Any], path: str, value: Any) -> None:
    *way, last = path.split("/")
    for step in way:
        data = data[int(step) if isinstance(data, list) else step]
    data[last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("runs/0/trace/loss", [1.0], "differ in length"),
        ("runs/0/trace/loss", [1.0, "x"], "no number"),
        ("runs/0/scores/recall@1", 1e300, "no number of a usual size"),
        ("runs/0/scores/recall@1", 10**400, "no number of a usual size"),
        ("runs/0/scores/recall@1", math.nan, "no number"),
        ("runs/0/seconds", "1e999", "no number"),
        ("runs/0/status", "odd", "the status of"),
        ("runs/1/spec/seed", 0, "is there twice"),
        ("about/train_rows", "many", "train_rows of about is 'many'"),
        ("about/classes", [3], "classes of about"),
        ("about/seconds", {}, "seconds of about"),
        ("about/test_rows", True, "test_rows of about"),
        ("about/notes", 3, "notes of about is no list"),
        ("about/baseline", {"recall@1": "x"}, "recall@1 of the baseline"),
        ("about/datasets", {"other": {"classes": 3}}, "runs of 'tiny', which is not among"),
        ("about/datasets", {"tiny": 3}, "about a dataset is no object"),
        ("findings/0/value", "high", "value of finding MS1"),
        ("findings/0/threshold", [], "threshold of finding MS1"),
        ("findings/0/severity", "bad", "severity of MS1"),
    ],
)
def test_edited_results_are_refused_in_a_line(
    tmp_path: Path, path: str, value: Any, message: str
) -> None:
    finding = Finding("MS1", "problem", "t", "m", 1.0, None)
    about = {"dataset": "tiny", "seconds": 2.0, "notes": []}
    results = Results((result(), result(seed=1)), (finding,), about)
    Store(tmp_path).save(results)
    file = tmp_path / "results.json"
    data = json.loads(file.read_text())
    assert load_results(tmp_path) == results
    _edit(data, path, value)
    file.write_text(json.dumps(data))
    with pytest.raises(InputError, match=message) as caught:
        load_results(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match=r"holds other files \(thesis.tex\)"):
        Store(tmp_path).claim("tiny", "f")
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match="is a file"):
        Store(file).claim("tiny", "f")


def test_a_folder_with_other_data_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "new" / "deep")
    store.claim("tiny", "f")
    store.save(Results((), about={"dataset": "tiny", "fingerprint": "f"}))
    store.claim("tiny", "f")
    with pytest.raises(InputError, match="results of other data"):
        store.claim("tiny", "g")


def test_two_processes_do_not_write_to_one_folder(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.claim("tiny", "f")
    second = Store(tmp_path).locked()
    with store.locked(), pytest.raises(InputError, match="another metriscope"):
        second.__enter__()
    with Store(tmp_path).locked():
        assert store.scratch.is_dir()
    assert not store.scratch.exists()


def test_leftovers_of_a_killed_process_are_cleared(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.claim("tiny", "f")
    folder = store.run_folder("k")
    folder.mkdir(parents=True)
    leftovers = [tmp_path / ".results.json.abc.tmp", folder / ".result.json.x.tmp"]
    for leftover in leftovers:
        leftover.write_text("half")
    with store.locked():
        assert not any(leftover.exists() for leftover in leftovers)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_json(file, {"old": 1})

    def half(path: Path) -> None:
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        atomically(file, half)
    assert json.loads(file.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [file]


def test_a_full_disk_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match=r"No space left on device\. Free"):
        Store(tmp_path).save_run(result())
    assert Store(tmp_path).finished(result().spec) is None


def test_ids_may_be_text(tmp_path: Path) -> None:
    ids = np.array(["a/1.png", "b 2"], dtype=object)
    data = Embeddings(np.ones((2, 3)), np.array([0, 1]), ("x", "y"), "test", ids=ids)
    Store(tmp_path).save_run(result(), data)
    table = pq.read_table(tmp_path / "runs" / result().key / "embeddings.parquet")
    assert table["id"].to_pylist() == ["a/1.png", "b 2"]


def test_keys_are_readable_unique_and_safe() -> None:
    keys = {
        tiny_spec(loss, seed, **change).key
        for loss in ("triplet", "scl")
        for seed in (0, 1)
        for change in ({}, {"epochs": 4}, {"dataset": "../../etc/<passwd>\x1b"})
    }
    assert len(keys) == 12
    assert all(set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for key in keys)
    assert tiny_spec().key.startswith("tiny-triplet-s0-")
    assert tiny_spec().key != tiny_spec(params={"margin": 0.5}).key


def test_a_kill_before_the_first_results_leaves_a_usable_folder(tmp_path: Path) -> None:
    for name in (".lock", ".results.json.abcd.tmp"):
        (tmp_path / name).write_text("")
    (tmp_path / ".scratch").mkdir()
    Store(tmp_path).claim("tiny", "f")
    with Store(tmp_path).locked():
        assert {p.name for p in tmp_path.iterdir()} == {".lock", ".scratch"}


def test_damaged_results_are_written_anew_beside_their_runs(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save_run(result())
    (tmp_path / "results.json").write_text('{"format": 1, "ru')
    store.claim("tiny", "f" * 64)
    with pytest.raises(InputError, match="results of other data \\('tiny'"):
        store.claim("other", "g")
    assert store.finished(result().spec) == result()


@pytest.mark.parametrize("files", [["results.json"], ["runs/1/events.out"], ["runs/1/spec.json"]])
def test_files_of_another_program_are_not_taken_for_ours(tmp_path: Path, files: list[str]) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('{"mine": [1, 2]}')
    with pytest.raises(InputError, match="holds other files"):
        Store(tmp_path).claim("tiny", "f")
    assert (tmp_path / files[0]).read_text() == '{"mine": [1, 2]}'


def test_a_tuple_among_the_parameters_is_no_other_run(tmp_path: Path) -> None:
    spec = tiny_spec()
    spec = RunSpec(**{**vars(spec), "params": {"steps": (1, 2)}})
    Store(tmp_path).save_run(RunResult(spec, "done"))
    found = Store(tmp_path).finished(spec)
    assert found is not None
    assert found.key == spec.key


def test_text_that_is_no_utf_8_is_kept_as_an_escape(tmp_path: Path) -> None:
    Store(tmp_path).save(Results((), about={"source": "caf\udce9.npz"}))
    assert load_results(tmp_path).about == {"source": "caf\udce9.npz"}
