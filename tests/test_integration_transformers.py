"""The Hugging Face Trainer with the callback, against the plain loop."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from torch.utils.data import DataLoader

from metriscope import losses
from metriscope.integrations._names import original
from metriscope.integrations.transformers import STATE, MonitorCallback
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


class WithLoss(Embedder):
    """A model whose forward gives the loss, as those of transformers do."""

    def forward(self, input_ids: Tensor, labels: Tensor | None = None) -> Any:
        z = super().forward(input_ids)
        return z if labels is None else {"loss": self.criterion(z, labels), "embeddings": z}


class InOrder(transformers.Trainer):
    """The rows in the order of the plain loop; breaks off after ``stop_after`` steps."""

    stop_after = -1

    def get_train_dataloader(self) -> DataLoader[Any]:
        given = [{"input_ids": x, "labels": int(y)} for x, y in zip(*texts(), strict=True)]
        loader: DataLoader[Any] = DataLoader(given, BATCH, collate_fn=self.data_collator)
        return loader

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        if self.state.global_step == self.stop_after:
            raise RuntimeError("out of luck")
        return super().training_step(*args, **kwargs)


def trainer(
    folder: Path, callback: MonitorCallback, model: Embedder, kind: type = InOrder, **options: Any
) -> Any:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    chosen = {
        "output_dir": str(folder),
        "num_train_epochs": 2,
        "max_grad_norm": 0,
        "logging_strategy": "steps",
        "logging_steps": 3,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
    }
    return kind(
        model,
        transformers.TrainingArguments(**{**chosen, **options}),
        callbacks=[callback],
        optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)),
        train_dataset=[{}] * len(texts()[1]),
    )


def history(trained: Any) -> list[tuple[int, dict[str, float]]]:
    """The monitor's rows in the history, under their own names."""
    prefix = "metriscope/"
    rows = [
        (
            row["step"],
            {original(k.removeprefix(prefix)): v for k, v in row.items() if k.startswith(prefix)},
        )
        for row in trained.state.log_history
    ]
    return [row for row in rows if row[1]]


def test_the_trainer_is_the_plain_loop(tmp_path: Path) -> None:
    _, wanted = plain(Embedder(), batches())
    callback = MonitorCallback(writers=[Rows()], **OPTIONS)
    ran = trainer(tmp_path, callback, WithLoss())
    ran.train()
    same_rows(callback.options["writers"][0].rows, wanted)
    same_rows(history(ran), wanted)
    assert callback.monitor is not None
    assert callback.monitor.steps == ran.state.global_step == 8
    ran.save_state()
    written = json.loads((tmp_path / "trainer_state.json").read_text())["log_history"]
    assert any("metriscope/active.terms" in row for row in written)
    assert any("loss" in row for row in written)  # the trainer's own


def test_accumulated_and_clipped(tmp_path: Path) -> None:
    _, wanted = plain(Embedder("triplet"), batches(4), accumulate=2, clip=0.05)
    callback = MonitorCallback(writers=[Rows()], **OPTIONS)
    options = {"gradient_accumulation_steps": 2, "max_grad_norm": 0.05, "num_train_epochs": 4}
    trainer(tmp_path, callback, WithLoss("triplet"), **options).train()
    same_rows(callback.options["writers"][0].rows, wanted)


def test_a_loss_of_the_trainer(tmp_path: Path) -> None:
    """An overridden ``compute_loss``: with a module, and with a plain function."""
    criterion = losses.create("triplet", margin=0.3)

    class Module(InOrder):
        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            return criterion(model(inputs["input_ids"]), inputs["labels"])

    class Function(InOrder):
        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            z, y = model(inputs["input_ids"]), inputs["labels"]
            loss = criterion(z, y)
            callback.monitor.observe(loss, z, y)
            return loss

    _, wanted = plain(Embedder(criterion), batches())
    callback = MonitorCallback(criterion, writers=[Rows()], **OPTIONS)
    trainer(tmp_path, callback, Embedder(torch.nn.Identity()), Module).train()
    same_rows(callback.options["writers"][0].rows, wanted)
    callback = MonitorCallback(None, writers=[Rows()], **OPTIONS)
    trainer(tmp_path, callback, Embedder(torch.nn.Identity()), Function).train()
    found = callback.options["writers"][0].rows
    shared = set(found[0][1])
    assert {"loss", "active.effective", "grad_norm.model"} < shared < set(wanted[0][1])
    same_rows(found, [(step, {k: row[k] for k in shared if k in row}) for step, row in wanted])


def test_the_scaler_is_that_of_the_optimizer(tmp_path: Path) -> None:
    """As accelerate's optimisers have it; norms are not those of the loss times 2¹⁰."""
    _, wanted = plain(Embedder(), batches())
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    callback, model = MonitorCallback(writers=[Rows()], **OPTIONS), WithLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    args, state = transformers.TrainingArguments(tmp_path), transformers.TrainerState()
    control = transformers.TrainerControl()
    wrapped = SimpleNamespace(scaler=scaler)
    callback.on_train_begin(args, state, control, model=model, optimizer=wrapped)
    for x, y in batches():
        scaler.scale(model(x, y)["loss"]).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    callback.on_train_end(args, state, control)
    same_rows(callback.options["writers"][0].rows, wanted, rel=1e-3)


def test_a_resumed_run_is_an_uninterrupted_one(tmp_path: Path) -> None:
    """Saved in the middle of a row, broken off after two steps more."""
    wanted, _ = plain(Embedder(), batches(3))
    options = {"num_train_epochs": 3, "save_strategy": "steps", "save_steps": 5}
    callback = MonitorCallback(**OPTIONS)
    broken = trainer(tmp_path, callback, WithLoss(), **options)
    broken.stop_after = 7
    with pytest.raises(RuntimeError, match="out of luck"):
        broken.train()
    callback.detach()
    assert not any(
        each._forward_hooks or each._forward_pre_hooks for each in broken.model.modules()
    )
    again = MonitorCallback(**OPTIONS)
    trainer(tmp_path, again, WithLoss(), **options).train(resume_from_checkpoint=True)
    assert again.monitor is not None
    found = again.monitor.trace
    assert found["step"] == wanted.trace["step"]
    for name in ("loss", "active.terms", "grad_norm.model", "grad_norm.loss"):
        assert found[name] == pytest.approx(wanted.trace[name], rel=1e-5)


class Twice(WithLoss):
    """Two losses, each with a monitor of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.second = losses.create("triplet", margin=0.5)

    def forward(self, input_ids: Tensor, labels: Tensor | None = None) -> Any:
        found = super().forward(input_ids, labels)
        return found | {"loss": found["loss"] + self.second(found["embeddings"], labels)}


def test_two_callbacks_are_resumed_apart(tmp_path: Path) -> None:
    def run(epochs: int, folder: str, **options: Any) -> list[MonitorCallback]:
        both = [
            MonitorCallback(**OPTIONS),
            MonitorCallback("second", prefix="second/", **OPTIONS),
        ]
        ran = trainer(
            tmp_path / folder, both[0], Twice(), num_train_epochs=epochs, save_strategy="epoch"
        )
        ran.add_callback(both[1])
        ran.train(**options)
        return both

    wanted = run(3, "whole")
    run(1, "parts")
    found = run(3, "parts", resume_from_checkpoint=True)
    for mine, theirs, name in zip(found, wanted, ("arcface", "triplet"), strict=True):
        assert mine.monitor is not None
        assert theirs.monitor is not None
        assert mine.monitor.about["loss"] == name
        assert mine.monitor.trace["step"] == [2, 4, 6, 8, 10, 12]
        assert mine.monitor.trace["loss"] == pytest.approx(theirs.monitor.trace["loss"], rel=1e-5)


def test_two_callbacks_of_one_name(tmp_path: Path) -> None:
    first, model = MonitorCallback(**OPTIONS), Twice()
    ran = trainer(tmp_path, first, model)
    ran.add_callback(MonitorCallback("second", **OPTIONS))
    with pytest.raises(InputError, match=r"both log as 'metriscope/': give .* name='second'"):
        ran.train()
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in model.modules())
    trainer(tmp_path, first, Twice(), num_train_epochs=1).train()  # alone


def test_a_checkpoint_elsewhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = {"num_train_epochs": 1, "save_strategy": "steps", "save_steps": 2}
    trainer(tmp_path / "a", MonitorCallback(**OPTIONS), WithLoss(), **options).train()
    moved = (tmp_path / "a" / "checkpoint-2").rename(tmp_path / "moved")
    assert (moved / STATE).is_file()
    for resume_from, steps, warnings in ((moved, 4, 0), (None, 2, 1)):
        callback = MonitorCallback(resume_from=resume_from, **OPTIONS)
        run = trainer(tmp_path / "b", callback, WithLoss(), num_train_epochs=1)
        run.train(resume_from_checkpoint=str(moved))
        assert callback.monitor is not None
        assert callback.monitor.steps == steps
        warned = [record for record in caplog.records if "resume_from=" in record.message]
        assert len(warned) == warnings


def test_a_name_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no attribute 'loss_fn' to monitor"):
        trainer(tmp_path, MonitorCallback("loss_fn"), WithLoss()).train()
