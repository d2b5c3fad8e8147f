"""Losses where the answer is known in closed form: everything in one point, and a perfect simplex.

C classes of k samples. At one point every cosine is 1. At the simplex, the best that C classes of
unit vectors can do, samples sit on their class vector and the cosine between classes is −1/(C−1):
a distance of √K, K = 2C/(C−1).
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from metriscope import losses
from metriscope.losses.base import ClassLevelLoss, Loss
from metriscope.types import LossOutput

C, SIZE = 6, 4
B, K, P = C * SIZE, C * SIZE - SIZE, SIZE - 1  # samples, negatives and positives of each
TAU = 0.07


def labels(c: int = C, size: int = SIZE) -> Tensor:
    return torch.arange(c).repeat(size)


def simplex(c: int) -> Tensor:
    return torch.nn.functional.normalize(torch.eye(c, dtype=torch.float64) - 1 / c, dim=1)


def evaluate(
    name: str, z: Tensor, y: Tensor, proxies: Tensor, params: dict[str, Any]
) -> LossOutput:
    loss: Loss = losses.create(name, num_classes=len(proxies), dim=z.shape[1], **params).double()
    if isinstance(loss, ClassLevelLoss):
        with torch.no_grad():
            next(loss.parameters()).copy_(proxies)
    return loss.evaluate(z, y)


def active_share(out: LossOutput) -> float:
    return int(out.active_terms) / int(out.total_terms)


NEGATIVE_PAIRS = K / (B - 1)
# cos(θ + m) at θ = 0, with ArcFace's largest cosine and smallest sine
PHI = (1 - 1e-7) * math.cos(0.5) - 1e-3 * math.sin(0.5)

COLLAPSED = [
    ("contrastive", {}, NEGATIVE_PAIRS, NEGATIVE_PAIRS),
    ("contrastive", {"margin": 0.7}, 0.49 * NEGATIVE_PAIRS, NEGATIVE_PAIRS),
    ("contrastive", {"margin": 0.7, "pairs": "balanced"}, 0.49, NEGATIVE_PAIRS),
    ("triplet", {"margin": 0.4}, 0.4, 1),
    ("triplet", {"margin": 0.4, "mining": "semi_hard"}, 0.4, 1),
    ("triplet", {"margin": 0.4, "mining": "batch_all"}, 0.4, 1),
    ("triplet", {"margin": 0.4, "mining": "batch_all", "squared": True}, 0.4, 1),
    ("triplet", {"soft": True}, math.log(2), 0),  # no ranking is violated where all is equal
    ("triplet", {"margin": 0.0}, 0, 0),
    ("npair", {}, math.log(C), 1),
    ("npair", {"pairing": "half"}, math.log(B / 2), 1),
    ("npair", {"pairing": "anchor"}, math.log(1 + K), 1),
    ("infonce", {}, math.log(1 + K), 1),
    ("infonce", {"positives": "all"}, math.log(1 + K), 1),
    ("scl", {}, math.log(B - 1), 1),
    ("scl", {"form": "in"}, math.log(B - 1), 1),
    ("arcface", {"scale": 8.0}, math.log(1 + (C - 1) * math.exp(8 * (1 - PHI))), 1),
    ("ccl", {}, math.log(C), 0),  # no other centre is nearer
    ("ccl", {"margin": 0.2}, math.log(1 + (C - 1) * math.exp(16 * 0.2)), 0),
    ("ccl", {"form": "qi2017"}, 0, 0),
]


@pytest.mark.parametrize(("name", "params", "value", "share"), COLLAPSED)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_all_embeddings_identical(
    name: str, params: dict[str, Any], value: float, share: float, dtype: torch.dtype
) -> None:
    point = torch.randn(9, generator=torch.Generator().manual_seed(3)).to(dtype)
    z = point.repeat(B, 1).requires_grad_()
    out = evaluate(name, z, labels(), point.double().repeat(C, 1), params)
    # float32: cosines of 1 are off by up to 2e-7, and a logit by that over τ.
    assert out.loss.item() == pytest.approx(
        value, rel=1e-5 if dtype is torch.float32 else 1e-9, abs=1e-9
    )
    if name != "ccl" or dtype is torch.float64:  # rounding decides which centre is nearer
        assert active_share(out) == pytest.approx(share)
    out.loss.backward()
    assert torch.isfinite(z.grad).all()
    assert int(out.excluded) == 0


GAP = C / (C - 1)  # cosine distance between classes
ROOT = math.sqrt(2 * GAP)
ARC = -1 / (C - 1) - PHI

SIMPLEX = [
    ("contrastive", {}, 0, 0),
    ("contrastive", {"margin": 2.0}, NEGATIVE_PAIRS * (2 - ROOT) ** 2, NEGATIVE_PAIRS),
    ("contrastive", {"margin": 2.0, "pairs": "balanced"}, (2 - ROOT) ** 2, NEGATIVE_PAIRS),
    *[("triplet", {"mining": m}, 0, 0) for m in ("batch_hard", "semi_hard", "batch_all")],
    *[
        ("triplet", {"margin": 2.0, "mining": m}, 2 - ROOT, 1)
        for m in ("batch_hard", "semi_hard", "batch_all")
    ],
    ("triplet", {"margin": 2.0, "squared": True}, 0, 0),
    ("triplet", {"margin": 3.0, "squared": True}, 3 - 2 * GAP, 1),
    ("triplet", {"soft": True}, math.log1p(math.exp(-ROOT)), 0),
    ("npair", {}, math.log(1 + (C - 1) * math.exp(-GAP)), 0),
    ("npair", {"scale": 5.0}, math.log(1 + (C - 1) * math.exp(-5 * GAP)), 0),
    ("npair", {"pairing": "anchor"}, math.log(1 + K * math.exp(-GAP)), 0),
    ("npair", {"pairing": "half"}, math.log(SIZE / 2 * (1 + (C - 1) * math.exp(-GAP))), 0),
    ("infonce", {}, math.log1p(K * math.exp(-GAP / TAU)), 0),
    ("infonce", {"positives": "all"}, math.log1p(K * math.exp(-GAP / TAU)), 0),
    ("scl", {}, math.log(P + K * math.exp(-GAP / TAU)), 0),
    ("scl", {"form": "in"}, math.log(P + K * math.exp(-GAP / TAU)), 0),
    ("arcface", {}, math.log1p((C - 1) * math.exp(64 * ARC)), 0),
    ("arcface", {"scale": 2.0}, math.log1p((C - 1) * math.exp(2 * ARC)), 0),
    ("ccl", {}, math.log1p((C - 1) * math.exp(-16 * GAP)), 0),
    ("ccl", {"scale": 2.0, "margin": 0.3}, math.log1p((C - 1) * math.exp(-2 * (GAP - 0.3))), 0),
    ("ccl", {"form": "qi2017"}, 0, 0),
]


@pytest.mark.parametrize(("name", "params", "value", "share"), SIMPLEX)
def test_perfect_simplex(name: str, params: dict[str, Any], value: float, share: float) -> None:
    vectors = simplex(C)
    z = vectors[labels()].requires_grad_()
    out = evaluate(name, z, labels(), vectors, params)
    # abs: softmax tails below rounding.
    assert out.loss.item() == pytest.approx(value, rel=1e-9, abs=1e-13)
    assert active_share(out) == pytest.approx(share)
    out.loss.backward()
    assert torch.isfinite(z.grad).all()


SOFTMAX = [
    ("npair", {"pairing": "half"}),
    ("npair", {"pairing": "anchor"}),
    ("infonce", {"positives": "all"}),
    ("scl", {}),
    ("scl", {"form": "in"}),
    ("ccl", {}),
]


@pytest.mark.parametrize(("name", "params"), SOFTMAX)
def test_simplex_is_the_minimum_of_softmax_losses(name: str, params: dict[str, Any]) -> None:
    """There the gradient vanishes, and any move costs."""
    vectors = simplex(C)
    z = vectors[labels()].requires_grad_()
    torch.manual_seed(0)  # one draw for all
    best = evaluate(name, z, labels(), vectors, params)
    best.loss.backward()
    assert z.grad.abs().max() < 1e-6
    noise = torch.randn_like(z)
    for size in (0.01, 0.1, 1.0):
        moved = z.detach() + size * noise
        torch.manual_seed(0)
        assert evaluate(name, moved, labels(), vectors, params).loss > best.loss


@pytest.mark.parametrize(("c", "start", "floor"), [(10, 2.303, 1.377), (200, 5.298, 4.302)])
def test_npair_at_scale_1_can_hardly_fall(c: int, start: float, floor: float) -> None:
    y = labels(c, 2)
    collapsed = evaluate("npair", torch.ones(2 * c, c).double(), y, simplex(c), {})
    best = evaluate("npair", simplex(c)[y], y, simplex(c), {})
    assert collapsed.loss.item() == pytest.approx(start, abs=5e-4)
    assert best.loss.item() == pytest.approx(floor, abs=5e-4)


def test_npair_uses_two_samples_a_class() -> None:
    y = torch.arange(10).repeat(51)
    out = evaluate("npair", torch.randn(510, 16), y, torch.randn(10, 16), {})
    assert int(out.total_terms) == 10
    assert int(out.excluded) == 0
    assert int(out.active_samples.sum()) <= 10


def test_margin_of_two_never_lets_go() -> None:
    """At m = 2, the diameter of the sphere, every negative pair and every triplet is active."""
    z = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))
    y = torch.arange(32) % 4
    for params in ({}, {"mining": "batch_all"}):
        assert active_share(evaluate("triplet", z, y, z[:4], {"margin": 2.0, **params})) == 1
    assert active_share(evaluate("contrastive", z, y, z[:4], {"margin": 2.0})) == 1


def test_arcface_is_monotone_in_the_angle() -> None:
    """The target logit falls all the way from θ = 0 to θ = π, past π − m too."""
    angle = torch.linspace(0, math.pi, 721, dtype=torch.float64)
    z = torch.stack([angle.cos(), angle.sin(), torch.zeros_like(angle)], 1).requires_grad_()
    proxies = torch.tensor([[1.0, 0, 0], [0, 0, 1.0]]).double()
    each = torch.stack(
        [
            evaluate("arcface", row[None], torch.tensor([0]), proxies, {"scale": 4.0}).loss
            for row in z
        ]
    )
    assert (each.diff() > 0).all()
    each.sum().backward()
    assert torch.isfinite(z.grad).all()


def test_infonce_keeps_tiny_losses_exact() -> None:
    """A well separated anchor costs 1e-12, not 0: log(1 + x), not log of a rounded ratio."""
    z = torch.tensor([[1.0, 0], [1.0, 0], [-1.0, 0]])
    loss = losses.create("infonce")(z, torch.tensor([0, 0, 1]))
    assert loss.item() == pytest.approx(math.exp(-2 / 0.07), rel=1e-3)


def test_npair_without_normalization_is_penalised_by_length() -> None:
    z = torch.tensor([[3.0, 0], [4.0, 0], [0, 1.0], [0, 2.0]]).double()
    y = torch.tensor([0, 0, 1, 1])
    plain = evaluate("npair", z, y, z[:2], {"normalize": False})
    paid = evaluate("npair", z, y, z[:2], {"normalize": False, "l2": 0.002})
    # 0.25 λ (mean ‖x‖² + mean ‖x⁺‖²), whichever of each pair is the anchor
    penalty = 0.25 * 0.002 * ((9 + 16) + (1 + 4)) / 2
    assert paid.loss.item() - plain.loss.item() == pytest.approx(penalty)
    expected = (math.log1p(math.exp(-12)) + math.log1p(math.exp(-2))) / 2
    assert plain.loss.item() == pytest.approx(expected)


def share(out: LossOutput, name: str) -> float:
    part, whole = out.details[name]
    return float(part / whole)


def test_details_of_each_loss_by_hand() -> None:
    y = torch.tensor([0, 0, 1, 1])
    corners = torch.eye(4, dtype=torch.float64)
    # Equal positives, negatives √2 apart: satisfied at margin 1; all negatives active at 1.5.
    z = corners[[0, 0, 1, 1]]
    out = losses.create("contrastive", margin=1.0).evaluate(z, y)
    assert (share(out, "active.terms.positive"), share(out, "active.terms.negative")) == (0, 0)
    out = losses.create("contrastive", margin=1.5).evaluate(corners, y)
    assert [
        tuple(map(int, out.details[f"active.terms.{k}"])) for k in ("positive", "negative")
    ] == [
        (2, 2),
        (4, 4),
    ]
    # SCL at a perfect, very sharp space is log |P| = 0: no excess; collapsed it is log 3.
    out = losses.create("scl", temperature=0.01).evaluate(z, y)
    assert share(out, "loss.excess") == pytest.approx(0, abs=1e-12)
    out = losses.create("scl").evaluate(torch.ones(4, 3, dtype=torch.float64), y)
    assert share(out, "loss.excess") == pytest.approx(math.log(3))
    # ArcFace: the margin makes samples active that are not errors.
    loss = losses.create("arcface", num_classes=2, dim=2, margin=1.0).double()
    loss.weight.data = torch.eye(2, dtype=torch.float64)
    z = torch.tensor([[1.0, 0.9], [0.2, 1.0], [0.9, 1.0], [1.0, 0.1]], dtype=torch.float64)
    out = loss.evaluate(z, y)
    assert share(out, "error.top1") == 0.5
    assert int(out.active_terms) == 4 - 0
    # N-pair: a pair a class.
    out = losses.create("npair").evaluate(corners, y)
    assert share(out, "terms.pairs") == 2
