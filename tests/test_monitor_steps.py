"""What is a step, and what is seen of those that were skipped."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from metriscope import losses
from metriscope.monitor import Monitor
from metriscope.types import Finding
from tests.monitor_loops import CLASSES, DIM, batches, close, make_model, parameters, train


def triplet() -> nn.Module:
    return losses.create("triplet")


def compact(z: Tensor, y: Tensor) -> Tensor:
    """A function for a loss."""
    return (z - z.mean(0)).square().mean()


def scaled(
    steps: int, spoil: Callable[[int, nn.Module, Tensor], Tensor], scale: float = 1024.0
) -> Monitor:
    """A loop with a gradient scaler; ``spoil`` has the last word on what the model is given."""
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    with Monitor(model, compact, every=5, scaler=scaler) as monitor:
        for step, (x, y) in enumerate(batches(steps), 1):
            optimizer.zero_grad()
            value = monitor(model(spoil(step, model, x)), y)
            scaler.scale(value).backward()
            scaler.step(optimizer)
            scaler.update()
    return monitor


def said(monitor: Monitor, code: str = "MS210") -> Finding | None:
    return next((f for f in monitor.findings if f.code == code), None)


# ------------------------------------------------------------------------------- skipped steps


def test_training_that_a_scaler_skips_for_ever_is_told() -> None:
    def spoil(step: int, model: nn.Module, x: Tensor) -> Tensor:
        if step == 8:
            with torch.no_grad():
                next(model.parameters()).fill_(math.nan)
        return x

    monitor = scaled(23, spoil)
    found = said(monitor)
    assert found is not None
    assert (found.severity, found.value) == ("problem", 8.0)
    assert monitor.about["nonfinite"]["first"] == "embeddings"
    assert (monitor.steps, monitor.about["skipped"]) == (7, 16)
    assert "16 steps were skipped, 16 since the last update" in found.message
    assert monitor.trace["step"] == [5, 7]
    assert all(math.isfinite(v or 0) for v in monitor.trace["loss"])


def test_nothing_but_skipped_steps() -> None:
    """Told while training goes on, and in the summary, although no step is finished."""
    monitor = scaled(12, lambda step, model, x: x * math.inf)
    assert (monitor.steps, monitor.trace["step"]) == (0, [])
    assert "MS210 problem" in monitor.summary()


@pytest.mark.parametrize(("fits", "severity"), [(2.0**5, "warning"), (2.0**-3, "problem")])
def test_a_new_scaler_whose_scale_is_too_high(fits: float, severity: str) -> None:
    """The first few steps are skipped until it fits; 17 in a row are too many."""
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    told: list[Finding] = []
    with Monitor(model, triplet(), every=18, scaler=scaler, on_finding=told.append) as monitor:
        for x, y in batches(40):
            optimizer.zero_grad()
            value = monitor(model(x), y) * (math.inf if scaler.get_scale() > fits else 1)
            scaler.scale(value).backward()
            scaler.step(optimizer)
            scaler.update()
    assert [f.severity for f in told if f.code == "MS210"] == [severity]
    place = {"step": 1, "first": "gradient of model", "skipped": True}
    assert monitor.about["nonfinite"] == place
    assert monitor.about["skipped"] == (11 if severity == "warning" else 19)


def test_steps_that_an_optimiser_skips_by_itself() -> None:
    """As fused ones do: the scaler calls them, and they look at what it has found."""

    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    with Monitor(model, triplet(), every=4, scaler=scaler) as monitor:
        for step, (x, y) in enumerate(batches(8), 1):
            optimizer.zero_grad()
            value = monitor(model(x), y) * (math.inf if step == 3 else 1)
            scaler.scale(value).backward()
            scaler.step(optimizer)
            scaler.update()
    found = said(monitor)
    assert found is not None
    assert (found.severity, found.value) == ("warning", 3.0)
    assert monitor.about["skipped"] == 1
    assert all(math.isfinite(v) for v in monitor.trace["grad_norm.model"] if v is not None)


def test_a_worse_place_takes_over_from_a_skipped_gradient() -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    told: list[Finding] = []
    with Monitor(model, compact, every=2, on_finding=told.append) as monitor:
        for step, (x, y) in enumerate(batches(12), 1):
            optimizer.zero_grad()
            value = monitor(model(x * (math.inf if step == 10 else 1)), y)
            (value * (math.inf if step == 4 else 1)).backward()
            if step != 4:
                optimizer.step()
    assert [f.severity for f in told if f.code == "MS210"] == ["warning", "problem"]
    assert monitor.about["nonfinite"] == {"step": 9, "first": "embeddings", "skipped": False}
    assert monitor.steps == 11


def test_a_gradient_that_breaks_the_weights_has_not_recovered() -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Monitor(model, compact, every=4) as monitor:
        for step, (x, y) in enumerate(batches(20), 1):
            optimizer.zero_grad()
            value = monitor(model(x), y)
            (value * (math.nan if step == 6 else 1)).backward()
            optimizer.step()
    found = said(monitor)
    assert found is not None
    assert (found.severity, found.value) == ("problem", 6.0)
    assert "finite again" not in found.message


@pytest.mark.parametrize("how", ["raise", "continue"])
def test_a_loss_that_never_gets_its_backward_pass(how: str) -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    monitor = Monitor(model, compact, every=10)
    try:
        with monitor:
            for step, (x, y) in enumerate(batches(8), 1):
                optimizer.zero_grad()
                value = monitor(model(x * (math.nan if step == 6 else 1)), y)
                if not torch.isfinite(value):
                    if how == "raise":
                        raise RuntimeError("diverged")
                    continue
                value.backward()
                optimizer.step()
    except RuntimeError:
        assert how == "raise"
    place = {"step": 6, "first": "embeddings", "skipped": True}
    assert (monitor.about["nonfinite"], monitor.about["skipped"]) == (place, 1)
    assert said(monitor) is not None


def test_losses_that_are_never_differentiated_are_looked_at_while_training_goes_on() -> None:
    model = make_model()
    told: list[Finding] = []
    monitor = Monitor(model, compact, every=3, on_finding=told.append)
    with monitor:
        for x, y in batches(6):
            monitor(model(x * math.nan), y)
        assert [f.code for f in told] == ["MS210"]
    assert monitor.about["skipped"] == 6
    assert monitor.steps == 0


# ------------------------------------------------------------------------------ what ends a step


def test_one_call_of_lbfgs_is_one_step() -> None:
    model, loss = make_model(), triplet()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)
    with Monitor(model, loss, every=1) as monitor:
        for x, y in batches(3):

            def closure() -> Tensor:
                optimizer.zero_grad()
                value: Tensor = loss(model(x), y)  # noqa: B023
                value.backward()
                return value

            optimizer.step(closure)
    assert monitor.trace["step"] == [1, 2, 3]
    assert monitor.about["calls"] > 6


def test_an_update_that_the_loop_leaves_out_is_no_step() -> None:
    plain = train(triplet(), 4, every=1).trace
    model, loss = make_model(), triplet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Monitor(model, loss, every=1) as monitor:
        for x, y in batches(4):
            for used in (True, False):
                optimizer.zero_grad()
                (loss(model(x), y) * (1 if used else 50)).backward()
                if used:
                    optimizer.step()
    assert monitor.about["skipped"] == 0
    for name in ("step", "loss", "grad_norm.model"):
        assert close(monitor.trace[name], plain[name]), name


@pytest.mark.parametrize("zero", [True, False])
def test_loops_of_their_own_that_clear_in_place(zero: bool) -> None:
    plain = train(triplet(), 5, every=1).trace
    model, loss = make_model(), triplet()
    with Monitor(model, loss, every=1) as monitor:
        for x, y in batches(5):
            loss(model(x), y).backward()
            for p in model.parameters():
                p.data -= 0.1 * p.grad
                if zero:
                    p.grad.zero_()
                else:
                    p.grad = None
    assert close(monitor.trace["grad_norm.model"], plain["grad_norm.model"])


# ------------------------------------------------------------------------- who steps what


def test_a_second_optimiser_has_its_turn() -> None:
    model, loss = make_model(), losses.create("arcface", num_classes=CLASSES, dim=DIM).double()
    both = [torch.optim.SGD(parameters(part), lr=0.1) for part in (model, loss)]
    told: list[Finding] = []
    with Monitor(model, loss, every=1, on_finding=told.append) as monitor:
        for x, y in batches(3):
            for optimizer in both:
                optimizer.zero_grad()
            loss(model(x), y).backward()
            for optimizer in both:
                optimizer.step()
    assert told == []
    assert monitor.about["missing_parameters"] == []


@pytest.mark.parametrize(("held", "fires"), [("none", True), ("head", False), ("frozen", False)])
def test_a_model_that_no_optimiser_holds(held: str, fires: bool) -> None:
    model, loss = make_model(), losses.create("arcface", num_classes=CLASSES, dim=DIM).double()
    if held == "frozen":
        model.requires_grad_(False)
    head = parameters(model)[2:] if held == "head" else []
    optimizer = torch.optim.SGD([*loss.parameters(), *head], lr=0.1)
    with Monitor(model, loss, every=1) as monitor:
        for x, y in batches(2):
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()
    found = said(monitor, "MS212")
    assert (found is not None) == fires
    if found is not None:
        assert "model's 4 trainable parameters (0.weight, 0.bias, 2.weight, …)" in found.message


def test_the_criterion_gets_the_arguments_as_they_were_given() -> None:
    def loss(z: Tensor, y: Tensor | None = None, weights: Tensor | None = None) -> Tensor:
        assert y is None
        assert weights is not None
        return (z.square().mean(1) * weights).mean()

    with Monitor(make_model(), loss) as monitor:
        monitor(torch.randn(4, 3, requires_grad=True), None, torch.ones(4))
