"""The paper's grid on what can be had, in one folder, and the command that runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metriscope import cli, session
from metriscope.grid import Observer
from metriscope.report import html
from metriscope.reproduction import reproduce
from metriscope.store import Store, load_results
from metriscope.types import Dataset, InputError, RunResult, RunSpec

LOSSES = ("triplet", "scl")
WRITE = html.write


class Grid:
    """Stands for the training: runs are made up, kept, and counted; ``after`` so many it stops."""

    def __init__(self) -> None:
        self.trained: list[RunSpec] = []
        self.after = 10_000
        self.failing: tuple[str, ...] = ()

    def run(
        self,
        wanted: list[RunSpec],
        dataset: Dataset,
        store: Store,
        *,
        observer: Observer,
        **_: Any,
    ) -> list[RunResult]:
        results = []
        for spec in wanted:
            cached = store.finished(spec)
            if cached is None and len(self.trained) == self.after:
                raise KeyboardInterrupt
            result = cached or self._train(spec, dataset)
            if cached is None:
                store.save_run(result)
            observer.finished(result, cached=cached is not None)
            results.append(result)
        return results

    def _train(self, spec: RunSpec, dataset: Dataset) -> RunResult:
        self.trained.append(spec)
        if spec.loss in self.failing:
            return RunResult(spec, "failed", error="diverged")
        scores = {"recall@1": 0.5 + 0.01 * spec.seed, "intra.pair_cos.mean": 0.3}
        trace = {"epoch": [0.0, 1.0], "loss": [2.0, 1.0]}
        return RunResult(spec, "done", scores, trace, 1.0, {"torch": "2.13.0"})


@pytest.fixture
def grid(monkeypatch: pytest.MonkeyPatch) -> Grid:
    made = Grid()
    monkeypatch.setattr(session.grid, "run", made.run)
    monkeypatch.setattr(session.views, "complete", lambda *args, **more: None)
    monkeypatch.setattr(html, "write", lambda *args: None)
    return made


def _features(path: Path, classes: int = 4, rows: int = 40, seed: int = 0) -> Path:
    random = np.random.default_rng(seed)
    y = np.arange(rows) % classes
    x = random.standard_normal((classes, 6))[y] + 0.3 * random.standard_normal((rows, 6))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, features=x.astype(np.float32), labels=y)
    return path


@pytest.fixture
def features(tmp_path: Path) -> Path:
    """CIFAR-10 as a folder under its printed name, CUB-200 as a file."""
    folder = tmp_path / "features"
    _features(folder / "CIFAR-10" / "train.npz")
    _features(folder / "CIFAR-10" / "test.npz", rows=20)
    _features(folder / "cub200.npz", seed=1)
    return folder


def _run(features: Path | None, out: Path, *datasets: str, **more: Any) -> Any:
    asked = {"losses": LOSSES, "seeds": 2, "epochs": 1, "batch_size": 8, "jobs": 1} | more
    return reproduce(datasets, features=features, out=out, **asked)


def test_datasets_come_into_one_folder(
    grid: Grid, features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "write", WRITE)
    said: list[str] = []
    results = _run(features, tmp_path / "out", notify=said.append, command="metriscope reproduce")
    assert results.datasets == ("cifar10", "cub200")  # in the paper's order
    assert [run.spec.dataset for run in results.runs] == ["cifar10"] * 4 + ["cub200"] * 4
    assert {spec.validation for spec in grid.trained} == {0.0}
    assert set(results.about["left_out"]) == {"cars196", "tiny-imagenet", "fashion-mnist"}
    assert results.recommendation is None
    about = results.of("cifar10").about
    assert about["source"] == str(features / "CIFAR-10")
    assert about["train_rows"] == 40
    assert any(
        "Not the paper's CIFAR-10: 40 training rows (the paper: 50,000), 20 test rows" in note
        for note in about["notes"]
    )
    assert any(line.startswith("cars196 is left out: no cars196 in ") for line in said)
    assert load_results(tmp_path / "out") == results
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Beside the paper" in page
    assert "The paper against itself" in page


def test_what_is_done_is_not_done_again(grid: Grid, features: Path, tmp_path: Path) -> None:
    first = _run(features, tmp_path / "out")
    done = len(grid.trained)
    again = _run(features, tmp_path / "out")
    assert len(grid.trained) == done == 8
    assert [run.scores for run in again.runs] == [run.scores for run in first.runs]
    _run(features, tmp_path / "out", seeds=3)
    assert len(grid.trained) == 12


@pytest.mark.parametrize("after", [1, 5])
def test_a_killed_call_keeps_everything_and_goes_on(
    grid: Grid, features: Path, tmp_path: Path, after: int
) -> None:
    grid.after = after
    with pytest.raises(KeyboardInterrupt):
        _run(features, tmp_path / "out")
    kept = load_results(tmp_path / "out")
    assert len(kept.runs) == after
    grid.after = 10_000
    results = _run(features, tmp_path / "out")
    assert len(results.runs) == len(grid.trained) == 8


def test_results_of_other_datasets_stay_while_one_is_done_again(
    grid: Grid, features: Path, tmp_path: Path
) -> None:
    _run(features, tmp_path / "out")
    grid.after = len(grid.trained)
    with pytest.raises(KeyboardInterrupt):  # in the first new run of the first dataset
        _run(features, tmp_path / "out", seeds=3)
    kept = load_results(tmp_path / "out")
    assert [run.spec.dataset for run in kept.runs] == ["cifar10"] * 4 + ["cub200"] * 4


def test_other_features_are_not_mixed_in(grid: Grid, features: Path, tmp_path: Path) -> None:
    _run(features, tmp_path / "out")
    _features(features / "cub200.npz", seed=2)
    with pytest.raises(InputError, match="results of other data"):
        _run(features, tmp_path / "out")


def test_what_is_asked_for_by_name_must_be_there(
    grid: Grid, features: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"no cars196 in .*features: neither a folder cars196"):
        _run(features, tmp_path / "out", "cub200", "Car196")
    assert grid.trained == []
    assert not (tmp_path / "out").exists()
    results = _run(features, tmp_path / "out", "CUB-200", "cub200")
    assert results.datasets == ("cub200",)
    assert results.about["left_out"] == {}
    assert reproduce("cub200", features=features, out=tmp_path / "out", losses=LOSSES, seeds=1)


def test_a_copy_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def load(source: Any, **_: Any) -> Dataset:
        asked.append(source)
        raise InputError("cub200: nothing there.")

    monkeypatch.setattr("metriscope.data.load", load)
    with pytest.raises(InputError, match="nothing there"):
        _run(None, tmp_path / "out", "CUB-200:folder=/data/birds")
    assert asked == ["cub200:folder=/data/birds"]
    said: list[str] = []
    with pytest.raises(InputError, match="none of the paper's datasets"):
        _run(None, tmp_path / "out", notify=said.append)
    assert "cub200 is left out: nothing there." in said


def test_a_dataset_that_cannot_be_used_is_left_out(
    grid: Grid, features: Path, tmp_path: Path
) -> None:
    (features / "cub200.npz").write_bytes(b"no archive")
    results = _run(features, tmp_path / "out")
    assert results.datasets == ("cifar10",)
    assert "cub200.npz" in results.about["left_out"]["cub200"]
    with pytest.raises(InputError, match=r"cub200\.npz"):
        _run(features, tmp_path / "out", "cub200")


def _nothing(folder: Path) -> None:
    (folder / "photos").mkdir(parents=True)
    (folder / "notes.txt").write_text("x", encoding="utf-8")


def _twice(folder: Path) -> None:
    _features(folder / "cub200.npz")
    _features(folder / "CUB-200" / "train.npz")


def _file(folder: Path) -> None:
    folder.write_text("x", encoding="utf-8")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_nothing, "none of the paper's datasets can be had"),
        (_twice, r"CUB-200 and cub200\.npz, both for cub200: leave one"),
        (_file, "--features names a folder"),
        (lambda folder: None, "--features names a folder"),
    ],
)
def test_folders_of_features_that_cannot_be_used(
    grid: Grid, tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    make(tmp_path / "dir")
    with pytest.raises(InputError, match=message):
        _run(tmp_path / "dir", tmp_path / "out")
    assert grid.trained == []


def test_what_is_not_used_is_named(grid: Grid, features: Path, tmp_path: Path) -> None:
    _features(features / "my photos.npz")
    (features / ".DS_Store").write_bytes(b"")
    said: list[str] = []
    _run(features, tmp_path / "out", notify=said.append)
    assert "not datasets of the paper, so not used: 'my photos.npz'" in said


@pytest.mark.parametrize("name", ["mnist", "cifar100", "../cub", "x" * 300, "[red]\x1b"])
def test_other_datasets_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="is not one of the paper's datasets") as error:
        _run(None, tmp_path / "out", name)
    assert "metriscope compare" in str(error.value)
    assert len(str(error.value)) < 400


def test_bad_settings_are_refused_before_data_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nonsense"):
        _run(None, tmp_path / "out", losses=("nonsense",))


# --------------------------------------------------------------------------------- command line


def _main(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["reproduce", *arguments])
    return int(ended.value.code or 0)


def _small(features: Path, out: Path) -> list[str]:
    return [
        f"--features={features}",
        f"--out={out}",
        "--losses=triplet,scl",
        "--seeds=2",
        "--epochs=1",
        "--batch-size=8",
        "--jobs=1",
    ]


def test_the_command_prints_ours_beside_theirs(
    grid: Grid, features: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _main(*_small(features, tmp_path / "out")) == 0
    shown = capsys.readouterr()
    assert "Recall@1 on CUB-200, beside the paper's" in shown.out
    assert "0.4641" in shown.out
    assert "C02 Triplet consistently keeps" not in shown.out  # contrastive was not run
    assert "Left out, because they cannot be had: cars196" in shown.out
    assert "is left out" in shown.err


def test_the_command_with_failed_runs(
    grid: Grid, features: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid.failing = ("scl",)
    assert _main("cub200", *_small(features, tmp_path / "out"), "--json") == 1
    shown = capsys.readouterr()
    assert json.loads(shown.out)["about"]["datasets"]["cub200"]["test_rows"] == 8
    assert "2 of 4 runs failed" in shown.err


def test_the_command_refuses(
    grid: Grid, features: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _main("digits") == 2
    assert "not one of the paper's datasets" in capsys.readouterr().err
    assert _main("--audit", "cub200") == 2
    assert "--audit reads no data" in capsys.readouterr().err
    assert _main("cars196", *_small(features, tmp_path / "out")) == 2
    assert _main("--audit", "--features=x") == 2


def test_the_audit_needs_nothing_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    assert _main("--audit") == 0
    out = capsys.readouterr().out
    assert out.startswith("The paper's tables and text against themselves: 21 of 31 checks find")
    assert "[inconsistent] A01" in out
    assert "[consistent] A05" in out
    assert "16 of 35 cells" in out
    assert list(tmp_path.iterdir()) == []


def test_the_audit_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert _main("--audit", "--json") == 0
    items = {item["code"]: item for item in json.loads(capsys.readouterr().out)["audit"]}
    assert items["A02"]["verdict"] == "inconsistent"
    assert len(items["A03"]["cells"]) == 19


@pytest.mark.parametrize("width", [40, 200])
def test_the_audit_fits_any_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert _main("--audit") == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width


def test_the_audit_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom metriscope.cli import main\n"
        "try:\n    main(['reproduce', '--audit', '--json'])\nfinally:\n"
        "    bad = {'torch', 'sklearn', 'matplotlib', 'plotly', 'pyarrow'} & set(sys.modules)\n"
        "    assert not bad, bad"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_one_real_run(features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_where_registered", lambda names: ((), True))  # in this process
    monkeypatch.setattr(session.views, "complete", lambda *args, **more: None)
    results = _run(features, tmp_path / "out", "cub200", losses=("scl",), seeds=1)
    (run,) = results.runs
    assert run.status == "done", run.error
    assert 0 <= (run.scores["recall@1"] or 0) <= 1
    assert replace(run.spec, seed=0) == run.spec
    assert (tmp_path / "out" / "runs" / run.key / "embeddings.parquet").exists()
