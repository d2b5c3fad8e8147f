"""Lightning with the callback, against the plain loop."""

from __future__ import annotations

import csv
import importlib
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from metriscope import losses
from metriscope.integrations._names import original
from metriscope.integrations.lightning import MonitorCallback
from metriscope.types import InputError
from tests.monitored import (
    BATCH,
    OPTIONS,
    Embedder,
    Rows,
    batches,
    plain,
    same_rows,
    texts,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings(
        "ignore:.*number of training batches .* is smaller than the logging"
    ),
    pytest.mark.filterwarnings("ignore:.*is not supported on the CPU:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*`isinstance.treespec, LeafSpec.` is deprecated"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty:UserWarning"),
]


def module(base: type = lightning.LightningModule, loss: str = "arcface") -> Any:
    """An Embedder that is a module of Lightning."""

    class Lit(Embedder, base):  # type: ignore[valid-type, misc]
        fail_at = -1

        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            if self.global_step == self.fail_at:
                raise RuntimeError("out of luck")
            return self.criterion(self(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=1e-2)

    return Lit(loss)


def loader() -> DataLoader[Any]:
    return DataLoader(TensorDataset(*texts()), batch_size=BATCH)


def trainer(folder: Path, package: Any = lightning.pytorch, **options: Any) -> Any:
    chosen = {
        "max_epochs": 2,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
        "default_root_dir": folder,
    }
    return package.Trainer(**{**chosen, **options})


def watched(folder: Path, options: dict[str, Any], loss: str = "arcface") -> MonitorCallback:
    callback = MonitorCallback(writers=[Rows()], **OPTIONS)
    trainer(folder, callbacks=[callback], **options).fit(module(loss=loss), loader())
    return callback


def logged(folder: Path) -> list[tuple[int, dict[str, float]]]:
    """Rows of a CSV logger, under their own names."""
    (file,) = folder.rglob("metrics.csv")
    with file.open() as lines:
        read = list(csv.DictReader(lines))
    prefix = "metriscope/"
    return [
        (
            int(row["step"]),
            {
                original(name.removeprefix(prefix)): float(value)
                for name, value in row.items()
                if name.startswith(prefix) and value
            },
        )
        for row in read
    ]


@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_lightning_is_the_plain_loop(tmp_path: Path, package: str) -> None:
    library = importlib.import_module(package)
    _, wanted = plain(Embedder(), batches())
    callback = MonitorCallback(writers=[Rows()], **OPTIONS)
    logger = importlib.import_module(f"{package}.loggers").CSVLogger(tmp_path)
    trainer(tmp_path, library, callbacks=[callback], logger=logger).fit(
        module(library.LightningModule), loader()
    )
    assert callback.monitor is not None
    same_rows(callback.options["writers"][0].rows, wanted)
    same_rows(logged(tmp_path), wanted)
    assert {"loss", "active.terms", "grad_norm.model", "grad_norm.loss", "lr"} <= set(wanted[-1][1])
    assert callback.monitor.steps == 8


def test_accumulated_and_clipped(tmp_path: Path) -> None:
    _, wanted = plain(Embedder("triplet"), batches(4), accumulate=2, clip=0.05)
    options = {"max_epochs": 4, "accumulate_grad_batches": 2, "gradient_clip_val": 0.05}
    found = watched(tmp_path, options, "triplet")
    same_rows(found.options["writers"][0].rows, wanted)
    assert found.monitor is not None
    assert found.monitor.steps == 8


def test_mixed_precision_with_a_scaler(tmp_path: Path) -> None:
    """Gradient norms are those of the loss, not of the loss times 2¹⁰."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    _, wanted = plain(
        Embedder(),
        batches(),
        context=lambda: torch.autocast("cpu", torch.float16),
        scaler=torch.amp.GradScaler("cpu", init_scale=2.0**10),
    )
    plugin = lightning.pytorch.plugins.MixedPrecision("16-mixed", "cpu", scaler)
    found = watched(tmp_path, {"plugins": [plugin]})
    same_rows(found.options["writers"][0].rows, wanted, rel=1e-3)
    _, full = plain(Embedder(), batches())
    first, unscaled = wanted[0][1], full[0][1]
    assert first["grad_norm.model"] == pytest.approx(unscaled["grad_norm.model"], rel=0.1)


def test_a_resumed_run_is_an_uninterrupted_one(tmp_path: Path) -> None:
    wanted, _ = plain(Embedder(), batches(3))
    lit = module()
    first = trainer(tmp_path, callbacks=[MonitorCallback(**OPTIONS)], max_epochs=1)
    first.fit(lit, loader())
    first.save_checkpoint(tmp_path / "one.ckpt")
    callback = MonitorCallback(**OPTIONS)
    trainer(tmp_path, callbacks=[callback], max_epochs=3).fit(
        module(), loader(), ckpt_path=tmp_path / "one.ckpt"
    )
    assert callback.monitor is not None
    found = callback.monitor.trace
    assert found["step"] == wanted.trace["step"]
    for name in ("loss", "active.terms", "grad_norm.model", "grad_norm.loss"):
        assert found[name] == pytest.approx(wanted.trace[name], rel=1e-5)


def test_an_exception_leaves_no_hook(tmp_path: Path) -> None:
    lit = module()
    lit.fail_at = 5
    callback = MonitorCallback(writers=[Rows()], **OPTIONS)
    with pytest.raises(RuntimeError, match="out of luck"):
        trainer(tmp_path, callbacks=[callback]).fit(lit, loader())
    assert callback.monitor is not None
    assert callback.options["writers"][0].closed == 1
    assert callback.monitor.trace["step"][:2] == [2, 4]
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in lit.modules())
    trainer(tmp_path, callbacks=[callback], max_epochs=1).fit(module(), loader())  # again


def test_a_name_that_is_not_there(tmp_path: Path) -> None:
    callback = MonitorCallback("loss_fn")
    with pytest.raises(
        InputError, match=r"no attribute .loss_fn. .* \(it has backbone, head, criterion\)"
    ):
        trainer(tmp_path, callbacks=[callback]).fit(module(), loader())


def test_a_plain_function(tmp_path: Path) -> None:
    """Called through the monitor, in place of the function."""
    callback = MonitorCallback(torch.nn.functional.cross_entropy, **OPTIONS)

    class Called(type(module())):  # type: ignore[misc]
        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            assert callback.monitor is not None
            return callback.monitor(self(batch[0]), batch[1])

    trainer(tmp_path, callbacks=[callback], max_epochs=1).fit(Called(), loader())
    assert callback.monitor is not None
    assert callback.monitor.trace["step"] == [2, 4]
    assert callback.monitor.trace["active.terms"] == [None, None]
    assert all(share > 0 for share in callback.monitor.trace["active.effective"])


def test_two_callbacks_are_resumed_apart(tmp_path: Path) -> None:
    """Each with its own state and its own rows; the file of one is not the other's."""

    class Two(type(module())):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__("arcface")
            self.second = losses.create("triplet", margin=0.5)

        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            z = self(batch[0])
            return self.criterion(z, batch[1]) + self.second(z, batch[1])

    def run(epochs: int, path: Path | None) -> tuple[Any, list[MonitorCallback]]:
        both = [MonitorCallback(**OPTIONS), MonitorCallback("second", name="second", **OPTIONS)]
        torch.manual_seed(0)
        ran = trainer(tmp_path, callbacks=both, max_epochs=epochs)
        ran.fit(Two(), loader(), ckpt_path=path)
        return ran, both

    _, wanted = run(3, None)
    first, _ = run(1, None)
    first.save_checkpoint(tmp_path / "one.ckpt")
    _, found = run(3, tmp_path / "one.ckpt")
    for mine, theirs, name in zip(found, wanted, ("arcface", "triplet"), strict=True):
        assert mine.monitor is not None
        assert theirs.monitor is not None
        assert mine.monitor.about["loss"] == name
        assert mine.monitor.trace["step"] == [2, 4, 6, 8, 10, 12]
        assert mine.monitor.trace["loss"] == pytest.approx(theirs.monitor.trace["loss"], rel=1e-5)
    assert [each.prefix for each in found] == ["metriscope/", "metriscope/second/"]


def test_two_callbacks_of_one_name(tmp_path: Path) -> None:
    both = [MonitorCallback(), MonitorCallback("head")]
    with pytest.raises(InputError, match=r"both log as 'metriscope/': give .* name='second'"):
        trainer(tmp_path, callbacks=both).fit(module(), loader())
    with pytest.raises(InputError, match="name is 'a/b'; it must be letters"):
        MonitorCallback(name="a/b")


def test_the_state_of_another_loss(tmp_path: Path) -> None:
    first = trainer(tmp_path, callbacks=[MonitorCallback(**OPTIONS)], max_epochs=1)
    first.fit(module(), loader())
    first.save_checkpoint(tmp_path / "one.ckpt")
    saved = torch.load(tmp_path / "one.ckpt", weights_only=True)
    callback = MonitorCallback(losses.create("triplet"), **OPTIONS)
    callback.load_state_dict(saved["callbacks"]["MonitorCallback"])
    with pytest.raises(InputError, match="state of a monitor of arcface, and this one is of trip"):
        trainer(tmp_path, callbacks=[callback]).fit(module(), loader())
