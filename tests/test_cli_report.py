"""``metriscope report`` on comparisons."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benchmarks import grid105

from metriscope import kept, views
from metriscope.cli import main
from metriscope.recommendation import recommend
from metriscope.report import figures
from metriscope.store import Store, load_results
from tests.fakes import comparison


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results without views."""
    folder = tmp_path_factory.mktemp("grid")
    grid105.write(
        folder,
        datasets={"a": 3, "b": 4},
        names=("triplet", "scl"),
        seeds=2,
        rows=60,
        dim=6,
        epochs=2,
    )
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "grid"))


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(["report", *map(str, words)])
        out = capsys.readouterr()
        return int(str(end.value)), out.out, out.err

    return run


CODE = """
import sys
from metriscope.cli import main
try:
    main(["report", sys.argv[1]])
except SystemExit as end:
    code = end.code
bad = ("metriscope.train", "metriscope.worker", "metriscope.losses", "metriscope.network")
print([m for m in sys.modules if m.startswith(bad)], code, file=sys.stderr)
"""


def test_no_training_code_is_imported(folder: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", CODE, str(folder)], capture_output=True, text=True, check=True
    )
    first, *_, last = ran.stderr.splitlines()
    assert "4 embedding spaces" in first
    assert last == "[] 0"
    assert (folder / "report.html").exists()


def test_the_report_shows_the_spaces(folder: Path, said: Any) -> None:
    code, out, err = said(folder)
    assert code == 0
    assert len(err.splitlines()) == 1
    page = (folder / "report.html").read_text("utf-8")
    for word in ("t-SNE", "Overlap", "Effective rank, centred", "a class 1", "b class 3"):
        assert word in page
    assert "triplet" in out
    assert len(list(folder.glob("runs/*/view.json"))) == 4
    assert max(f.stat().st_size for f in folder.glob("runs/*/view.json")) < 20_000
    _, _, err = said(folder)
    assert err == ""
    assert (folder / "report.html").read_text("utf-8") == page


def test_as_json_stdout_is_json_alone(folder: Path, said: Any) -> None:
    _, out, _ = said(folder, "--json")
    assert json.loads(out) == json.loads((folder / "results.json").read_text("utf-8"))


def test_a_goal_recommends_anew_and_is_kept(
    folder: Path, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def recommend(results: Any, where: Path, goal: str) -> dict[str, Any]:
        asked.append((results.datasets, where, goal))
        return {"goal": goal}

    monkeypatch.setattr("metriscope.recommendation.recommend", recommend)
    monkeypatch.setattr("metriscope.report.html.write", lambda results, path: None)
    monkeypatch.setattr("metriscope.cli.report.show_results", lambda *_: None)
    views.complete(folder, load_results(folder))
    before = (folder / "results.json").read_bytes()
    assert said(folder)[0] == 0
    assert (asked, (folder / "results.json").read_bytes()) == ([], before)
    assert said(folder, "--goal", "compact")[0] == 0
    assert asked == [(("a",), folder, "compact"), (("b",), folder, "compact")]
    found = load_results(folder)
    assert found.recommendation == {"a": {"goal": "compact"}, "b": {"goal": "compact"}}
    assert found.runs == load_results(folder).runs
    assert said(folder)[0] == 0
    assert load_results(folder).recommendation == found.recommendation
    one = folder.parent / "one"
    grid105.write(one, datasets={"a": 3}, names=("scl",), seeds=1, rows=30, dim=4, epochs=1)
    assert said(one, "--goal", "fast")[0] == 0
    assert load_results(one).recommendation == {"goal": "fast"}
    assert said(folder, "--goal", "best")[0] == 2


def test_a_recommendation_that_somebody_edited_is_made_anew_and_said(
    tmp_path: Path, said: Any
) -> None:
    folder, file = tmp_path, tmp_path / "results.json"
    found = comparison(folder, losses=("triplet", "scl"))
    store = Store(folder)
    store.save(replace(found, recommendation=recommend(found, folder, "top1")))
    assert "recommendation" not in said(folder)[2]
    data = json.loads(file.read_text("utf-8"))
    right = data["recommendation"]["answer"]
    assert right.startswith("Take scl")
    data["recommendation"] |= {"loss": "triplet", "answer": "Take triplet."}
    file.write_text(json.dumps(data), "utf-8")
    before = file.read_bytes()
    code, out, err = said(folder)
    assert code == 0
    (line,) = [line for line in err.splitlines() if "recommendation" in line]
    assert "is not the one that the runs give" in line
    assert right.split(":")[0] in out
    page = (folder / "report.html").read_text("utf-8")
    assert "Take triplet." not in page
    assert "was made anew from the runs" in page
    assert file.read_bytes() == before  # a report changes no results


def test_a_trace_that_somebody_edited_is_noticed(tmp_path: Path) -> None:
    """The goal fast is read from it."""
    found = comparison(None, losses=("triplet", "scl"))
    for run in found.runs:
        Store(tmp_path).save_run(run)
    assert kept.differences(tmp_path, found) == ()
    first = found.runs[0]
    edited = replace(first, trace=first.trace | {"val.recall@1": [1.0]})
    moved = replace(found, runs=(edited, *found.runs[1:]))
    assert kept.differences(tmp_path, moved) == (first.key,)


def test_figures_go_beside_the_report(
    folder: Path, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metriscope.report.html.write", lambda results, path: None)
    asked = []

    def write(evidence: Any, where: Path, kind: str) -> list[Path]:
        asked.append((evidence.folder, where, kind))
        return [where / "a", where / "b"]

    monkeypatch.setattr(figures, "write", write)
    _, _, err = said(folder, "--figures", "svg")
    assert asked == [(folder, folder / "figures", "svg")]
    assert "2 files in" in err.splitlines()[-1]


def test_results_that_somebody_edited_are_named(
    folder: Path, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metriscope.report.html.write", lambda results, path: None)
    views.complete(folder, load_results(folder))
    file = folder / "results.json"
    data = json.loads(file.read_text("utf-8"))
    data["runs"][1]["scores"]["recall@1"] = 0.999
    file.write_text(json.dumps(data), "utf-8")
    code, _, err = said(folder)
    assert code == 0
    (line,) = err.splitlines()
    assert data["runs"][1]["key"] in line
    assert "was edited" in line
    assert data["runs"][0]["key"] not in line


def test_what_cannot_be_looked_at_is_said_and_the_rest_shown(
    folder: Path, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metriscope.report.html.write", lambda results, path: None)
    for file in folder.glob("runs/*-triplet-*/embeddings.parquet"):
        file.unlink()
    code, _, err = said(folder)
    assert code == 0
    assert "triplet on a, triplet on b: its embeddings are not there" in err
    assert len(list(folder.glob("runs/*/view.json"))) == 2


def test_what_is_no_result_is_refused(folder: Path, tmp_path: Path, said: Any) -> None:
    code, out, err = said(tmp_path)
    assert (code, out) == (2, "")
    assert "no results.json" in err
    data = json.loads((folder / "results.json").read_text("utf-8"))
    for damaged, words in (
        (json.dumps(data | {"format": 7}), "has format 7"),
        ("{", "is damaged or was edited"),
        (json.dumps({"format": data["format"]}), "is damaged or was edited"),
    ):
        (folder / "results.json").write_text(damaged, "utf-8")
        code, out, err = said(folder)
        assert (code, out) == (2, "")
        assert words in err
        assert len(err.splitlines()) <= 2


def test_a_folder_that_cannot_be_written_is_said(
    folder: Path, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    views.complete(folder, load_results(folder))

    def refused(path: Path, *_: object) -> None:
        raise PermissionError(13, os.strerror(13), str(path))

    monkeypatch.setattr("metriscope.disk.atomically", refused)  # root may write anywhere
    code, _, err = said(folder)
    assert code == 2
    assert "cannot write to" in err
    assert "Permission denied" in err


def test_an_interruption_keeps_what_is_done(
    folder: Path, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = views._make
    done = []

    def interrupted(where: Path, key: str) -> None:
        if done:
            raise KeyboardInterrupt
        made(where, key)
        done.append(key)

    monkeypatch.setattr(views, "_make", interrupted)
    code, out, err = said(folder)
    assert (code, out) == (130, "")
    assert "interrupted" in err
    assert not list(folder.glob("**/*.tmp"))
    assert {f.parent.name for f in folder.glob("runs/*/view.json")} == set(done)
    assert kept.read_view(folder, done[0]) is not None


def test_a_diagnosis_has_neither_goal_nor_figures(tmp_path: Path, said: Any) -> None:
    (tmp_path / "diagnosis.json").write_text("{}", "utf-8")
    for option in (("--goal", "top1"), ("--figures", "pdf")):
        code, _, err = said(tmp_path, *option)
        assert code == 2
        assert "leave out" in err
