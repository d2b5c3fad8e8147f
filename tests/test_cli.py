"""The command line as a person types it: exit status, streams, messages of one or two lines."""

from __future__ import annotations

import errno
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metriscope.cli import main
from metriscope.losses import LOSSES
from metriscope.store import load_results
from tests.helpers import tiny_dataset

QUICK = ("--epochs", "2", "--seeds", "2", "--losses", "triplet,scl", "--set", "head.hidden=16")


def features(parent: Path) -> Path:
    """A folder with train.npz and test.npz."""
    folder = parent / "features"
    folder.mkdir()
    data = tiny_dataset()
    for part in (data.train, data.test):
        labels = np.array([part.class_names[c] for c in part.y])
        np.savez(folder / f"{part.split}.npz", features=part.x, labels=labels)
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Of its own for each test."""
    return features(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A comparison that nobody changes, and what it printed."""
    parent = tmp_path_factory.mktemp("finished")
    done = metriscope("compare", features(parent), *QUICK, "--out", parent / "o")
    assert done.returncode == 0, done.stderr
    return parent / "o", done.stdout


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[object, ...], Path]:
    """The words of a comparison of some length, and its results."""
    parent = tmp_path_factory.mktemp("uninterrupted")
    words = ("compare", features(parent), *QUICK, "--seeds", "4", "--epochs", "30")
    done = metriscope(*words, "--out", parent / "whole")
    assert done.returncode == 0, done.stderr
    return words, parent / "whole"


def metriscope(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the program in a process of its own, its output through pipes."""
    return subprocess.run(
        [sys.executable, "-m", "metriscope", *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        **options,
    )


def error_of(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The message of a command that is refused: exit status 2, one or two lines on stderr."""
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if not line.startswith("metriscope: reading")]
    assert end.value.code == 2
    assert out == ""
    assert 1 <= len(lines) <= 2, err
    assert "Traceback" not in err
    return "\n".join(lines)


def test_compare_writes_what_the_contract_says(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = metriscope("compare", source, *QUICK, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "triplet" in done.stdout
    assert "Recall@1" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert "[4/4]" in done.stderr
    results = json.loads((out / "results.json").read_text())
    assert results["format"] == 1
    assert [(r["loss"], r["seed"], r["status"]) for r in results["runs"]] == [
        ("triplet", 0, "done"),
        ("triplet", 1, "done"),
        ("scl", 0, "done"),
        ("scl", 1, "done"),
    ]
    assert {p.name for p in (out / "runs").iterdir()} == {r["key"] for r in results["runs"]}
    assert (out / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert not (out / ".scratch").exists()


CONTRACT_SCORES = {
    "intra.eq1", "inter.eq1", "intra.pair_cos.mean", "intra.pair_cos.sd", "inter.euclid.mean",
    "inter.euclid.sd", "inter.cos.mean", "inter.cos.sd", "recall@1", "recall@5", "recall@10",
    "r_precision", "map@r", "queries.excluded", "active.terms", "active.samples",
    "active.effective", "active.literal", "grad_norm.head", "grad_norm.head.sd", "grad_norm.loss",
    "epochs_to.50", "epochs_to.60", "epochs_to.90", "knn_accuracy@5", "probe_accuracy",
    "val.recall@1", "val.recall@5", "val.recall@10", "val.r_precision", "val.map@r",
    "val.intra.pair_cos.mean", "val.inter.euclid.mean", "val.density.pi_ratio",
}  # fmt: skip


def test_json_has_every_score_of_the_contract(source: Path, tmp_path: Path) -> None:
    arguments = (*QUICK, "--losses", "ccl", "--seeds", "1", "--jobs", "1")
    done = metriscope("compare", source, *arguments, "--out", tmp_path / "o", "--json")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert set(data["runs"][0]["scores"]) >= CONTRACT_SCORES
    assert set(data) == {"format", "about", "runs", "findings", "recommendation", "others"}
    assert data["recommendation"]["goal"] == "top1"
    assert data["about"]["validation_rows"] == 12
    assert data == json.loads((tmp_path / "o" / "results.json").read_text())


def numbers(folder: Path) -> list[object]:
    """Everything in results.json but the clock."""
    return [
        (r.spec, r.status, r.scores, {k: v for k, v in r.trace.items() if k != "seconds"})
        for r in load_results(folder).runs
    ]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_killed_and_started_again_it_ends_as_if_nothing_happened(
    uninterrupted: tuple[tuple[object, ...], Path], tmp_path: Path, how: signal.Signals
) -> None:
    (arguments, whole), cut = uninterrupted, tmp_path / "cut"
    command = [sys.executable, "-m", "metriscope", *map(str, arguments), "--out", str(cut)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(cut.glob("runs/*/result.json")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    assert process.returncode == (-how if how == signal.SIGKILL else 130), err
    if how != signal.SIGKILL:
        assert "the same command goes on from there" in err
        assert "Traceback" not in err
    kept = {p: p.stat().st_mtime_ns for p in cut.glob("runs/*/result.json")}
    assert 1 <= len(kept) < 8
    load_results(cut)  # whole at any moment

    time.sleep(0.5 if how == signal.SIGKILL else 0)  # orphans end with their epoch
    again = metriscope(*arguments, "--out", cut)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("done before") >= len(kept)
    assert all(p.stat().st_mtime_ns == t for p, t in kept.items())
    assert numbers(cut) == numbers(whole)
    names = sorted(p.relative_to(whole) for p in whole.rglob("*"))
    assert sorted(p.relative_to(cut) for p in cut.rglob("*")) == names


def test_one_failed_run_is_exit_status_1_and_the_others_are_there(
    source: Path, tmp_path: Path
) -> None:
    code = tmp_path / "bad_loss.py"
    code.write_text(
        "from metriscope.losses import register\n"
        "from metriscope.losses.triplet import Triplet\n"
        '@register("bad")\n'
        "class Bad(Triplet):\n"
        '    """Always fails."""\n'
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "    def compute(self, z, labels):\n"
        "        raise RuntimeError('no luck')\n"
    )
    arguments = (*QUICK, "--losses", "bad,scl", "--import", code, "--out", tmp_path / "o")
    done = metriscope("compare", source, *arguments)
    assert done.returncode == 1, done.stderr
    assert "RuntimeError: no luck" in done.stderr
    assert "2 of 4 runs failed" in done.stderr
    assert "scl" in done.stdout
    runs = load_results(tmp_path / "o").runs
    assert [r.status for r in runs] == ["failed", "failed", "done", "done"]
    assert [r.error for r in runs[:2]] == ["RuntimeError: no luck"] * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--losses", "tripelt"], "unknown loss 'tripelt'; did you mean triplet?"),
        (["--set", "triplet.margn=1"], "did you mean margin?"),
        (["--set", "triplet.margin=wide"], "it must be like 1.0"),
        (["--set", "triplet.margin=-1"], "margin is -1.0"),
        (["--set", "triplet.margin={[]:1}"], "it must be like 1.0"),
        (["--set", f"triplet.margin={'(' * 3000}"], "it must be like 1.0"),
        (["--set", "triplet.margin"], "has no '='"),
        (["--set", "arcface.scale=3", "--losses", "scl"], "add it to --losses"),
        (["--set", "hed.dim=3"], "did you mean head?"),
        (["--set", "head.dropout=1.5"], "it must be in [0, 1)"),
        (["--set", "optimizer.lr=0"], "it must be above 0"),
        (["--set", "sampler=unifrom"], "did you mean uniform?"),
        (["--preset", "papr"], "did you mean paper?"),
        (["--seeds", "many"], "--seeds is 'many'"),
        (["--seeds", "0"], "seeds must be at least 1"),
        (["--seeds=-1,2"], "seed is -1"),
        (["--device", "tpu"], "unknown device"),
        (["--losses", ","], "no losses"),
        (["--import", "nowhere.py"], "cannot import nowhere.py"),
        (["--epochs", "0"], "--epochs"),
        (["--goal", "best"], "'best' is not one of 'top1'"),
        (["--validation", "0.7"], "--validation"),
        (["--validation", "nan"], "share of the training part"),
        (["--tune", "-1"], "--tune"),
        (["--tune", "1"], "tune is 1"),
        (["--tune", "5", "--validation", "0"], "leave one of the two out"),
        (["--sweep", "triplet.margin"], "has no '='"),
        (["--sweep", "triplet.margin="], "triplet.margin"),
        (["--sweep", "triplet.margn=1,2"], "did you mean margin?"),
        (["--sweep", "triplet.margin=1,wide"], "it must be like 1.0"),
        (["--sweep", "scl.temperature=1", "--losses", "triplet"], "add it to --losses"),
    ],
)
def test_bad_settings_are_refused_before_any_training(
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    out = tmp_path / "o"
    err = error_of(capsys, "compare", source, "--out", out, *arguments)
    assert message in err.replace("\n", " ")
    assert not out.exists()


def test_bad_data_is_refused_before_any_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = np.ones((9, 3))
    x[4, 1] = np.nan
    np.savez(tmp_path / "f.npz", features=x, labels=np.arange(9) % 3)
    err = error_of(capsys, "compare", tmp_path / "f.npz", "--out", tmp_path / "o")
    assert "row 4" in err
    assert not (tmp_path / "o").exists()


def test_an_unwritable_place_is_refused(
    source: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, **options: object) -> None:  # root may write anywhere else
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    err = error_of(capsys, "compare", source, "--out", "somewhere/o")
    assert "cannot write to somewhere/o: Permission denied" in err


def test_a_place_that_cannot_be_is_refused(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    err = error_of(capsys, "compare", source, "--out", tmp_path / "file" / "o")
    assert "cannot write to" in err
    assert "Not a directory" in err


def test_too_little_room_is_refused(
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("metriscope.store.Store.room", lambda self: 1000)
    err = error_of(capsys, "compare", source, *QUICK, "--out", tmp_path / "o")
    assert "MB are needed" in err


def test_results_of_something_else_are_left_alone(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "photo.jpg").write_text("x")
    err = error_of(capsys, "compare", source, *QUICK, "--out", tmp_path / "o")
    assert "holds other files" in err
    assert [p.name for p in (tmp_path / "o").iterdir()] == ["photo.jpg"]


def test_a_margin_that_cannot_be_met_is_a_warning(source: Path, tmp_path: Path) -> None:
    arguments = (*QUICK, "--losses", "triplet", "--seeds", "1", "--set", "triplet.margin=2")
    done = metriscope("compare", source, *arguments, "--out", tmp_path / "o")
    assert done.returncode == 0
    assert "margin 2 cannot be met" in done.stderr


def test_report_makes_the_page_again_and_says_where_there_is_none(
    finished: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(finished[0], tmp_path / "o")
    page = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    again = metriscope("report", out)
    assert again.returncode == 0, again.stderr
    assert again.stdout == finished[1].replace(str(finished[0]), str(out))
    assert (out / "report.html").read_bytes() == page
    assert "no results.json" in error_of(capsys, "report", tmp_path)


@pytest.mark.parametrize("words", ["report {out} --json", "report {out}", "list losses"])
def test_a_reader_that_goes_away_is_no_error(
    finished: tuple[Path, str], tmp_path: Path, words: str
) -> None:
    out = shutil.copytree(finished[0], tmp_path / "o")
    command = f"'{sys.executable}' -m metriscope {words.format(out=out)} | true; "
    command += 'echo "${PIPESTATUS[0]}"'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("0\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_a_full_stdout_is_said_in_words() -> None:
    command = f"'{sys.executable}' -m metriscope list losses > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "cannot write to standard output: No space left on device" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["--debug", "report", str(tmp_path)])
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ('@register("triplet")\nclass Mine(Triplet):\n    """Mine."""\n', "defined twice"),
        (
            '@register("needy")\nclass Mine(Triplet):\n    """Mine."""\n'
            "    def __init__(self, *, weight):\n        super().__init__()\n",
            "the loss 'needy' cannot be made: TypeError",
        ),
        ("raise SystemExit(3)\n", "cannot import"),
        ("1 / 0\n", "cannot import"),
    ],
)
def test_losses_of_ones_own_that_cannot_be_used(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str, message: str
) -> None:
    file = tmp_path / "random.py"  # called like a module of Python
    head = "from metriscope.losses import register\nfrom metriscope.losses.triplet import Triplet\n"
    file.write_text(head + code)
    arguments = ("--import", file, "--losses", "needy" if "needy" in code else "triplet")
    try:
        err = error_of(capsys, "compare", source, "--out", tmp_path / "o", *arguments)
    finally:
        LOSSES._objects.pop("needy", None)
    assert message in err
    assert not (tmp_path / "o").exists()


def test_a_head_that_has_diverged_is_a_failed_run(source: Path, tmp_path: Path) -> None:
    arguments = ("--losses", "triplet", "--seeds", "1", "--epochs", "1", "--batch-size", "512")
    done = metriscope(
        "compare", source, *arguments, "--set", "optimizer.lr=1e30", "--out", tmp_path / "o"
    )
    assert done.returncode == 1, done.stderr
    assert "its weights have diverged" in done.stderr


def test_a_damaged_file_is_one_readable_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "f.npz").write_bytes(b"PK\x03\x04 and no more")
    err = error_of(capsys, "compare", tmp_path / "f.npz")
    assert "truncated or damaged" in err
    assert "\\x" not in err
