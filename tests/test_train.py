"""The training loop: what it measures, and that a seed decides everything."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils import get_total_norm

from metriscope import losses, ops
from metriscope import train as training
from metriscope.diagnostics.base import reading
from metriscope.losses import LOSSES
from metriscope.losses.base import Loss
from metriscope.network import Head
from metriscope.samplers import SAMPLERS
from metriscope.train import TrainingError, _epoch, _stack, _step, make_optimizer, train
from metriscope.types import HeadSpec, OptimizerSpec, Share
from tests.helpers import tiny_dataset, tiny_spec

TRACE = [
    "epoch",
    "loss",
    "active.terms",
    "active.samples",
    "active.effective",
    "grad_norm.head",
    "grad_norm.head.sd",
    "grad_norm.loss",
    "lr",
    "seconds",
]


@pytest.mark.parametrize("name", losses.PAPER)
def test_a_run_has_every_trace_column_and_learns(name: str) -> None:
    trained = train(tiny_spec(name, epochs=12), tiny_dataset())
    trace = trained.result.trace
    assert set(TRACE) <= set(trace)
    assert trace["epoch"] == list(range(13))
    assert all(len(column) == 13 for column in trace.values())
    assert trace["loss"][-1] < trace["loss"][0]
    assert trained.result.scores["recall@1"] > 0.9
    has_parameters = any(True for _ in trained.loss.parameters())
    assert (trace["grad_norm.loss"][1] is not None) == has_parameters


def test_row_zero_is_the_untrained_head_without_dropout() -> None:
    spec, data = tiny_spec("scl", epochs=1), tiny_dataset()
    trace = train(spec, data).result.trace
    torch.manual_seed(spec.seed)
    x, y = torch.from_numpy(data.train.x), torch.from_numpy(data.train.y)
    head = Head(x.shape[1], spec.head).eval()
    head.fit_scale(x, "rms")
    loss = losses.create("scl", **spec.params)
    batches = SAMPLERS.get("uniform")(y, spec.batch_size, torch.Generator().manual_seed(0))
    expected = np.mean([loss(head(x[b]), y[b]).item() for b in batches])
    assert trace["loss"][0] == pytest.approx(expected, rel=1e-6)


def test_greediness_is_that_of_the_real_steps() -> None:
    """One batch an epoch and no dropout: each row can be computed by hand."""
    data = tiny_dataset()
    head_spec = HeadSpec(hidden=(16,), dim=8, dropout=0)
    spec = tiny_spec("contrastive", epochs=2, batch_size=len(data.train), head=head_spec)
    trace = train(spec, data).result.trace

    torch.manual_seed(spec.seed)
    x, y = torch.from_numpy(data.train.x), torch.from_numpy(data.train.y)
    head = Head(x.shape[1], spec.head)
    head.fit_scale(x, "rms")
    loss = losses.create("contrastive", **spec.params)
    optimizer = make_optimizer(spec, head, loss)
    for epoch in (0, 1, 2):
        head.zero_grad()
        z = head(x)
        z.retain_grad()
        out = loss.evaluate(z, y)
        out.loss.backward()
        norm = math.sqrt(sum(float(p.grad.square().sum()) for p in head.parameters()))
        g = z.grad.norm(dim=1)
        effective = float(g.sum() ** 2 / (len(g) * g.square().sum()))
        assert trace["loss"][epoch] == pytest.approx(float(out.loss.detach()), rel=1e-4)
        assert trace["grad_norm.head"][epoch] == pytest.approx(norm, rel=1e-4)
        assert trace["active.effective"][epoch] == pytest.approx(effective, rel=1e-4)
        share = float(out.active_terms / out.total_terms)
        assert trace["active.terms"][epoch] == pytest.approx(share, rel=1e-2)
        if epoch:
            optimizer.step()


def test_a_seed_decides_everything_and_leaves_the_callers_random_state_alone() -> None:
    data = tiny_dataset()
    torch.manual_seed(123)
    before = torch.random.get_rng_state()
    first = train(tiny_spec("infonce"), data)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.rand(7)
    second = train(tiny_spec("infonce"), data)
    other = train(tiny_spec("infonce", seed=1), data)
    assert np.array_equal(first.embeddings.x, second.embeddings.x)
    assert first.result.scores == second.result.scores
    same = [c for c in first.result.trace if c != "seconds"]
    assert all(first.result.trace[c] == second.result.trace[c] for c in same)
    assert not np.allclose(first.embeddings.x, other.embeddings.x)


def test_losses_of_one_seed_start_from_the_same_head_and_see_the_same_batches() -> None:
    data = tiny_dataset()
    seen: dict[str, list[bytes]] = {}
    for name in ("scl", "arcface"):
        original = Loss.evaluate

        def spy(self: Loss, z: torch.Tensor, y: torch.Tensor, name: str = name) -> object:
            seen.setdefault(name, []).append(y.numpy().tobytes())
            return original(self, z, y)  # noqa: B023

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Loss, "evaluate", spy)
            train(tiny_spec(name, epochs=1, optimizer=OptimizerSpec(lr=1e-30)), data)
    assert seen["scl"] == seen["arcface"]


def plain_epoch(
    head: Head, loss: Loss, optimizer: torch.optim.Optimizer, x: Any, y: Any, batches: Any
) -> dict[str, float | None]:
    """The slow way: a batch, a step and a number at a time."""
    sums: dict[str, list[tuple[float, float]]] = {}
    for chosen in batches:
        head.zero_grad()
        loss.zero_grad()
        scaled = (x[chosen] - head.shift) / head.scale
        z = ops.normalize(head.layers(scaled))
        z.retain_grad()
        out = loss.evaluate(z, y[chosen])
        out.loss.backward()
        g = z.grad.norm(dim=1).double()
        total, b = float(out.total_terms), len(chosen)
        pulls = float(g.max() > 0)
        effective = float(g.sum() ** 2 / (b * g.square().sum())) if pulls else 0.0
        own = [p.grad for p in loss.parameters() if p.grad is not None]
        row: dict[str, tuple[float, float]] = {
            "loss": (float(out.loss.detach()), float(total > 0)),
            "active.terms": (float(out.active_terms), total),
            "active.samples": (float(out.active_samples.sum()), float(b - out.excluded)),
            "active.literal": (float(out.active_terms), b * float(total > 0)),
            "active.effective": (effective, pulls),
            "grad_norm.head": (float(get_total_norm([p.grad for p in head.parameters()])), 1.0),
            "grad_norm.loss": (float(get_total_norm(own)), 1.0) if own else (0.0, 0.0),
        }
        row |= {k: (float(s.part), float(s.whole)) for k, s in out.details.items()}
        for name, pair in row.items():
            sums.setdefault(name, []).append(pair)
        optimizer.step()
    means: dict[str, float | None] = {}
    for name, pairs in sums.items():
        known = [(part, whole) for part, whole in pairs if whole > 0]
        whole = sum(whole for _, whole in known)
        means[name] = sum(part for part, _ in known) / whole if known else None
    return means


FEATURES = {
    "random": lambda x: x,
    "collapsed": lambda x: 1 + 1e-6 * x,
    "duplicated": lambda x: x[:1].repeat(len(x), 1),
    "tied": lambda x: x.round(),
}


@pytest.mark.parametrize("what", FEATURES)
@pytest.mark.parametrize("name", LOSSES.names())
def test_an_epoch_is_that_of_the_plain_loop(
    name: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More steps than are put together at once; dropout, and a batch without any pair."""
    monkeypatch.setattr(training, "STEPS", 4)
    generator = torch.Generator().manual_seed(0)
    x = FEATURES[what](torch.randn(60, 6, generator=generator))
    y = torch.arange(60) % 4
    batches = [torch.randperm(60, generator=generator)[:12] for _ in range(9)]
    batches.append(torch.tensor([3]))
    rows = []
    for run in (_epoch, plain_epoch):
        torch.manual_seed(1)
        head = Head(6, HeadSpec(hidden=(16,), dim=8))
        head.fit_scale(x, "standardize")
        loss = losses.create(name, num_classes=4, dim=8)
        optimizer = make_optimizer(tiny_spec(name), head, loss)
        if run is _epoch:
            rows.append(_epoch(1, head, loss, optimizer, x, y, batches))
        else:
            rows.append(plain_epoch(head, loss, optimizer, x, y, batches))
    fast, slow = rows
    for column, value in slow.items():
        assert fast[column] == (value and pytest.approx(value, rel=1e-6, abs=1e-12)), column


def test_counts_beyond_float32_are_put_together_without_rounding() -> None:
    many = 2**24 + 1
    rows = [
        [
            Share(torch.tensor(0.1), torch.tensor(many + i)),
            Share(torch.tensor(i), torch.tensor(i > 0)),
        ]
        for i in range(3)
    ]
    table = _stack(rows)
    assert table.dtype == torch.float64
    assert table[:, 0, 1].tolist() == [many, many + 1, many + 2]
    assert table[:, 1].tolist() == [[0, 0], [1, 1], [2, 1]]
    assert table[0, 0, 0] == torch.tensor(0.1).double()


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_scaling_leaves_the_features_as_they_were(dtype: torch.dtype) -> None:
    x = torch.randn(20, 6, generator=torch.Generator().manual_seed(0)).to(dtype)
    before = x.clone()
    head = Head(6, HeadSpec()).eval()
    for how in ("none", "rms", "standardize"):
        head.fit_scale(x, how)
        scaled = (x.float() - head.shift) / head.scale
        assert torch.equal(head(x), ops.normalize(head.layers(scaled)))
        assert torch.equal(head.embed(x), head(x))
    assert torch.equal(x, before)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_loss_that_is_no_number_stops_the_run_and_names_the_step() -> None:
    spec = tiny_spec("scl", optimizer=OptimizerSpec(name="sgd", lr=1e38), epochs=4)
    with pytest.raises(TrainingError, match=r"became nan in epoch \d, step \d of 2"):
        train(spec, tiny_dataset())


def test_the_step_that_is_named_is_the_first_bad_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "STEPS", 2)
    x, y = torch.randn(36, 6), torch.arange(36) % 4
    x[24:] = math.nan
    head, loss = Head(6, HeadSpec(hidden=(16,), dim=8)), losses.create("scl")
    with pytest.raises(TrainingError, match="became nan in epoch 3, step 7 of 9"):
        _epoch(3, head, loss, None, x, y, list(torch.arange(36).split(4)))


def test_proxies_are_in_a_group_of_their_own() -> None:
    spec = tiny_spec("arcface", optimizer=OptimizerSpec(lr=0.1, loss_lr_mult=10, weight_decay=0.5))
    head = Head(6, spec.head)
    loss = losses.create("arcface", num_classes=4, dim=8, **spec.params)
    groups = make_optimizer(spec, head, loss).param_groups
    assert [(g["lr"], g["weight_decay"]) for g in groups] == [(0.1, 0.5), (1.0, 0.0)]
    assert {id(p) for p in groups[1]["params"]} == {id(p) for p in loss.parameters()}


def test_proxies_move() -> None:
    data, spec = tiny_dataset(), tiny_spec("ccl")
    trained = train(spec, data)
    torch.manual_seed(spec.seed)
    Head(6, spec.head)
    fresh = losses.create("ccl", num_classes=4, dim=8, **spec.params)
    for before, after in zip(fresh.parameters(), trained.loss.parameters(), strict=True):
        assert not torch.allclose(before, after)


@pytest.mark.parametrize("factor", [1.0, 0.01, 255.0])
def test_input_scale_makes_the_unit_of_the_features_irrelevant(factor: float) -> None:
    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)) * 3 + 1
    torch.manual_seed(0)
    head = Head(6, HeadSpec()).eval()
    head.fit_scale(x, "rms")
    reference = head(x)
    head.fit_scale(x * factor, "rms")
    torch.testing.assert_close(head(x * factor), reference, rtol=1e-4, atol=1e-5)


def test_standardize_copes_with_a_constant_dimension() -> None:
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) * 5 + 2
    x[:, 1] = 4
    head = Head(3, HeadSpec())
    head.fit_scale(x, "standardize")
    scaled = (x - head.shift) / head.scale
    torch.testing.assert_close(scaled.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(scaled.std(0, correction=0), torch.tensor([1.0, 0, 1]))


def test_the_head_is_the_one_of_the_paper() -> None:
    layers = [repr(layer) for layer in Head(768, HeadSpec()).layers]
    assert layers == [
        "Linear(in_features=768, out_features=512, bias=True)",
        "Tanh()",
        "Dropout(p=0.15, inplace=False)",
        "Linear(in_features=512, out_features=128, bias=True)",
        "Identity()",
    ]
    last = Head(8, HeadSpec(hidden=(4, 3), dim=2, final_activation="tanh")).layers[-1]
    assert isinstance(last, torch.nn.Tanh)


@pytest.mark.parametrize("name", SAMPLERS.names())
def test_every_sampler_uses_every_row_once(name: str) -> None:
    y = torch.tensor([0] * 50 + [1] * 7 + [2] * 1 + [4] * 30)
    draw = SAMPLERS.get(name)
    batches = draw(y, 16, torch.Generator().manual_seed(0))
    assert [len(b) for b in batches] == [16, 16, 16, 16, 16, 8]
    assert torch.equal(torch.cat(batches).sort().values, torch.arange(len(y)))
    again = draw(y, 16, torch.Generator().manual_seed(0))
    other = draw(y, 16, torch.Generator().manual_seed(1))
    assert all(torch.equal(a, b) for a, b in zip(batches, again, strict=True))
    assert not torch.equal(batches[0], other[0])


def test_m_per_class_gives_anchors_their_positives() -> None:
    y = torch.arange(200).repeat(20)
    batches = SAMPLERS.get("m_per_class")(y, 512, torch.Generator().manual_seed(0))
    for batch in batches:
        assert int(torch.bincount(y[batch])[y[batch]].min()) >= 2


def test_measuring_greediness_costs_at_most_half_a_step() -> None:
    """At the paper's size, both kinds of step in turn, medians; it is about 1.06 when quiet."""
    torch.manual_seed(0)
    x, y = torch.randn(512, 768), torch.randint(10, (512,))
    head = Head(768, HeadSpec())
    loss = losses.create("scl")
    meters = reading("step")

    def plain() -> None:
        head.zero_grad()
        loss(head(x), y).backward()

    def measured() -> None:
        _step(1, 0, head, loss, head(x), y, meters)

    times: dict[str, list[float]] = {"plain": [], "measured": []}
    for _ in range(15):
        for name, step in (("plain", plain), ("measured", measured)):
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    assert np.median(times["measured"]) <= 1.5 * np.median(times["plain"])
