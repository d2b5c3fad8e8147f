"""Fast kernels against the plain ones: whole (b, b) and (b, b, b) tensors, and autograd.

In blocks of one row, of a few and of all; on random, collapsed, clumped, duplicated and tied rows.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize, softplus

from metriscope import losses, ops
from metriscope.losses.base import Loss
from metriscope.ops import pairs
from metriscope.types import LossOutput
from tests.loss_cases import CLASSES, DIM, PLAIN, label, plain_cases

Terms = tuple[Tensor, Tensor, Tensor]  # values, which are terms, which are active
CLOSE = 1e-12  # distances nearer than this are equal


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("scl", {}),
        ("contrastive", {}),
        ("infonce", {}),
        ("infonce", {"positives": "all"}),
        ("triplet", {"mining": "batch_all"}),
        ("triplet", {"mining": "semi_hard"}),
    ],
)
def test_a_second_derivative_raises_and_is_never_wrong(name: str, params: dict[str, Any]) -> None:
    z = torch.randn(12, 4, dtype=torch.float64, requires_grad=True)
    loss = losses.create(name, **params)(z, torch.arange(12) % 3)
    (gradient,) = torch.autograd.grad(loss, z, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(gradient.square().sum(), z)


def test_torch_func_sees_a_written_out_gradient() -> None:
    z, y = torch.randn(12, 4, dtype=torch.float64), torch.arange(12) % 3
    for name in ("scl", "contrastive", "infonce"):
        loss = losses.create(name, **({"positives": "all"} if name == "infonce" else {}))
        own = z.clone().requires_grad_()
        loss(own, y).backward()
        torch.testing.assert_close(torch.func.grad(lambda z, f=loss: f(z, y))(z), own.grad)


# --------------------------------------------------------------------------- the plain definitions


def distances(z: Tensor) -> Tensor:
    """From differences; gradient 0 between equal rows."""
    d2 = (z[:, None] - z[None]).square().sum(2)
    equal = d2 <= 1e-14
    return torch.where(equal, 1, d2).sqrt() * ~equal


def masks(y: Tensor) -> tuple[Tensor, Tensor]:
    same = y[:, None] == y
    return same & ~torch.eye(len(y), dtype=torch.bool), ~same


def hinge(excess: Tensor, soft: bool) -> tuple[Tensor, Tensor]:
    return (softplus(excess) if soft else excess.relu()), excess > CLOSE


def triplets(z: Tensor, y: Tensor, mining: str, margin: float, squared: bool, soft: bool) -> Terms:
    d = distances(z).square() if squared else distances(z)
    pos, neg = masks(y)
    anchors = pos.any(1) & neg.any(1)
    margin = 0.0 if soft else margin
    if mining == "batch_all":
        every = (d[:, :, None] - d[:, None, :] + margin).reshape(-1)
        return (
            *hinge(every, soft)[:1],
            *((pos[:, :, None] & neg[:, None, :]).reshape(-1),),
            hinge(every, soft)[1],
        )
    d_an = d.masked_fill(~neg, torch.inf)
    if mining == "batch_hard":
        gap = (d * pos).amax(1) - torch.where(anchors, d_an.amin(1), 0)
        values, active = hinge(gap + margin, soft)
        return values, anchors, active
    beyond = torch.where(neg[:, None, :] & (d[:, None, :] > d[:, :, None] + CLOSE), d[:, None], 9)
    nearest, farthest = beyond.amin(2), (d * neg).amax(1, keepdim=True)
    values, active = hinge(d - torch.where(nearest < 9, nearest, farthest) + margin, soft)
    return values, pos & anchors[:, None], active


def contrastive(z: Tensor, y: Tensor, margin: float) -> tuple[Terms, Terms]:
    d = distances(z)
    pos, neg = (m.triu(1) for m in masks(y))
    return (d.square(), pos, d > 1e-6), ((margin - d).relu().square(), neg, d < margin - CLOSE)


def reduced(terms: Terms, reduction: str) -> Tensor:
    values, valid, active = terms
    chosen = valid & active if reduction == "mean_active" else valid
    total = values[chosen].sum()
    return total if reduction == "sum" else total / max(int(chosen.sum()), 1)


# ------------------------------------------------------------------------------------------- spaces


def space(kind: str, b: int = 45, dim: int = 6) -> Tensor:
    """Unit rows."""
    g = torch.Generator().manual_seed(1)
    z = normalize(torch.randn(b, dim, dtype=torch.float64, generator=g))
    if kind.startswith("cone"):
        z = z[:1] + float(kind.split()[1]) * z
    elif kind == "clumps":
        z = z[torch.arange(b) % 7] + 1e-5 * z
    elif kind == "duplicates":
        z = z[torch.arange(b) % 11]
    elif kind == "equal":
        z = z[:1].repeat(b, 1)
    elif kind == "ties":  # axes and their opposites: distances 0, √2 and 2 only
        z = torch.eye(dim, dtype=torch.float64)[torch.arange(b) % dim]
        z = z * torch.where(torch.arange(b) % 4 == 0, -1.0, 1.0)[:, None]
    return normalize(z)


KINDS = ["random", "cone 1e-3", "cone 1e-6", "clumps", "duplicates", "equal", "ties"]
LABELS = {
    "few": [i * i % 5 for i in range(45)],
    "many": [i % 29 for i in range(45)],
    "one": [3] * 45,
    "alone": list(range(45)),
}
every_kind = pytest.mark.parametrize("kind", KINDS)
every_layout = pytest.mark.parametrize("layout", LABELS)
every_block = pytest.mark.parametrize("rows", [1, 7, 1000])


def evaluate(name: str, z: Tensor, y: Tensor, **params: Any) -> tuple[LossOutput, Tensor]:
    """The loss as the kernels see it, on unit rows, and its gradient."""
    loss = losses.create(name, **params)
    z = z.clone().requires_grad_()
    out = loss.compute(z, y)
    (gradient,) = torch.autograd.grad(out.loss, z)
    return out, gradient


def assert_equal(name: str, z: Tensor, y: Tensor, want: Any, **params: Any) -> LossOutput:
    out, gradient = evaluate(name, z, y, **params)
    z = z.clone().requires_grad_()
    value, n_active, n_total, samples = want(z)
    assert out.loss.item() == pytest.approx(value.item(), rel=1e-9, abs=1e-12)
    assert int(out.active_terms) == n_active
    assert int(out.total_terms) == n_total
    assert out.active_samples.tolist() == samples.tolist()
    (wanted,) = torch.autograd.grad(value + z.sum() * 0, z)
    # Rounding of a distance of 1e-6 turns its direction by 1e-10.
    assert torch.allclose(gradient, wanted, rtol=1e-6, atol=1e-8 * max(1, len(z) * value.item()))
    return out


@every_kind
@every_layout
@every_block
@pytest.mark.parametrize("mining", ["batch_all", "semi_hard", "batch_hard"])
def test_triplets(
    mining: str, rows: int, layout: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    z, y = space(kind), torch.tensor(LABELS[layout])
    monkeypatch.setitem(pairs.BLOCK, "cpu", rows * len(z))
    for squared, soft, margin, reduction in [
        (False, False, 0.3, "mean"),
        (True, False, 2.0, "mean_active"),  # at the ties of axes exactly
        (False, False, 0.0, "sum"),
        (False, mining != "batch_all", 1.0, "mean_active"),
    ]:

        def want(z: Tensor) -> Any:
            values, valid, active = triplets(z, y, mining, margin, squared, soft)  # noqa: B023
            active = active & valid
            loss = reduced((values, valid, active), reduction)  # noqa: B023
            return loss, int(active.sum()), int(valid.sum()), active.reshape(len(z), -1).any(1)

        given = {"margin": margin, "squared": squared, "soft": soft, "reduction": reduction}
        if kind in ("duplicates", "equal", "ties") and mining != "batch_all":
            assert_values(z, y, want, mining=mining, **given)  # equal choices share no gradient
        else:
            assert_equal("triplet", z, y, want, mining=mining, **given)


def assert_values(z: Tensor, y: Tensor, want: Any, **params: Any) -> None:
    out, gradient = evaluate("triplet", z, y, **params)
    value, n_active, n_total, samples = want(z)
    assert out.loss.item() == pytest.approx(value.item(), rel=1e-9, abs=1e-12)
    assert (int(out.active_terms), int(out.total_terms)) == (n_active, n_total)
    assert out.active_samples.tolist() == samples.tolist()
    assert gradient.isfinite().all()


def test_batch_hard_finds_positives_that_are_all_at_the_anchor() -> None:
    z = torch.eye(3, dtype=torch.float64)[[0, 1, 1, 2, 2]]
    out, _ = evaluate("triplet", z, torch.tensor([0, 1, 1, 2, 2]), margin=2.0)
    assert out.loss.item() == pytest.approx(2 - 2**0.5)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        *[("triplet", {"mining": m}) for m in ("batch_all", "semi_hard", "batch_hard")],
        ("contrastive", {}),
    ],
    ids=label,
)
@pytest.mark.parametrize(("nearer", "n_active"), [(5e-13, 0), (2e-12, 2)])
def test_ties_reach_1e_12_far(
    name: str, params: dict[str, Any], nearer: float, n_active: int
) -> None:
    """Two samples at one point, and a negative nearer than the margin by so much."""
    angle = torch.tensor(2 * math.asin((0.5 - nearer) / 2), dtype=torch.float64)
    z = torch.stack([torch.stack([angle.cos(), angle.sin()])] + 2 * [torch.eye(2).double()[0]])
    out, _ = evaluate(name, z, torch.tensor([1, 0, 0]), margin=0.5, **params)
    assert int(out.active_terms) == n_active


@every_kind
@every_layout
@every_block
@pytest.mark.parametrize("weigh", ["all", "balanced"])
def test_contrastive(
    weigh: str, rows: int, layout: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    z, y = space(kind), torch.tensor(LABELS[layout])
    monkeypatch.setitem(pairs.BLOCK, "cpu", rows * len(z))
    for margin, reduction in [(1.0, "mean"), (0.3, "mean_active"), (2.0, "sum")]:

        def want(z: Tensor) -> Any:
            sides = contrastive(z, y, margin)  # noqa: B023
            active = sum(v & a for _, v, a in sides)
            whole = tuple(torch.cat(parts) for parts in zip(*sides, strict=True))
            parts = [whole] if weigh == "all" else sides
            loss = sum(reduced(part, reduction) for part in parts)  # noqa: B023
            n_total = sum(int(v.sum()) for _, v, _ in sides)
            return loss, int(active.sum()), n_total, active.any(0) | active.any(1)

        out = assert_equal(
            "contrastive", z, y, want, margin=margin, pairs=weigh, reduction=reduction
        )
        for side, (_, valid, active) in zip(
            ("positive", "negative"), contrastive(z, y, margin), strict=True
        ):
            found = tuple(map(int, out.details[f"active.terms.{side}"]))
            assert found == (int((valid & active).sum()), int(valid.sum()))


@pytest.mark.parametrize("kind", ["random", "cone 1e-3", "clumps"])
@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("contrastive", {}),
        ("triplet", {"mining": "batch_all"}),
        ("triplet", {"mining": "semi_hard", "margin": 0.3}),
        ("triplet", {}),
    ],
    ids=label,
)
def test_float32_gradient_is_off_by_a_few_roundings_of_the_rows(
    name: str, params: dict[str, Any], kind: str
) -> None:
    """Rows 1e-5 apart have two digits in float32: the gradient cannot have more."""
    exact = space(kind, b=300, dim=64)
    y = torch.arange(300) % 10
    z = exact.float()
    _, got = evaluate(name, z, y, **params)
    _, want = evaluate(name, z.double(), y, **params)
    _, moved = evaluate(name, exact, y, **params)  # z before it was rounded
    assert got.dtype == torch.float32
    rounding = (moved - want).norm() if kind == "clumps" else 0
    assert (got - want).norm() <= 1e-6 * want.norm() + 15 * rounding
    assert (got - want).norm() <= 0.03 * want.norm()


# ----------------------------------------------------------------------------------- good citizens


@plain_cases
def test_never_looks_at_a_value(name: str, params: dict[str, Any]) -> None:
    """Tensors without values: asking for one, as a device would have to wait for, is an error."""
    loss = losses.create(name, num_classes=CLASSES, dim=DIM, **params).to("meta")
    z = torch.empty(12, DIM, device="meta", requires_grad=True)
    # Not `evaluate`: autocast knows no such device.
    out = loss.compute(loss.prepare(z), torch.empty(12, dtype=torch.int64, device="meta"))
    out.loss.backward()
    assert z.grad is not None
    assert z.grad.shape == z.shape


@pytest.mark.parametrize(
    ("name", "params"), [c for c in PLAIN if c[0] in ("contrastive", "triplet")], ids=label
)
def test_no_gradient_is_made_that_is_not_wanted(
    name: str, params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = losses.create(name, **params)
    z, y = space("random", 12).requires_grad_(), torch.arange(12) % 3
    want = loss(z, y)

    def fail(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(ops.PairBlocks, "add_gradient", fail)
    with torch.no_grad():
        assert torch.equal(loss(z, y), want)
    assert not loss(z.detach(), y).requires_grad


class Constant(Loss):
    """A loss that knows no better than a number."""

    def compute(self, z: Tensor, labels: Tensor) -> LossOutput:
        count = labels.sum() * 0
        return LossOutput(torch.tensor(0.0), count, count, labels < 0, count)


def test_a_loss_without_a_graph_gets_one() -> None:
    z = torch.ones(3, 2, requires_grad=True)
    Constant()(z, torch.arange(3)).backward()
    assert z.grad is not None
    assert not z.grad.any()
    assert Constant()(z * torch.nan, torch.arange(3)).isnan()


@plain_cases
def test_strided_rows_are_rows(name: str, params: dict[str, Any]) -> None:
    torch.manual_seed(0)
    loss = losses.create(name, num_classes=CLASSES, dim=DIM, **params)
    z, y = torch.randn(DIM, 20).T, torch.arange(40)[::2] // 4 % CLASSES
    found = []
    for rows, labels in ((z, y), (z.contiguous(), y.contiguous())):
        torch.manual_seed(0)
        x = rows.clone(memory_format=torch.preserve_format).requires_grad_()
        out = loss(x, labels)
        out.backward()
        found.append((out.item(), x.grad))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert torch.allclose(found[0][1], found[1][1], rtol=1e-3, atol=1e-6)


MEMORY = """
import json, resource, sys, torch
from metriscope import losses
torch.set_num_threads(1)
def step(b, name, params):
    torch.manual_seed(0)
    z, y = torch.randn(b, 128, requires_grad=True), torch.randint(b // 40, (b,))
    losses.create(name, **params)(z, y).backward()
    assert z.grad.isfinite().all() and z.grad.any()
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
unit = 2**20 if sys.platform == "darwin" else 2**10
found = []
for b, name, params in json.loads(sys.argv[1]):
    step(80, name, params)
    before = peak()
    step(b, name, params)
    found.append(peak() - before)
print(json.dumps(found))
"""


def test_memory_of_large_batches() -> None:
    """Growth of the peak in MiB, smallest first: a (4096, 4096) matrix of float32 is 64."""
    steps: list[tuple[int, str, dict[str, Any], float]] = [
        (512, "infonce", {"positives": "all"}, 64),
        (4096, "triplet", {}, 48),
        (4096, "contrastive", {}, 48),
        (4096, "triplet", {"mining": "batch_all"}, 48),
    ]
    given = json.dumps([step[:3] for step in steps])
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, given], capture_output=True, text=True, check=True
    )
    for (*step, most), found in zip(steps, json.loads(done.stdout), strict=True):
        assert found <= most, step
