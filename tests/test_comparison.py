"""``metriscope.compare`` from Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

import metriscope
from metriscope import losses
from metriscope.grid import Silent
from metriscope.plan import PRESETS, coerce
from metriscope.types import InputError
from tests.helpers import tiny_dataset

QUICK = {"epochs": 1, "settings": {"head.hidden": 8}}


def test_compare_takes_a_dataset_and_gives_results(tmp_path: Path) -> None:
    sentences: list[str] = []
    results = metriscope.compare(
        tiny_dataset(),
        losses=["scl", "triplet"],
        seeds=[4],
        out=tmp_path / "o",
        notify=sentences.append,
        epochs=1,
        settings={"head.hidden": (8, 4), "head.dim": 3, "optimizer.lr": 1, "triplet.margin": 9},
    )
    assert [(r.spec.loss, r.spec.seed, r.status) for r in results.runs] == [
        ("scl", 4, "done"),
        ("triplet", 4, "done"),
    ]
    spec = results.runs[1].spec
    assert (spec.head.hidden, spec.head.dim, spec.optimizer.lr) == ((8, 4), 3, 1.0)
    assert spec.params["margin"] == 9.0
    assert any("margin 9 cannot be met" in s for s in sentences)
    assert (results.about["train_rows"], results.about["validation_rows"]) == (52, 12)
    assert 0 < results.about["baseline"]["recall@1"] <= 1
    assert metriscope.load_results(tmp_path / "o").runs == results.runs


def test_there_are_never_more_jobs_than_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metriscope.grid.cores", lambda: 1)
    said: list[str] = []
    results = metriscope.compare(
        tiny_dataset(),
        losses=["scl"],
        seeds=2,
        jobs=9,
        out=tmp_path / "o",
        notify=said.append,
        **QUICK,
    )
    assert (results.about["jobs"], results.about["threads"]) == (1, 1)
    assert any("--jobs 9 is more than the cores" in sentence for sentence in said)


def test_the_trained_head_can_be_used_again(tmp_path: Path) -> None:
    data = tiny_dataset()
    run = metriscope.compare(data, losses=["ccl"], seeds=1, out=tmp_path / "o", **QUICK).runs[0]
    folder = tmp_path / "o" / "runs" / run.key
    vectors = metriscope.load_head(folder).embed(torch.from_numpy(data.test.x))
    saved = pq.read_table(folder / "embeddings.parquet")["embedding"].to_pylist()
    torch.testing.assert_close(vectors, torch.tensor(saved))
    with pytest.raises(InputError, match="no trained head"):
        metriscope.load_head(tmp_path)


def test_presets_and_what_overrides_them(tmp_path: Path) -> None:
    def spec(**options: object) -> metriscope.RunSpec:
        chosen = {"losses": ["triplet"], "seeds": 1, "out": tmp_path / "o", "epochs": 1}
        return metriscope.compare(tiny_dataset(), **{**chosen, **options}).runs[0].spec

    assert spec().params["margin"] == 1.0
    assert spec(preset="paper-m2").params["margin"] == 2.0
    assert spec(preset="paper-m2", settings={"triplet.margin": 0.5}).params["margin"] == 0.5
    assert spec(preset="predecessor").batch_size == 64
    assert spec(preset="predecessor", batch_size=32).batch_size == 32
    assert set(PRESETS) == {"paper", "paper-m2", "predecessor"}


def test_a_loss_registered_in_a_module_reaches_the_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_losses.py").write_text(
        "from metriscope.losses import register\n"
        "from metriscope.losses.triplet import Triplet\n"
        '@register("mine_in_module")\n'
        "class Mine(Triplet):\n"
        '    """Mine."""\n'
        "    def __init__(self, *, margin=0.3):\n"
        "        super().__init__(margin=margin)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    import my_losses  # noqa: F401

    try:
        run = metriscope.compare(
            tiny_dataset(), losses=["mine_in_module"], seeds=1, out=tmp_path / "o", **QUICK
        ).runs[0]
        assert run.status == "done", run.error
        assert run.spec.params == {"margin": 0.3}
    finally:
        losses.LOSSES._objects.pop("mine_in_module")


def test_a_loss_written_in_a_script_works_without_a_main_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import metriscope\n"
        "from metriscope.losses import register\n"
        "from metriscope.losses.triplet import Triplet\n"
        "from tests.helpers import tiny_dataset\n"
        '@register("here")\n'
        "class Here(Triplet):\n"
        '    """Here."""\n'
        "    def __init__(self, *, margin=0.3):\n"
        "        super().__init__(margin=margin)\n"
        "results = metriscope.compare(tiny_dataset(), losses=['here', 'scl'], seeds=1, epochs=1,\n"
        f"    out={str(tmp_path / 'o')!r})\n"
        "print([run.status for run in results.runs])\n"
    )
    root = str(Path(__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": root, "PATH": ""},
    )
    assert done.stdout.strip() == "['done', 'done']", done.stderr


@pytest.mark.parametrize(
    ("value", "default", "expected"),
    [
        ("2", 1.0, 2.0),
        (2, 1.0, 2.0),
        ("1e-3", 1.0, 1e-3),
        ("true", False, True),
        ("False", True, False),
        ("512,256", (512,), (512, 256)),
        ("64", (512,), (64,)),
        ([64], (512,), (64,)),
        ("()", (512,), ()),
        ("batch_all", "batch_hard", "batch_all"),
        ("7", 3, 7),
    ],
)
def test_text_becomes_the_type_of_the_default(
    value: object, default: object, expected: object
) -> None:
    found = coerce("x.y", value, default)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "default"),
    [("abc", 1.0), ("1.5", 3), (True, 1.0), ("1", True), (3, "text"), ("1,x", (2,)), ("f()", 1.0)],
)
def test_other_values_are_refused(value: object, default: object) -> None:
    with pytest.raises(InputError, match=r"x\.y is .* it must be like"):
        coerce("x.y", value, default)


class Stop(Silent):
    """Interrupts at a given event."""

    def __init__(self, after: int) -> None:
        self.after = after

    def finished(self, result: metriscope.RunResult, *, cached: bool) -> None:
        self.after -= 1
        if not self.after:
            raise KeyboardInterrupt


def test_interrupted_twice_results_still_hold_what_is_finished(tmp_path: Path) -> None:
    def attempt(after: int) -> int:
        with pytest.raises(KeyboardInterrupt):
            metriscope.compare(
                tiny_dataset(), losses=["scl"], seeds=4, out=tmp_path, observer=Stop(after), **QUICK
            )
        return len(metriscope.load_results(tmp_path).runs)

    assert attempt(2) >= 2
    before = len(list(tmp_path.glob("runs/*/result.json")))
    assert attempt(1) == before  # stopped while the finished ones were being told


def test_runs_with_other_settings_are_kept_and_mentioned(tmp_path: Path) -> None:
    said: list[str] = []
    chosen = {"losses": ["scl"], "seeds": 1, "out": tmp_path, "settings": {"head.hidden": 8}}
    first = metriscope.compare(tiny_dataset(), epochs=1, **chosen).runs[0]
    metriscope.compare(tiny_dataset(), epochs=2, notify=said.append, **chosen)
    assert any("1 runs with other settings stay" in s for s in said)
    assert (tmp_path / "runs" / first.key / "result.json").exists()
    assert len(metriscope.load_results(tmp_path).runs) == 1


def test_time_adds_up_over_sessions_and_not_over_looks(tmp_path: Path) -> None:
    def seconds(seeds: int) -> float:
        results = metriscope.compare(
            tiny_dataset(), losses=["scl"], seeds=seeds, out=tmp_path, **QUICK
        )
        return float(results.about["seconds"])

    first = seconds(1)
    assert seconds(1) == first
    assert seconds(2) > first
