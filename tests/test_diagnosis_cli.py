"""``metriscope diagnose`` as a person types it: exit status, streams, messages."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import metriscope.diagnosis
from metriscope.cli import main
from metriscope.cli._gate import parse
from metriscope.cli.diagnose import _Rows
from metriscope.diagnosis import saving
from metriscope.types import Examined, InputError
from tests.examined import examined, findings


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three classes apart from each other, and one row among the wrong ones."""
    rng = np.random.default_rng(0)
    y = np.arange(240) % 3
    x = 3 * np.eye(3, 8)[y] + 0.5 * rng.standard_normal((240, 8))
    x[0] = 3 * np.eye(3, 8)[1]
    path = tmp_path / "f.npz"
    np.savez(path, features=x.astype(np.float32), labels=np.array(["cat", "dog", "owl"])[y])
    return path


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """``diagnose`` gives what is under ``examined``; it leaves its arguments under ``called``."""
    calls: dict[str, Any] = {"examined": examined()}

    def diagnose(*args: Any, **options: Any) -> Examined:
        calls["called"] = (args, options)
        if isinstance(calls["examined"], BaseException):
            raise calls["examined"]
        return calls["examined"]  # type: ignore[no-any-return]

    monkeypatch.setattr(metriscope.diagnosis, "diagnose", diagnose, raising=False)
    return calls


@pytest.fixture(autouse=True)
def _sigterm() -> Any:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, list[str]]:
    """Exit status, stdout, and the lines of stderr but for the first."""
    with pytest.raises(SystemExit) as end:
        main(["diagnose", *map(str, arguments)])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if not line.startswith("metriscope: reading")]
    return end.value.code, out, lines  # type: ignore[return-value]


def test_every_option_reaches_diagnose(
    stub: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    words = (
        "a.npz --labels l.csv --gallery g.npz --gallery-labels m.csv --train t.npz --split all "
        "--only geometry,findings --sample 100 --queries 50 --seed 3 --confidence 0.9 "
        "--resamples 200 --zero-vectors keep --device auto"
    )
    status, out, err = run(capsys, *words.split())
    assert (status, err) == (0, [])
    assert out.startswith("1 problem, 1 warning;")
    args, options = stub["called"]
    assert args == ("a.npz",)
    assert {k: v for k, v in options.items() if k not in ("notify", "progress", "command")} == {
        "labels": "l.csv",
        "gallery": "g.npz",
        "gallery_labels": "m.csv",
        "train": "t.npz",
        "split": "all",
        "only": ("geometry", "findings"),
        "sample": 100,
        "queries": 50,
        "seed": 3,
        "confidence": 0.9,
        "resamples": 200,
        "zero_vectors": "keep",
        "device": "auto",
    }
    assert options["command"].startswith("metriscope")


def test_nothing_is_written_without_out(
    stub: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    _, out, _ = run(capsys, "a.npz")
    assert "Report:" not in out
    assert list(tmp_path.iterdir()) == []


def test_out_is_written_and_the_report_can_be_made_again(
    stub: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "runs" / "d"
    _, first, _ = run(capsys, "a.npz", "--out", out)
    assert first.rstrip().endswith(f"Report: {out}/report.html")
    page = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    with pytest.raises(SystemExit) as end:
        main(["report", str(out)])
    assert end.value.code == 0
    assert capsys.readouterr().out == first
    assert (out / "report.html").read_bytes() == page
    with pytest.raises(SystemExit):
        main(["report", str(out), "--json"])
    shown = capsys.readouterr().out
    assert json.loads(shown) == json.loads((out / "diagnosis.json").read_text("utf-8"))
    _, again, _ = run(capsys, "a.npz", "--out", out, "--json")
    assert again == shown


def test_a_folder_of_something_else_is_refused_before_any_work(
    stub: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "results.json").write_text("{}")
    status, out, err = run(capsys, "a.npz", "--out", tmp_path)
    assert (status, out) == (2, "")
    assert "holds a comparison" in err[0]
    assert "called" not in stub


# ------------------------------------------------------------------------------------- --fail-on


@pytest.mark.parametrize(
    ("fail_on", "status", "message"),
    [
        ("problem", 1, "--fail-on problem: MS101 fired."),
        ("warning", 1, "--fail-on warning: MS101, MS403 fired."),
        ("ms101", 1, "--fail-on ms101: MS101 fired."),
        ("MS102, MS101", 1, "--fail-on MS102, MS101: MS101 fired."),
        ("problem,MS101", 1, "--fail-on problem,MS101: MS101 fired."),
        ("MS102", 0, ""),
    ],
)
def test_fail_on_is_exit_status_1_and_says_what_fired(
    stub: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    fail_on: str,
    status: int,
    message: str,
    tmp_path: Path,
) -> None:
    found = run(capsys, "a.npz", "--fail-on", fail_on, "--out", tmp_path / "o", "--json")
    assert found[0] == status
    assert found[2] == ([f"metriscope: {message}"] if message else [])
    assert json.loads(found[1])["kind"] == "diagnosis"
    assert (tmp_path / "o" / "report.html").exists()


def test_a_quiet_space_passes_every_gate(
    stub: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    stub["examined"] = replace(examined(), findings=findings()[2:])
    for fail_on in ("problem", "warning", "MS102"):
        assert run(capsys, "a.npz", "--fail-on", fail_on)[0] == 0
    stub["examined"] = replace(examined(), findings=findings()[1:])
    assert run(capsys, "a.npz", "--fail-on", "problem")[0] == 0


def test_a_named_check_that_could_not_look_has_not_passed() -> None:
    code = parse("MS102").codes[0]
    silent = replace(findings()[4], code=code)
    found = replace(examined(), findings=(silent,))
    assert parse("MS102").closed_by(found) == (
        "MS102 was asked for and does not apply here: there is no training part; give --train"
    )
    assert parse("problem").closed_by(found) == ""
    assert parse("warning").closed_by(found) == ""


@pytest.mark.parametrize(
    ("fail_on", "message"),
    [
        ("problems", "unknown severity or code 'problems'; did you mean problem?"),
        ("warnin,MS101", "did you mean warning?"),
        ("MS203", "is a check of training or of comparisons"),
        ("MS999", "unknown severity or code 'MS999'"),
        ("", "names nothing"),
        (" , ", "names nothing"),
    ],
)
def test_an_unknown_gate_is_refused_before_any_work(
    stub: dict[str, Any], capsys: pytest.CaptureFixture[str], fail_on: str, message: str
) -> None:
    status, out, err = run(capsys, "a.npz", f"--fail-on={fail_on}")
    assert (status, out, len(err)) == (2, "", 1)
    assert message in err[0]
    assert "called" not in stub


def test_a_gate_without_findings_is_refused(
    stub: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = run(capsys, "a.npz", "--only", "geometry", "--fail-on", "problem")
    assert status == 2
    assert "--only leaves out" in err[0]


# ----------------------------------------------------------------------------------- how it ends


def test_long_reading_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    clock = iter([0.0, 3.0, 11.0, 12.0, 22.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    rows = _Rows(said.append)
    for done in (1000, 2000, 3000, 4000):
        rows("reading a.parquet", done, 10_000)
    assert said == [
        "reading a.parquet: 2,000 of 10,000 rows",
        "reading a.parquet: 4,000 of 10,000 rows",
    ]


def test_interrupted_it_says_that_nothing_is_kept(
    stub: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    stub["examined"] = KeyboardInterrupt()
    status, out, err = run(capsys, "a.npz")
    assert (status, out) == (130, "")
    assert err == ["metriscope: interrupted. Nothing is kept of a diagnosis; run it again."]


def test_stopped_it_leaves_no_folder_that_was_not(
    stub: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "old").mkdir()
    for stop, status in ((KeyboardInterrupt(), 130), (InputError("no labels."), 2)):
        stub["examined"] = stop
        for name in ("new", "old"):
            assert run(capsys, "a.npz", "--out", tmp_path / name)[0] == status
        assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_bad_input_is_a_line(stub: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    stub["examined"] = InputError("f.npz: no labels.")
    assert run(capsys, "f.npz") == (2, "", ["metriscope: error: f.npz: no labels."])


def test_help_says_what_the_exit_status_means(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "--help")
    assert status == 0
    words = " ".join(out.split())
    assert "Exit status: 0 done; 1 done, and --fail-on fired; 2 bad input." in words
    assert "counts as fired" in words


# -------------------------------------------------------------------------------------- for real


def in_a_shell(script: str) -> subprocess.CompletedProcess[str]:
    script = script.replace("metriscope", f"'{sys.executable}' -m metriscope")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    return subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env=environment,
    )


def test_a_file_is_diagnosed_and_gated(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = in_a_shell(f"metriscope diagnose '{source}' --out '{tmp_path}/o'")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "passed" in done.stdout.splitlines()[0]
    assert "Recall@1" in done.stdout
    data = json.loads((tmp_path / "o" / "diagnosis.json").read_text("utf-8"))
    assert data["about"]["rows"] == 240
    assert {row["name"] for row in data["per_class"]} == {"cat", "dog", "owl"}
    assert {"MS101", "MS102"} <= {f["code"] for f in data["findings"]}
    assert data["about"]["command"].endswith(f"diagnose {source} --out {tmp_path}/o")

    status, out, _ = run(capsys, source, "--json", "--fail-on", "MS101")
    assert status == 0
    assert json.loads(out)["scores"] == data["scores"]
    assert run(capsys, source, "--fail-on", "MS404")[0] == 1  # there is no training part


def test_a_reader_that_goes_away_is_no_error_and_a_full_disk_is(tmp_path: Path) -> None:
    saving.save(examined(), tmp_path)
    done = in_a_shell(f"metriscope report '{tmp_path}' | true; echo ${{PIPESTATUS[0]}}")
    assert (done.stdout, done.stderr) == ("0\n", "")
    if Path("/dev/full").exists():
        done = in_a_shell(f"metriscope report '{tmp_path}' > /dev/full")
        assert done.returncode == 2
        assert "cannot write to standard output: No space left on device" in done.stderr
        assert len(done.stderr.splitlines()) == 1
