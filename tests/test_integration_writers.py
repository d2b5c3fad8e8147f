"""Writers, each with the real library, and read back from what it left on disk."""

from __future__ import annotations

import builtins
import importlib
import json
import struct
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
import wandb
from hypothesis import given, settings
from hypothesis import strategies as st

from metriscope.integrations._names import original, portable
from metriscope.integrations.mlflow import MlflowWriter
from metriscope.integrations.tensorboard import TensorBoardWriter
from metriscope.integrations.wandb import WandbWriter
from metriscope.monitor.writers import Writer
from metriscope.types import InputError

# step → scores, with a column that is undefined at first, and names that trackers refuse
ROWS: dict[int, dict[str, float]] = {
    10: {"loss": 0.5, "active.terms": 0.25, "recall@1": 0.75},
    20: {"loss": 0.125, "active.terms": 0.0, "recall@1": 1.0, "grad_norm.my head": 3.0},
}
NAMES = ("loss", "active.terms", "recall_at_1", "grad_norm.my_x20_head")


def fill(writer: Writer) -> None:
    for step, scores in ROWS.items():
        writer.log(step, scores)
    writer.close()


def series(name: str) -> list[tuple[int, float]]:
    return [(step, row[original(name)]) for step, row in ROWS.items() if original(name) in row]


def test_names_turn_back() -> None:
    assert tuple(portable(name) for name in ROWS[20]) == NAMES
    assert [original(name) for name in NAMES] == list(ROWS[20])


@settings(deadline=None)
@given(st.text(st.characters(blacklist_characters="_"), max_size=12))
def test_any_name_turns_back(name: str) -> None:
    assert original(portable(name)) == name


def test_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fill(TensorBoardWriter(tmp_path / "events"))
    read = EventAccumulator(str(tmp_path / "events"))
    read.Reload()
    assert set(read.Tags()["scalars"]) == {f"metriscope/{name}" for name in NAMES}
    for name in NAMES:
        events = read.Scalars(f"metriscope/{name}")
        assert [(event.step, event.value) for event in events] == series(name)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to be in, with MLflow's store in a database."""
    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    yield tmp_path
    mlflow.end_run()
    mlflow.set_tracking_uri(before)


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
def test_mlflow(store: Path) -> None:
    with mlflow.start_run() as run:
        fill(MlflowWriter())
    given_run = mlflow.MlflowClient().create_run(run.info.experiment_id)
    fill(MlflowWriter(given_run.info.run_id, prefix=""))
    for prefix, run_id in (("metriscope/", run.info.run_id), ("", given_run.info.run_id)):
        for name in NAMES:
            history = mlflow.MlflowClient().get_metric_history(run_id, prefix + name)
            assert [(metric.step, metric.value) for metric in history] == series(name)
    assert not (store / "mlruns").exists()


def test_mlflow_without_a_run_is_refused_and_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"no MLflow run is active .* give run_id="):
        MlflowWriter()
    assert not list(tmp_path.iterdir())


def wandb_history(folder: Path) -> list[dict[str, float]]:
    """The rows of an offline run's file: a log of blocks of 32 KiB, protocol buffers inside."""
    from wandb.proto.wandb_internal_pb2 import Record

    wandb.teardown()  # its own process writes the file, and may do so after finish()
    (file,) = folder.rglob("*.wandb")
    data, at, held, rows = file.read_bytes(), 7, b"", []
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # no room for a header: padding
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        held += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record, held = Record.FromString(held), b""
            if record.HasField("history"):
                rows.append(
                    {item.key or item.nested_key[0]: json.loads(item.value_json)
                     for item in record.history.item}
                )  # fmt: skip
    return rows


def check_wandb(folder: Path) -> None:
    rows = [row for row in wandb_history(folder) if "metriscope/step" in row]
    assert [row["metriscope/step"] for row in rows] == list(ROWS)
    for name in NAMES:
        key = f"metriscope/{name}"
        assert [(row["metriscope/step"], row[key]) for row in rows if key in row] == series(name)


OFFLINE: dict[str, Any] = {"project": "test", "mode": "offline"}


def test_wandb_makes_and_finishes_a_run(tmp_path: Path) -> None:
    fill(WandbWriter(dir=tmp_path, **OFFLINE))
    assert wandb.run is None
    check_wandb(tmp_path)


def test_wandb_beside_another_logger(tmp_path: Path) -> None:
    """W&B throws away rows whose step is lower than the last: ours have an axis of their own."""
    run = wandb.init(dir=tmp_path, **OFFLINE)
    for step in range(50):
        run.log({"mine": step})
    with pytest.raises(InputError, match="there already, so project would be ignored"):
        WandbWriter(project="other")
    fill(WandbWriter())
    assert wandb.run is run
    run.finish()
    check_wandb(tmp_path)


EXTRAS = (
    "tensorboard",
    "mlflow",
    "wandb",
    "torchmetrics",
    "lightning",
    "transformers",
    "sentence_transformers",
)


@pytest.mark.parametrize("name", EXTRAS)
def test_a_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    real = builtins.__import__

    def without(what: str, *args: Any, **kwargs: Any) -> Any:
        if what.split(".")[0] in (name, f"pytorch_{name}") or what == f"torch.utils.{name}":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(what, *args, **kwargs)

    monkeypatch.delitem(sys.modules, f"metriscope.integrations.{name}", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError) as caught:
        importlib.import_module(f"metriscope.integrations.{name}")
    extra = name.replace("_", "-")
    assert str(caught.value).endswith(f"pip install 'metriscope[{extra}]'.")
    assert "\n" not in str(caught.value)
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    extras = tomllib.loads(text)["project"]["optional-dependencies"]
    assert extra in extras
