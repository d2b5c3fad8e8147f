"""What a monitor tells while training goes on: rows to writers, findings, the first NaN."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from metriscope import losses
from metriscope.losses.base import Loss
from metriscope.monitor import Monitor
from tests.monitor_loops import CLASSES, DIM, batches, make_model, train


def make(name: str) -> Loss:
    torch.manual_seed(3)
    return losses.create(name, num_classes=CLASSES, dim=DIM).double()


class Recorder:
    """A writer that keeps what it gets."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.closed = 0

    def log(self, step: int, scores: Any) -> None:
        self.rows.append((step, dict(scores)))

    def close(self) -> None:
        self.closed += 1


def test_writers_get_rows_without_what_is_undefined() -> None:
    writer = Recorder()
    monitor = train(make("triplet"), 7, every=3, writers=[writer])
    assert [step for step, _ in writer.rows] == [3, 6, 7]
    assert writer.closed == 1
    for i, (_, row) in enumerate(writer.rows):
        known = {k: v[i] for k, v in monitor.trace.items() if k != "step" and v[i] is not None}
        assert row == known
        assert "grad_norm.loss" not in row


@pytest.mark.parametrize("place", ["embeddings", "loss", "gradient of model"])
def test_the_first_number_that_is_not_finite(place: str) -> None:
    model, loss = make_model(), make("triplet")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def criterion(z: Tensor, y: Tensor) -> Tensor:
        if step == 4 and place == "loss":
            return loss(z, y) / (z.sum() * 0)
        if step == 4 and place == "gradient of model":
            return loss(z, y) + (z * 0).sum().abs().sqrt()
        return loss(z, y)

    with Monitor(model, criterion, every=3) as monitor:
        for step, (x, y) in enumerate(batches(6), 1):
            if step == 4 and place == "embeddings":
                x = x * torch.inf
            optimizer.zero_grad()
            monitor(model(x), y).backward()
            optimizer.step()
    assert monitor.about["nonfinite"] == {"step": 4, "first": place, "skipped": False}
    assert any(f.code == "MS210" for f in monitor.findings)


def test_findings_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    told = []
    model, loss = make_model(), make("arcface")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Monitor(model, loss, every=1, on_finding=told.append) as monitor:
        for x, y in batches(5):
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()
    assert [f.code for f in told].count("MS212") == 1
    assert sum("MS212" in r.getMessage() for r in caplog.records) == 1
    assert "MS212" in monitor.summary()
    with Monitor(model, loss, every=1, on_finding=told.append) as resumed:
        resumed.load_state_dict(monitor.state_dict())
        x, y = next(iter(batches(1)))
        loss(model(x), y).backward()
        optimizer.step()
    assert "MS212" in [f.code for f in resumed.findings]
    assert [f.code for f in told].count("MS212") == 1
    assert len({f.code for f in resumed.checks()}) == len(resumed.checks())


def test_what_on_finding_raises_ends_training() -> None:
    def stop(found: Any) -> None:
        raise RuntimeError(found.code)

    model, loss = make_model(), make("arcface")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def loop() -> None:
        with Monitor(model, loss, every=1, on_finding=stop):
            for x, y in batches(2):
                loss(model(x), y).backward()
                optimizer.step()

    with pytest.raises(RuntimeError, match="MS212"):
        loop()
