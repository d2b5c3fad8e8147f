"""Every registered loss, in every variant: equal to its slow reference, and a good citizen.

A new loss is picked up from the registry; it needs ``tests/reference/<name>.py`` and nothing here.
"""

from __future__ import annotations

import copy
import importlib
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.func import functional_call

from metriscope import losses
from metriscope.diagnostics import DIAGNOSTICS
from metriscope.losses import LOSSES, PAPER, _draw
from metriscope.losses.base import Loss
from tests.loss_cases import (
    CLASSES,
    DIM,
    LAYOUTS,
    NUMBERS,
    batch,
    every_case,
    every_name,
    make,
    plain_cases,
    seeded,
    variants,
)


def expected(name: str, loss: Loss, params: dict[str, Any], z: Tensor, y: Tensor) -> Any:
    """The reference's output, with the draw that ``seeded`` makes."""
    given: dict[str, Any] = dict(params)
    torch.manual_seed(0)
    if name == "infonce":
        given["draw"] = _draw.positive(y).tolist()
    elif name == "npair":
        each = params.get("pairing", "class") == "anchor"
        anchors = [] if each else _draw.anchor_of_class(y).tolist()
        given["draw"] = (anchors, _draw.positive(y).tolist())
    elif loss.class_level:
        given["proxies"] = loss.proxies.tolist()
    module = importlib.import_module(f"tests.reference.{name}")
    return module.reference(z.tolist(), y.tolist(), **given)


def assert_equals_reference(name: str, params: dict[str, Any], z: Tensor, y: Tensor) -> None:
    loss = make(name, params)
    out, want = seeded(loss, z, y), expected(name, loss, params, z, y)
    assert out.loss.item() == pytest.approx(want.loss, rel=1e-9, abs=1e-10)
    assert int(out.active_terms) == want.active_terms
    assert int(out.total_terms) == want.total_terms
    assert out.active_samples.tolist() == want.active_samples
    assert int(out.excluded) == want.excluded


# ------------------------------------------------------------------------------------- definition


def test_the_papers_seven_are_there() -> None:
    assert set(PAPER) <= set(LOSSES.names())


@every_name
def test_has_a_reference(name: str) -> None:
    assert callable(importlib.import_module(f"tests.reference.{name}").reference)


@every_name
def test_every_choice_is_a_variant(name: str) -> None:
    assert len(variants(name)) >= 3  # three reductions at least: nothing is skipped silently
    assert set(NUMBERS) <= set(LOSSES.names())


@every_case
def test_equals_reference(name: str, params: dict[str, Any]) -> None:
    for y in LAYOUTS.values():
        assert_equals_reference(name, params, *batch(y))


@plain_cases
def test_equals_reference_with_duplicates(name: str, params: dict[str, Any]) -> None:
    z, y = batch(LAYOUTS["uneven"])
    z[[3, 8, 12]] = z[2].clone()  # of its own class and of others
    z[5] = z[3] * 2
    assert_equals_reference(name, params, z, y)


@plain_cases
def test_equals_reference_on_large_batch(name: str, params: dict[str, Any]) -> None:
    assert_equals_reference(name, params, *batch([(i * i) % CLASSES for i in range(32)], seed=3))


@plain_cases
def test_gradcheck(name: str, params: dict[str, Any]) -> None:
    loss = make(name, params)
    names = [n for n, _ in loss.named_parameters()]
    z, y = batch(LAYOUTS["singletons"], seed=1)

    def value(z: Tensor, *weights: Tensor) -> Tensor:
        torch.manual_seed(0)
        out = functional_call(loss, dict(zip(names, weights, strict=True)), (z, y))
        assert isinstance(out, Tensor)
        return out

    weights = [w.detach().clone().requires_grad_() for w in loss.parameters()]
    assert torch.autograd.gradcheck(value, (z.requires_grad_(), *weights))


# ------------------------------------------------------------------------------ degenerate batches


@plain_cases
@pytest.mark.parametrize("kind", ["random", "duplicates", "collapsed", "antipodes", "zeros"])
def test_finite_on_degenerate_batches(name: str, params: dict[str, Any], kind: str) -> None:
    for layout in LAYOUTS.values():
        z, y = batch(layout)
        z = z.float()
        if kind == "duplicates":
            z[len(z) // 2 :] = z[0]
        elif kind == "collapsed":
            z[:] = z[0]
        elif kind == "antipodes":
            z = z[:1] * torch.where(torch.arange(len(z)) % 2 == 0, 1.0, -1.0)[:, None]
        elif kind == "zeros":
            z[:] = 0
        loss = make(name, params, torch.float32)
        z.requires_grad_()
        out = seeded(loss, z, y)
        out.loss.backward()
        assert out.loss.dtype == torch.float32
        assert torch.isfinite(out.loss)
        assert torch.isfinite(z.grad).all()
        for weight in loss.parameters():
            assert torch.isfinite(weight.grad).all()
        if not int(out.total_terms):
            assert out.loss.item() == 0
            assert not z.grad.any()


@plain_cases
def test_nan_is_never_hidden(name: str, params: dict[str, Any]) -> None:
    for layout in ("uneven", "one class", "one sample"):
        for bad in (torch.nan, torch.inf):
            z, y = batch(LAYOUTS[layout])
            z[-1, 0] = bad
            assert seeded(make(name, params), z, y).loss.isnan()


# ------------------------------------------------------------------------------------------ citizen


@plain_cases
@given(y=st.lists(st.integers(0, CLASSES - 1), min_size=1, max_size=14), seed=st.integers(0, 2**16))
@settings(max_examples=8, deadline=None)
def test_counts_agree(name: str, params: dict[str, Any], y: list[int], seed: int) -> None:
    out = seeded(make(name, params), *batch(y, seed))
    active, total, excluded = int(out.active_terms), int(out.total_terms), int(out.excluded)
    samples = int(out.active_samples.sum())
    assert 0 <= active <= total
    assert (samples > 0) == (active > 0)
    assert samples <= len(y) - excluded
    assert 0 <= excluded <= len(y)
    assert out.loss.item() >= 0
    assert out.active_samples.shape == (len(y),)
    assert out.active_samples.dtype == torch.bool
    assert out.active_terms.dtype == out.total_terms.dtype == out.excluded.dtype == torch.int64
    assert out.loss.shape == out.active_terms.shape == out.excluded.shape == ()
    counts = torch.bincount(torch.tensor(y))
    if counts.max() == 1 and name in ("triplet", "npair", "infonce", "scl"):
        assert total == 0
        assert excluded == len(y)


@plain_cases
def test_reductions_are_one_sum_over_different_counts(name: str, params: dict[str, Any]) -> None:
    z, y = batch(LAYOUTS["uneven"])
    by = {r: seeded(make(name, {**params, "reduction": r}), z, y) for r in ("mean", "sum")}
    if name == "scl" or params.get("pairs") == "balanced":
        return  # their mean is over anchors, and by side: the reference tests have it
    assert by["mean"].loss.item() * int(by["mean"].total_terms) == pytest.approx(
        by["sum"].loss.item()
    )
    hinge = name == "contrastive" or (name == "triplet" and not params.get("soft"))
    if hinge:  # inactive terms are 0
        out = seeded(make(name, {**params, "reduction": "mean_active"}), z, y)
        assert out.loss.item() * int(out.active_terms) == pytest.approx(by["sum"].loss.item())


@plain_cases
def test_calling_it_is_evaluating_it(name: str, params: dict[str, Any]) -> None:
    loss = make(name, params)
    z, y = batch(LAYOUTS["uneven"])
    torch.manual_seed(0)
    called = loss(z, y)
    assert torch.equal(called, seeded(loss, z, y).loss)
    assert called.shape == ()


@plain_cases
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(
    name: str, params: dict[str, Any], dtype: torch.dtype
) -> None:
    loss = make(name, params, torch.float32)
    z, y = batch(LAYOUTS["uneven"])
    z = z.to(dtype).requires_grad_()
    out = seeded(loss, z, y).loss
    assert out.dtype == torch.float32
    assert torch.equal(out, seeded(loss, z.detach().float(), y).loss)
    out.backward()
    assert z.grad.dtype == dtype
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(out, seeded(loss, z.detach(), y).loss)


@plain_cases
def test_copies_and_state(name: str, params: dict[str, Any]) -> None:
    loss = make(name, params)
    z, y = batch(LAYOUTS["uneven"])
    want = seeded(loss, z, y).loss
    assert torch.equal(want, seeded(copy.deepcopy(loss), z, y).loss)
    torch.manual_seed(99)
    other = losses.create(name, num_classes=CLASSES, dim=DIM, **params).double()
    other.load_state_dict(loss.state_dict())
    assert torch.equal(want, seeded(other, z, y).loss)


@every_name
def test_repr_shows_every_parameter(name: str) -> None:
    text = repr(make(name, {}))
    for key, default in LOSSES.describe(name).parameters.items():
        assert f"{key}={default!r}" in text


@every_name
def test_defaults_are_literals(name: str) -> None:
    loss = make(name, {})
    entry = LOSSES.describe(name)
    assert entry.summary.endswith(".")
    assert entry.parameters["reduction"] == "mean"
    for key, default in entry.parameters.items():
        assert getattr(loss, key) == default


@every_name
def test_class_level_losses_have_unit_proxies(name: str) -> None:
    loss = make(name, {})
    assert loss.class_level == bool(list(loss.parameters()))
    if loss.class_level:
        assert loss.proxies.shape == (CLASSES, DIM)
        assert torch.allclose(loss.proxies.norm(dim=1), torch.ones(CLASSES).double())


@plain_cases
def test_keeps_only_a_few_matrices(name: str, params: dict[str, Any]) -> None:
    """What autograd keeps for the backward pass, in float64 (b, b) matrices."""
    b = 256
    loss = losses.create(name, num_classes=5, dim=16, **params)
    torch.manual_seed(0)
    z, y = torch.randn(b, 16, requires_grad=True), torch.randint(5, (b,))
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        out = loss(z, y)
    assert sum(kept.values()) <= 4.5 * b * b * 8
    out.backward()


@every_case
@pytest.mark.parametrize("kind", [[0, 0, 1, 1, 2, 2, 0, 1], [0, 1, 2, 3], [1, 1, 1], [2]])
def test_details_are_declared_shares_within_bounds(
    name: str, params: dict[str, Any], kind: list[int]
) -> None:
    declared = {s.name: s for s in DIAGNOSTICS.get("loss_details").scores}
    z, y = batch(kind)
    for detail, (part, whole) in make(name, params).evaluate(z.requires_grad_(), y).details.items():
        assert not part.requires_grad
        assert part.shape == whole.shape == ()
        assert 0 <= float(part) < math.inf
        if whole > 0:
            assert declared[detail].lower <= float(part / whole) <= declared[detail].upper
