"""Every registered loss, in every variant: equal to its slow reference, and a good citizen.

A new loss is picked up from the registry; it needs ``tests/reference/<name>.py`` and nothing here.
"""

from __future__ import annotations

import copy
import importlib
import itertools
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.func import functional_call

from metriscope import losses
from metriscope.losses import LOSSES, PAPER, _draw
from metriscope.losses.base import Loss
from metriscope.types import InputError

DIM, CLASSES = 5, 8

# Numbers other than the defaults. Choices and flags are found in the signatures.
NUMBERS: dict[str, list[dict[str, Any]]] = {
    "contrastive": [{"margin": 0.3}, {"margin": 2.5}],
    "triplet": [{"margin": 0.0}, {"margin": 0.2}],
    "npair": [{"scale": 7.0, "l2": 0.5}],
    "infonce": [{"temperature": 1.0}],
    "arcface": [{"scale": 4.0, "margin": 0.0}, {"margin": 1.5}],
    "scl": [{"temperature": 0.5}],
    "ccl": [{"margin": 0.3, "weight": 0.5, "label_smoothing": 0.1}],
}
IMPOSSIBLE = [{"mining": "batch_all", "soft": True}]

LAYOUTS: dict[str, list[int]] = {
    "balanced": [0, 1, 2, 3] * 4,
    "uneven": [3, 0, 0, 1, 0, 0, 1, 0, 2, 1, 2, 0, 3, 2, 0, 1, 0],
    "singletons": [0, 0, 1, 2, 0, 3, 4, 5, 0, 1, 6],
    "all different": [4, 2, 0, 1, 3],
    "one class": [2] * 6,
    "one positive pair": [1, 1],
    "one negative pair": [1, 0],
    "one sample": [3],
}


def variants(name: str) -> list[dict[str, Any]]:
    """Every choice with every other, then other numbers with each single choice."""
    hints = get_type_hints(LOSSES.get(name).__init__)
    choices: dict[str, tuple[Any, ...]] = {}
    for key, hint in hints.items():
        if get_origin(hint) is Literal:
            choices[key] = get_args(hint)
        elif hint is bool:
            choices[key] = (False, True)
    grid = [dict(zip(choices, v, strict=True)) for v in itertools.product(*choices.values())]
    modes = [key for key in choices if key != "reduction" and str in map(type, choices[key])]
    singles = [{k: v} for k in modes for v in choices[k]] or [{}]
    grid += [{**n, **single} for n in NUMBERS.get(name, []) for single in singles]
    return [v for v in grid if not any(bad.items() <= v.items() for bad in IMPOSSIBLE)]


def label(case: Any) -> str:
    return ",".join(map(str, case.values())) if isinstance(case, dict) else str(case)


CASES = [(name, params) for name in LOSSES.names() for params in variants(name)]
every_case = pytest.mark.parametrize(("name", "params"), CASES, ids=label)
PLAIN = [(n, p) for n, p in CASES if p.get("reduction", "mean") == "mean"]
plain_cases = pytest.mark.parametrize(("name", "params"), PLAIN, ids=label)
every_name = pytest.mark.parametrize("name", LOSSES.names())


def make(name: str, params: dict[str, Any], dtype: torch.dtype = torch.float64) -> Loss:
    torch.manual_seed(7)
    return losses.create(name, num_classes=CLASSES, dim=DIM, **params).to(dtype)


def batch(y: list[int], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Overlapping classes: class means plus noise of the same size."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(CLASSES, DIM, dtype=torch.float64, generator=generator)
    noise = torch.randn(len(y), DIM, dtype=torch.float64, generator=generator)
    return means[torch.tensor(y)] + noise, torch.tensor(y)


def seeded(loss: Loss, z: Tensor, y: Tensor) -> Any:
    torch.manual_seed(0)
    return loss.evaluate(z, y)


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


# ---------------------------------------------------------------------------------- invariances


@pytest.fixture
def fixed_draw(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes losses draw given pairs: call it with labels, and where each sample has moved to."""

    def fix(y: Tensor, order: Tensor) -> None:
        torch.manual_seed(0)
        anchors, positive = drawn["anchors"](y), drawn["positive"](y)
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order))
        monkeypatch.setattr(_draw, "anchor_of_class", lambda _: anchors[order])
        monkeypatch.setattr(_draw, "positive", lambda _: place[positive[order]])

    drawn = {"anchors": _draw.anchor_of_class, "positive": _draw.positive}
    return fix


def assert_same(name: str, a: Any, b: Any, order: Tensor) -> None:
    assert b.loss.item() == pytest.approx(a.loss.item(), rel=1e-9), name
    assert int(b.active_terms) == int(a.active_terms)
    assert int(b.total_terms) == int(a.total_terms)
    assert int(b.excluded) == int(a.excluded)
    assert b.active_samples.tolist() == a.active_samples[order].tolist()


@plain_cases
def test_order_of_the_batch_does_not_matter(
    name: str, params: dict[str, Any], fixed_draw: Any
) -> None:
    loss = make(name, params)
    z, y = batch(LAYOUTS["uneven"])
    torch.manual_seed(5)
    order = torch.randperm(len(y))
    if params.get("pairing") == "half":  # which half a sample is in does matter
        h = len(y) // 2
        order = torch.cat([torch.randperm(h), torch.randperm(h) + h, torch.tensor([2 * h])])
    same = torch.arange(len(y))
    fixed_draw(y, same)
    before = loss.evaluate(z, y)
    fixed_draw(y, order)
    if params.get("pairing") == "half":
        # N-pair counts pairs (i, h + i) as nothing special: each half may be shuffled alone.
        assert not torch.equal(order[:h], order[h : 2 * h] - h)
    assert_same(name, before, loss.evaluate(z[order], y[order]), order)


@plain_cases
def test_rotation_does_not_matter(name: str, params: dict[str, Any], fixed_draw: Any) -> None:
    loss = make(name, params)
    z, y = batch(LAYOUTS["uneven"])
    same = torch.arange(len(y))
    fixed_draw(y, same)
    before = loss.evaluate(z, y)
    q, _ = torch.linalg.qr(torch.randn(DIM, DIM, dtype=torch.float64))
    with torch.no_grad():
        for weight in loss.parameters():
            weight.copy_(weight @ q)
    assert_same(name, before, loss.evaluate(z @ q, y), same)


@plain_cases
def test_names_of_classes_do_not_matter(name: str, params: dict[str, Any], fixed_draw: Any) -> None:
    loss = make(name, params)
    z, y = batch(LAYOUTS["uneven"])
    same = torch.arange(len(y))
    fixed_draw(y, same)
    before = loss.evaluate(z, y)
    torch.manual_seed(6)
    codes = torch.randperm(CLASSES)
    if loss.class_level:
        with torch.no_grad():
            for weight in loss.parameters():
                weight[codes] = weight.clone()
    else:
        codes = codes * 10**15 - 3 * 10**15
    assert_same(name, before, loss.evaluate(z, codes[y]), same)


@plain_cases
def test_length_of_embeddings_does_not_matter(name: str, params: dict[str, Any]) -> None:
    if params.get("normalize") is False:
        pytest.skip("this variant keeps lengths")
    loss = make(name, params)
    z, y = batch(LAYOUTS["uneven"])
    lengths = torch.linspace(0.1, 30, len(y), dtype=torch.float64)[:, None]
    assert_same(name, seeded(loss, z, y), seeded(loss, z * lengths, y), torch.arange(len(y)))


@plain_cases
@given(
    y=st.lists(st.integers(0, CLASSES - 1), min_size=1, max_size=14), seed=st.integers(0, 2**16)
)
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


# ---------------------------------------------------------------------------------------- citizen


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


# --------------------------------------------------------------------------------------- bad input


@every_name
def test_bad_batches_are_refused(name: str) -> None:
    loss = make(name, {})
    z, y = batch([0, 0, 1, 1])
    for bad_z, bad_y, says in [
        (z[0], y, "matrix"),
        (z.long(), y, "floating-point"),
        (z, y[:3], "4 integers"),
        (z, y.double(), "4 integers"),
        (z, y[:, None], "4 integers"),
        (z[:0], y[:0], "empty"),
    ]:
        with pytest.raises(InputError, match=says):
            loss(bad_z, bad_y)


@pytest.mark.parametrize("name", ["arcface", "ccl"])
def test_class_level_losses_check_labels_and_sizes(name: str) -> None:
    loss = make(name, {})
    z, y = batch([0, 0, 1, 1])
    with pytest.raises(InputError, match=r"label 9 is outside \[0, 8\)"):
        loss(z, torch.tensor([0, 9, 1, 1]))
    with pytest.raises(InputError, match=r"label -1 is outside"):
        loss(z, torch.tensor([0, -1, 1, 1]))
    with pytest.raises(InputError, match="4 dimensions"):
        loss(z[:, :4], y)
    with pytest.raises(InputError, match="num_classes= and dim="):
        losses.create(name)
    with pytest.raises(InputError, match="num_classes is 1"):
        losses.create(name, num_classes=1, dim=4)


def test_create_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean triplet"):
        losses.create("tripelt")
    with pytest.raises(InputError, match="did you mean margin"):
        losses.create("triplet", margn=1)
    with pytest.raises(InputError, match="unknown parameter of scl"):
        losses.create("scl", margin=1)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        *[(n, {"reduction": "average"}) for n in PAPER],
        *[(n, {"margin": -0.1}) for n in ("contrastive", "triplet", "arcface", "ccl")],
        *[(n, {"margin": float("nan")}) for n in ("contrastive", "triplet", "arcface", "ccl")],
        *[(n, {"margin": "1"}) for n in ("contrastive", "triplet", "arcface", "ccl")],
        *[(n, {"temperature": 0}) for n in ("infonce", "scl")],
        *[(n, {"scale": 0}) for n in ("npair", "arcface", "ccl")],
        *[(n, {"scale": float("inf")}) for n in ("npair", "arcface", "ccl")],
        ("arcface", {"margin": 1.6}),
        ("ccl", {"label_smoothing": 1.1}),
        ("ccl", {"weight": -1}),
        ("ccl", {"form": "wen2016"}),
        ("npair", {"l2": -1}),
        ("npair", {"normalize": 1}),
        ("npair", {"pairing": "all"}),
        ("infonce", {"positives": "two"}),
        ("scl", {"form": "sideways"}),
        ("contrastive", {"pairs": "some"}),
        ("triplet", {"mining": "easy"}),
        ("triplet", {"soft": "yes"}),
        ("triplet", {"mining": "batch_all", "soft": True}),
    ],
    ids=label,
)
def test_bad_parameters_are_refused(name: str, params: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(params))):
        make(name, params)


def test_advice_on_margins_that_cannot_be_met() -> None:
    for name, key in (("contrastive", "negative pairs"), ("triplet", "triplets")):
        (said,) = losses.create(name, margin=2.5).advice(10)
        assert "margin 2.5 cannot be met" in said
        assert "1.49" in said
        assert key in said
        assert losses.create(name, margin=1.4).advice(10) == []
        assert losses.create(name, margin=1.9).advice(2) == []  # antipodes
    assert losses.create("triplet", margin=2.0, squared=True).advice(10) == []
    assert losses.create("triplet", margin=5.0, soft=True).advice(10) == []


# ------------------------------------------------------------------------------------------- draws


def test_drawn_positives_are_uniform_over_the_others() -> None:
    y = torch.tensor([5, 1, 5, 5, 9, 1, 5])
    torch.manual_seed(0)
    draws = torch.stack([_draw.positive(y) for _ in range(3000)])
    for i, others in {0: [2, 3, 6], 3: [0, 2, 6], 1: [5], 4: [4]}.items():
        found, counts = draws[:, i].unique(return_counts=True)
        assert found.tolist() == others
        # 4.5 standard deviations of a count of 3000 draws at 1/3
        assert (counts - 3000 / len(others)).abs().max() < 4.5 * 26


def test_drawn_anchors_are_one_of_each_class_with_two() -> None:
    y = torch.tensor([5, 1, 5, 5, 9, 1, 5])
    torch.manual_seed(0)
    draws = torch.stack([_draw.anchor_of_class(y) for _ in range(3000)])
    assert (draws[:, y == 5].sum(1) == 1).all()
    assert (draws[:, y == 1].sum(1) == 1).all()
    assert not draws[:, y == 9].any()
    share = draws.double().mean(0)
    assert torch.allclose(share[y == 5], torch.tensor(0.25).double(), atol=0.04)
    assert torch.allclose(share[y == 1], torch.tensor(0.5).double(), atol=0.04)


def test_npair_draws_another_pair_each_step() -> None:
    z, y = batch([0] * 8 + [1] * 8)
    loss = make("npair", {})
    torch.manual_seed(0)
    values = {loss(z, y).item() for _ in range(20)}
    assert len(values) > 10
    torch.manual_seed(0)
    assert loss(z, y).item() in values
