"""The monitor's numbers, against the same loop measured by hand."""

from __future__ import annotations

import copy
import io
import json
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from metriscope import losses
from metriscope.diagnostics.base import Space, measure, reading
from metriscope.losses.base import Loss
from metriscope.monitor import Monitor
from tests.conftest import make_embeddings
from tests.monitor_loops import CLASSES, DIM, batches, close, make_model, parameters, train

EVERY_LOSS = sorted(losses.LOSSES.discoverable())


def make(name: str, **params: Any) -> Loss:
    torch.manual_seed(3)
    return losses.create(name, num_classes=CLASSES, dim=DIM, **params).double()


def by_hand(loss: Loss, steps: int, b: int = 24) -> list[dict[str, Any]]:
    """Each step's numbers, without a monitor."""
    model = make_model()
    optimizer = torch.optim.SGD(parameters(model, loss), lr=0.1)
    found = []
    for x, y in batches(steps, b):
        z = model(x)
        z.retain_grad()
        out = loss.evaluate(z, y)
        optimizer.zero_grad()
        out.loss.backward()
        g = z.grad.norm(dim=1)
        top = math.ceil(len(y) / 10)
        found.append(
            {
                "loss": out.loss.item(),
                "terms": (int(out.active_terms), int(out.total_terms)),
                "samples": (int(out.active_samples.sum()), len(y) - int(out.excluded)),
                "excluded": (int(out.excluded), len(y)),
                "effective": float(g.sum() ** 2 / (len(y) * g.square().sum())),
                "top": float(g.sort().values[-top:].sum() / g.sum()),
                "grad_norm.model": _norm(model.parameters()),
                "grad_norm.loss": _norm(loss.parameters()),
                "z": z.detach(),
                "y": y,
            }
        )
        optimizer.step()
    return found


def _norm(of: Any) -> float | None:
    squares = [float(p.grad.square().sum()) for p in of if p.grad is not None]
    return math.sqrt(sum(squares)) if squares else None


def pooled(rows: list[dict[str, Any]], name: str) -> float:
    return sum(r[name][0] for r in rows) / sum(r[name][1] for r in rows)


@pytest.mark.parametrize("name", EVERY_LOSS)
def test_a_row_is_what_its_steps_measure(name: str) -> None:
    torch.manual_seed(5)
    expected = by_hand(make(name), 7)
    torch.manual_seed(5)
    monitor = train(make(name), 7, every=3)
    trace = monitor.trace
    assert trace["step"] == [3, 6, 7]
    parts = [expected[:3], expected[3:6], expected[6:]]

    def mean(key: str) -> list[float]:
        return [sum(r[key] for r in rows) / len(rows) for rows in parts]

    assert close(trace["loss"], mean("loss"))
    assert close(trace["active.terms"], [pooled(rows, "terms") for rows in parts])
    assert close(trace["active.samples"], [pooled(rows, "samples") for rows in parts])
    assert close(trace["excluded"], [pooled(rows, "excluded") for rows in parts])
    assert close(trace["active.effective"], mean("effective"))
    assert close(trace["grad_share.top"], mean("top"))
    assert close(trace["grad_norm.model"], mean("grad_norm.model"))
    values = [r["grad_norm.model"] for r in expected[:3]]
    assert trace["grad_norm.model.sd"][0] == pytest.approx(torch.tensor(values).std(correction=0))
    if expected[0]["grad_norm.loss"] is None:
        assert trace["grad_norm.loss"] == [None] * 3
    else:
        assert close(trace["grad_norm.loss"], mean("grad_norm.loss"))
    assert trace["lr"] == [0.1] * 3
    assert all(s > 0 for s in trace["seconds"])
    assert monitor.last == {k: v[-1] for k, v in trace.items()}
    about = monitor.about
    assert (about["steps"], about["every"], about["batch_size"]) == (7, 3, 24)
    assert about["classes"] == CLASSES
    distinct = [len(set(r["y"].tolist())) for r in expected]
    assert about["classes_per_batch"] == pytest.approx(sum(distinct) / 7)
    assert (about["loss"], about["family"]) == (name, "metriscope")
    assert about["params"] == {**about["params"], **losses.resolve(name, {})}
    assert about["missing_parameters"] == (None if not parameters(make(name)) else [])


def test_details_of_a_loss_are_columns() -> None:
    trace = train(make("contrastive"), 4, every=2).trace
    assert all(0 < v < 1 for v in trace["active.terms.negative"])
    assert all(0 <= v <= 1 for v in train(make("arcface"), 4, every=2).trace["error.top1"])


def test_geometry_of_the_first_batch_and_of_every_so_many() -> None:
    expected = by_hand(make("scl"), 9)
    trace = train(make("scl"), 9, every=1, geometry_every=4).trace
    known = [i for i, v in enumerate(trace["batch.spread.total"]) if v is not None]
    assert known == [0, 3, 7]
    names = [d.name for d in reading("moments")]
    for i in known:
        space = Space(make_embeddings(expected[i]["z"].numpy(), expected[i]["y"].numpy()))
        for name, value in measure(space, only=names).items():
            assert trace[f"batch.{name}"][i] == pytest.approx(value, rel=1e-6, abs=1e-9), name


def test_a_function_is_watched_in_place_of_itself() -> None:
    """What a function says is its value; the gradient says how it is spread."""

    def compactness(z: Tensor, y: Tensor) -> Tensor:
        return (z[:, None] - z[None]).square().sum(2)[y[:, None] == y[None]].mean()

    monitor = train(compactness, 6, every=2)
    trace = monitor.trace
    assert trace["active.terms"] == trace["excluded"] == [None] * 3
    for name in (
        "loss",
        "active.effective",
        "grad_norm.model",
        "grad_share.top",
        "batch.rank.effective",
    ):
        assert trace[name][0] is not None
    assert (monitor.about["loss"], monitor.about["family"]) == ("compactness", "other")
    assert monitor.about["active_rule"] is None


def test_a_criterion_with_one_of_ours_inside_has_its_counts() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = make("triplet")

        def forward(self, out: dict[str, Tensor], *, target: Tensor) -> Tensor:
            return 2 * self.part(out["z"], target)

    plain = train(make("triplet"), 5, every=1).trace
    twice = Twice()
    inside = train(twice, 5, every=1, lr=0.05, call=lambda z, y: twice({"z": z}, target=y)).trace
    assert close(inside["active.terms"], plain["active.terms"])
    assert close(inside["excluded"], plain["excluded"])
    assert close(inside["loss"], [2 * v for v in plain["loss"]])
    function = train(lambda z, y: twice.part(z, y), 5, every=1).trace
    assert close(function["active.samples"], plain["active.samples"])


def test_observing_is_the_same_as_calling() -> None:
    loss, called = make("triplet"), train(make("triplet"), 6, every=2).trace
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Monitor(model, every=2) as watched, Monitor(model, loss, every=2) as heard:
        for x, y in batches(6):
            z = model(x)
            value = loss(z, y)
            watched.observe(value, z, y.tolist())
            heard.observe(value, z, y)  # heard already: once is enough
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    for name in ("step", "loss", "active.effective", "grad_norm.model", "batch.intra.eq1"):
        assert close(watched.trace[name], called[name]), name
    assert watched.trace["active.terms"] == [None] * 3
    assert close(heard.trace["active.terms"], called["active.terms"])
    assert heard.about["calls"] == 6


def test_pairs_of_embeddings() -> None:
    model, loss = make_model(), nn.TripletMarginLoss(margin=0.3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Monitor(model, loss, every=1) as monitor:
        for x, _ in batches(3):
            a, p, n = (model(part) for part in x.split(8))
            value = loss(a, p, n)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    assert monitor.about["batch_size"] == 24
    assert monitor.about["params"]["margin"] == 0.3
    assert monitor.about["classes"] is None
    assert 0 < monitor.last["active.effective"] <= 1
    assert monitor.trace["batch.spread.total"][0] > 0
    assert monitor.trace["batch.intra.eq1"] == [None] * 3


def test_accumulated_gradients_are_one_step() -> None:
    """Its norm is that of the whole gradient, its counts are sums over the parts."""
    model, loss = make_model(), make("arcface")
    optimizer = torch.optim.SGD(parameters(model, loss), lr=0.1)
    with Monitor(model, loss, every=1) as monitor:
        for x, y in batches(4):
            optimizer.zero_grad()
            for part, labels in zip(x.split(8), y.split(8), strict=True):
                (loss(model(part), labels) / 3).backward()
            optimizer.step()
    plain = train(make("arcface"), 4, every=1).trace  # whose mean is the mean of the parts'
    assert monitor.trace["step"] == [1, 2, 3, 4]
    for name in ("loss", "active.terms", "active.samples", "grad_norm.model", "grad_norm.loss"):
        assert close(monitor.trace[name], plain[name]), name
    assert monitor.about["calls"] == 12


def test_two_calls_in_one_backward_pass_are_one_step() -> None:
    model, loss = make_model(), make("triplet")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Monitor(model, loss, every=1) as monitor:
        for x, y in batches(3):
            optimizer.zero_grad()
            first, second = loss(model(x), y), loss(model(-x), y)
            (first + second).backward()
            optimizer.step()
            expected = (first + second).item() / 2, _norm(model.parameters())
    assert (monitor.last["loss"], monitor.last["grad_norm.model"]) == pytest.approx(expected)
    assert (monitor.steps, monitor.about["calls"]) == (3, 6)


def test_norms_are_of_gradients_before_clipping() -> None:
    model, loss = make_model(), make("triplet")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    norms = []
    with Monitor(model, loss, every=1) as monitor:
        for x, y in batches(3):
            optimizer.zero_grad()
            loss(model(x), y).backward()
            norms.append(float(nn.utils.clip_grad_norm_(model.parameters(), 1e-3)))
            optimizer.step()
    assert close(monitor.trace["grad_norm.model"], norms)


def test_loops_without_an_optimiser_of_torch() -> None:
    model, loss = make_model(), make("triplet")
    with Monitor(model, loss, every=2) as monitor:
        for x, y in batches(5):
            loss(model(x), y).backward()
            for p in model.parameters():
                p.data -= 0.1 * p.grad
                p.grad = None
    plain = train(make("triplet"), 5, every=2).trace
    assert monitor.trace["step"] == [2, 4, 5]
    assert close(monitor.trace["grad_norm.model"], plain["grad_norm.model"])
    assert monitor.about["missing_parameters"] is None
    assert monitor.trace["lr"] == [None] * 3


def test_more_groups_and_frozen_parameters() -> None:
    model, loss = make_model(), make("triplet")
    model[0].requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    groups = {"first": model[0].parameters(), "head": model[2].parameters()}
    with Monitor(model, loss, every=1, groups=groups) as monitor:
        x, y = next(iter(batches(1)))
        loss(model(x), y).backward()
        optimizer.step()
    last = monitor.last
    assert last["grad_norm.head"] == last["grad_norm.model"] == _norm(model[2].parameters())
    assert "grad_norm.first" not in last


def test_parameters_of_the_loss_that_no_optimiser_holds() -> None:
    model, loss = make_model(), make("arcface")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    other = torch.optim.SGD(loss.parameters(), lr=0.5)
    with Monitor(model, loss, every=1) as monitor:
        for step, (x, y) in enumerate(batches(2)):
            loss(model(x), y).backward()
            assert monitor.about["missing_parameters"] == (["weight"] if step else None)
            optimizer.step()
        other.step()
        assert monitor.about["missing_parameters"] == []
    assert monitor.trace["lr"] == [0.1, 0.1]
    assert any(f.code == "MS212" for f in monitor.checks())


def test_a_resumed_run_has_the_trace_of_an_uninterrupted_one() -> None:
    whole = train(make("arcface"), 23, every=5, geometry_every=6)
    model, loss = make_model(), make("arcface")
    optimizer = torch.optim.SGD(parameters(model, loss), lr=0.1)
    state: dict[str, Any] = {}
    seen = list(batches(23))
    for part in (seen[:9], seen[9:18], seen[18:]):
        monitor = Monitor(model, loss, every=5, geometry_every=6)
        if state:
            monitor.load_state_dict(json.loads(json.dumps(state)))
        monitor.attach()
        for x, y in part:
            value = loss(model(x), y)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        state = monitor.state_dict()
        monitor.detach()
    monitor.flush()
    assert set(whole.trace) == set(monitor.trace)
    for name, column in whole.trace.items():
        assert name == "seconds" or close(column, monitor.trace[name]), name
    mine, theirs = monitor.about, whole.about
    assert mine == {**theirs, "missing_parameters": mine["missing_parameters"]}


def test_the_state_can_be_saved_without_pickles() -> None:
    buffer = io.BytesIO()
    torch.save(train(make("scl"), 3).state_dict(), buffer)
    buffer.seek(0)
    state = torch.load(buffer, weights_only=True)
    monitor = Monitor(make_model(), make("scl"))
    monitor.load_state_dict(state)
    assert monitor.steps == 3


def test_watching_changes_nothing() -> None:
    """Not the weights, not the random numbers."""

    def run(watch: bool) -> list[Tensor]:
        torch.manual_seed(0)
        model, loss = make_model(), make("infonce")  # which draws
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        monitor = Monitor(model, loss, every=2, geometry_every=1)
        if watch:
            monitor.attach()
        for x, y in batches(5):
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()
        monitor.detach()
        return [*copy.deepcopy(model).parameters(), torch.rand(3)]

    assert all(torch.equal(a, b) for a, b in zip(run(True), run(False), strict=True))
