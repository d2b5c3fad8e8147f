"""Loops that are not as they should be, and what must not be left behind."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from metriscope import losses
from metriscope.losses.base import LISTENERS
from metriscope.monitor import Monitor
from metriscope.types import InputError
from tests.monitor_loops import batches, close, make_model, train


def triplet() -> nn.Module:
    return losses.create("triplet")


def one_step(model: nn.Module, loss: Any, optimizer: Any, seed: int = 0) -> None:
    x, y = next(iter(batches(1, seed=seed)))
    optimizer.zero_grad()
    loss(model(x), y).backward()
    optimizer.step()


def hooks(*modules: nn.Module) -> int:
    from torch.optim.optimizer import _global_optimizer_post_hooks

    own = sum(
        len(m._forward_hooks) + len(m._forward_pre_hooks)
        for module in modules
        for m in module.modules()
    )
    return own + len(LISTENERS) + len(_global_optimizer_post_hooks)


class Plain(nn.Module):
    """A criterion of no family."""

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return (z - z.mean(0)).square().mean()


def their_triplet() -> nn.Module:
    losses_of_pml = pytest.importorskip("pytorch_metric_learning.losses")
    theirs: nn.Module = losses_of_pml.TripletMarginLoss()
    return theirs


CRITERIA = {"ours": triplet, "pml": their_triplet, "other": Plain}
every_criterion = pytest.mark.parametrize("kind", CRITERIA)


@every_criterion
def test_no_hook_is_left(kind: str) -> None:
    model, loss = make_model(), CRITERIA[kind]()
    before = hooks(model, loss)
    x, y = next(iter(batches(1)))
    with Monitor(model, loss, every=1) as monitor:
        assert hooks(model, loss) > before
        assert hooks(model) == hooks(nn.Linear(1, 1)), "nothing is hooked to the model"
        value = loss(model(x), y)
    assert hooks(model, loss) == before
    value.backward()  # whose tensors were let go too
    assert monitor.about["calls"] == 0


@every_criterion
def test_a_model_that_is_watched_can_be_copied_and_saved(kind: str) -> None:
    model = nn.ModuleDict({"net": make_model(), "loss": CRITERIA[kind]()})
    optimizer = torch.optim.SGD(model["net"].parameters(), lr=0.1)
    writer = open(__file__)  # noqa: SIM115, PTH123 -- which cannot be pickled
    monitor = Monitor(model, model["loss"], every=1, on_finding=lambda f: writer.close())
    with monitor:
        twin = copy.deepcopy(model)
        buffer = io.BytesIO()
        torch.save(model, buffer)
        buffer.seek(0)
        loaded = torch.load(buffer, weights_only=False)
        for other in (twin, loaded, pickle.loads(pickle.dumps(model))):
            one_step(other["net"], other["loss"], torch.optim.SGD(other["net"].parameters(), 0.1))
        assert monitor.steps == 0
        one_step(model["net"], model["loss"], optimizer)
        assert monitor.steps == 1
    assert "_monitor" not in model.state_dict()
    writer.close()


def test_graphs_and_embeddings_are_not_kept() -> None:
    model, loss = make_model(), triplet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Monitor(model, loss, every=1) as monitor:
        x, y = next(iter(batches(1)))
        z = model(x)
        value = loss(z, y)
        value.backward()
        optimizer.step()
        refs = [weakref.ref(t) for t in (z, value)]
        del z, value
        gc.collect()
        assert [r() for r in refs] == [None, None]
        unused = loss(model(x), y)  # evaluated with a graph that nobody runs
        ref = weakref.ref(unused)
        del unused
        gc.collect()
        assert ref() is None
    assert monitor.steps == 1


def test_evaluation_in_between_is_not_counted() -> None:
    plain = train(triplet(), 4, every=1).trace
    model, loss = make_model(), triplet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Monitor(model, loss, every=1) as monitor:
        for x, y in batches(4):
            with torch.no_grad():
                loss(model.eval()(x), y)
            loss(model(x), y)
            z = model.train()(x)
            torch.autograd.grad(loss(z, y), z)
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()
    assert close(monitor.trace["grad_norm.model"], plain["grad_norm.model"])
    assert monitor.about["calls"] == 4


def test_two_monitors_on_one_model() -> None:
    model, loss = make_model(), triplet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Monitor(model, loss, every=1) as first, Monitor(model, loss, every=1) as second:
        for seed in range(3):
            one_step(model, loss, optimizer, seed)
    assert first.steps == second.steps == 3
    assert close(first.trace["loss"], second.trace["loss"])


def test_entering_twice_and_again() -> None:
    model, loss = make_model(), triplet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    monitor = Monitor(model, loss, every=1)
    with monitor:
        with pytest.raises(InputError, match="attached already"):
            monitor.attach()
        one_step(model, loss, optimizer)
    one_step(model, loss, optimizer)  # not watched
    with monitor:
        one_step(model, loss, optimizer)
    monitor.detach()
    assert monitor.steps == 2


def test_a_criterion_that_is_never_called() -> None:
    model, loss = make_model(), triplet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Monitor(model, triplet()) as monitor:
        one_step(model, loss, optimizer)
    assert monitor.steps == 0
    assert "never called" in monitor.summary()
    assert monitor.findings == ()
    assert monitor.trace["step"] == []
    assert not any(found.fired for found in monitor.checks())


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_passes_through(error: type[BaseException]) -> None:
    class Broken:
        def log(self, step: int, scores: Any) -> None:
            raise OSError("disk full")

        def close(self) -> None: ...

    model, loss = make_model(), triplet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    monitor = Monitor(model, loss, every=5)
    with pytest.raises(error), monitor:  # noqa: PT012
        for seed in range(3):
            one_step(model, loss, optimizer, seed)
        raise error
    assert monitor.trace["step"] == [3]
    assert not LISTENERS
    with pytest.raises(error), Monitor(model, loss, every=5, writers=[Broken()]):  # noqa: PT012
        one_step(model, loss, optimizer)
        raise error
    with pytest.raises(OSError, match="disk full"), Monitor(model, loss, writers=[Broken()]):
        one_step(model, loss, optimizer)
    assert not LISTENERS


def test_a_backward_pass_that_fails_is_no_step() -> None:
    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            raise RuntimeError("no memory")

    model, loss = make_model(), triplet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Monitor(model, loss, every=1) as monitor:
        x, y = next(iter(batches(1)))
        with pytest.raises(RuntimeError, match="no memory"):
            loss(Fails.apply(model(x)), y).backward()
        one_step(model, loss, optimizer)
    assert (monitor.steps, monitor.about["calls"]) == (1, 1)


def test_embeddings_that_need_no_gradient() -> None:
    """A frozen model: the proxies alone learn."""
    model = make_model().requires_grad_(False)
    loss = losses.create("arcface", num_classes=5, dim=6)
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.1)
    with Monitor(model, loss, every=1) as monitor:
        one_step(model, loss, optimizer)
    last = monitor.last
    assert last["active.effective"] is last["grad_share.top"] is last["grad_norm.model"] is None
    assert last["grad_norm.loss"] > 0
    assert last["active.terms"] is not None


def test_a_batch_of_one() -> None:
    last = train(losses.create("arcface", num_classes=5, dim=6), 2, b=1, every=1).last
    assert last["active.effective"] == 1
    assert last["grad_share.top"] == 1
    last = train(triplet(), 2, b=1, every=1).last
    assert last["active.terms"] is last["loss"] is None  # no term: nothing to average
    assert last["excluded"] == 1


def test_a_criterion_without_labels() -> None:
    class Uniformity(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return torch.pdist(nn.functional.normalize(z)).square().mul(-2).exp().mean().log()

    loss = Uniformity()
    monitor = train(loss, 3, every=1, call=lambda z, y: loss(z))
    assert monitor.about["classes"] is monitor.about["classes_per_batch"] is None
    assert monitor.last["active.effective"] > 0


def test_two_backward_passes_through_one_graph() -> None:
    model, loss = make_model(), triplet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Monitor(model, loss, every=1) as monitor:
        x, y = next(iter(batches(1)))
        value = loss(model(x), y)
        value.backward(retain_graph=True)
        once = float(nn.utils.get_total_norm([p.grad for p in model.parameters()]))
        value.backward()
        optimizer.step()
    assert monitor.steps == 1
    assert monitor.last["grad_norm.model"] == pytest.approx(2 * once)


def test_mixed_precision() -> None:
    """bfloat16 embeddings; norms and geometry are computed wider."""
    model, loss = make_model(dtype=torch.float32), triplet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Monitor(model, loss, every=1) as monitor:
        for x, y in batches(2, dtype=torch.float32):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                z = model(x)
                value = loss(z, y)
            assert z.dtype == torch.bfloat16
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    assert monitor.last["grad_norm.model"] == pytest.approx(
        float(nn.utils.get_total_norm([p.grad for p in model.parameters()])), rel=1e-6
    )
    half = make_model().bfloat16()
    optimizer = torch.optim.SGD(half.parameters(), lr=0.1)
    with Monitor(half, loss, every=1) as monitor:
        for x, y in batches(1, dtype=torch.bfloat16):
            loss(half(x), y).backward()
            exact = torch.cat([p.grad.double().flatten() for p in half.parameters()]).norm()
            optimizer.step()
    assert monitor.last["grad_norm.model"] == pytest.approx(float(exact), rel=1e-6)


def test_a_gradient_scaler() -> None:
    """Norms are of the gradient without its scale; a step that is skipped is none, but told."""
    plain = train(triplet(), 5, every=1).trace
    model, loss = make_model(), triplet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    with Monitor(model, loss, every=1, scaler=scaler) as monitor:
        for step, (x, y) in enumerate(batches(5)):
            for bad in (True, False) if step == 2 else (False,):
                optimizer.zero_grad()
                value = loss(model(x), y) * (torch.inf if bad else 1)
                scaler.scale(value).backward()
                scaler.step(optimizer)
                scaler.update()
    assert monitor.trace["step"] == [1, 2, 3, 4, 5]
    assert close(monitor.trace["grad_norm.model"], plain["grad_norm.model"])
    assert close(monitor.trace["active.effective"], plain["active.effective"])
    place = {"step": 3, "first": "gradient of model", "skipped": True}
    assert (monitor.about["nonfinite"], monitor.about["skipped"]) == (place, 1)
    (found,) = [f for f in monitor.findings if f.code == "MS210"]
    assert found.severity == "warning"


def test_parameters_that_model_and_loss_share() -> None:
    class WithLoss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = make_model().float()
            self.loss = losses.create("arcface", num_classes=5, dim=6)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            loss: Tensor = self.loss(self.net(x), y)
            return loss

    model = WithLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Monitor(model, model.loss, every=1) as monitor:
        for x, y in batches(1, dtype=torch.float32):
            model(x, y).backward()
            optimizer.step()
    net = nn.utils.get_total_norm([p.grad for p in model.net.parameters()])
    assert monitor.last["grad_norm.model"] == pytest.approx(float(net))
    assert monitor.last["grad_norm.loss"] == pytest.approx(float(model.loss.weight.grad.norm()))


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("what", ["model", "loss"])
def test_compiled(what: str) -> None:
    """By the eager backend, which needs no compiler. A compiled loss says nothing of its terms."""
    model, loss = make_model(), Plain() if what == "loss" else triplet()
    net: Any = torch.compile(model, backend="eager") if what == "model" else model
    criterion: Any = torch.compile(loss, backend="eager") if what == "loss" else loss
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Monitor(net, criterion, every=1) as monitor:
        for seed in range(2):
            one_step(net, criterion, optimizer, seed)
    plain = train(loss, 1, every=1).trace
    assert monitor.steps == 2
    assert close(monitor.trace["loss"][:1], plain["loss"])
    assert close(monitor.trace["grad_norm.model"][:1], plain["grad_norm.model"])
    assert monitor.about["loss"] == ("Plain" if what == "loss" else "triplet")


def test_sparse_gradients() -> None:
    model = nn.Embedding(50, 6, sparse=True)
    loss = triplet()
    optimizer = torch.optim.SparseAdam(model.parameters(), lr=0.1)
    with Monitor(model, loss, every=1) as monitor:
        x, y = torch.randint(50, (16,)), torch.arange(16) % 4
        loss(model(x), y).backward()
        optimizer.step()
    assert monitor.last["grad_norm.model"] == pytest.approx(
        float(model.weight.grad.to_dense().norm())
    )


def test_closures_that_optimisers_call() -> None:
    """As Lightning does it: forward and backward inside of step."""
    plain = train(triplet(), 4, every=1).trace
    model, loss = make_model(), triplet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 1.0)
    with Monitor(model, loss, every=1) as monitor:
        for x, y in batches(4):

            def closure() -> Tensor:
                value: Tensor = loss(model(x), y)  # noqa: B023
                optimizer.zero_grad()
                value.backward()
                return value

            optimizer.step(closure)
            scheduler.step()
    for name in ("step", "loss", "grad_norm.model", "lr"):
        assert close(monitor.trace[name], plain[name]), name
