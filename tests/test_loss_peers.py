"""Losses against pytorch-metric-learning 2.9, where the two define the same thing.

Each test says what coincides, and how the peer differs otherwise.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from metriscope import losses
from metriscope.losses import _draw

pml = pytest.importorskip("pytorch_metric_learning")
from pytorch_metric_learning import losses as peer  # noqa: E402
from pytorch_metric_learning import miners, reducers  # noqa: E402

LAYOUTS = {
    "balanced": [0, 1, 2, 3] * 6,
    "uneven": [3, 0, 0, 1, 0, 0, 1, 0, 2, 1, 2, 0, 3, 2, 0, 1, 0, 2],
    "singletons": [0, 0, 1, 2, 0, 3, 4, 5, 0, 1, 6],
}
every_layout = pytest.mark.parametrize("layout", LAYOUTS)


def batch(layout: str, seed: int = 0) -> tuple[Tensor, Tensor]:
    y = torch.tensor(LAYOUTS[layout])
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(8, 6, dtype=torch.float64, generator=generator)
    noise = torch.randn(len(y), 6, dtype=torch.float64, generator=generator)
    return (means[y] + noise).requires_grad_(), y


def assert_same(ours: Tensor, theirs: Tensor, *inputs: Tensor, rel: float = 1e-9) -> None:
    """Equal value and equal gradients."""
    assert ours.item() == pytest.approx(theirs.item(), rel=rel)
    for a, b in zip(
        torch.autograd.grad(ours, inputs), torch.autograd.grad(theirs, inputs), strict=True
    ):
        assert torch.allclose(a, b, rtol=1e-6, atol=1e-9)


@every_layout
@pytest.mark.parametrize("margin", [0.2, 1.0])
def test_triplet_batch_all(layout: str, margin: float) -> None:
    """``mean`` is its MeanReducer; its default, AvgNonZeroReducer, is ``mean_active``."""
    z, y = batch(layout)
    for ours, reducer in [
        ("mean", reducers.MeanReducer()),
        ("mean_active", reducers.AvgNonZeroReducer()),
    ]:
        loss = losses.create("triplet", margin=margin, mining="batch_all", reduction=ours)
        assert_same(loss(z, y), peer.TripletMarginLoss(margin=margin, reducer=reducer)(z, y), z)


@every_layout
@pytest.mark.parametrize("margin", [0.2, 1.0])
def test_triplet_batch_hard(layout: str, margin: float) -> None:
    """Its BatchHardMiner, with MeanReducer, over anchors with a positive and a negative."""
    z, y = batch(layout)
    theirs = peer.TripletMarginLoss(margin=margin, reducer=reducers.MeanReducer())
    ours = losses.create("triplet", margin=margin)
    assert_same(ours(z, y), theirs(z, y, miners.BatchHardMiner()(z.detach(), y)), z)


@every_layout
def test_triplet_active_terms(layout: str) -> None:
    """Its TripletMarginMiner keeps d_an − d_ap ≤ m; we count d_an − d_ap < m: equal, off ties."""
    z, y = batch(layout)
    out = losses.create("triplet", margin=0.2, mining="batch_all").evaluate(z, y)
    kept = miners.TripletMarginMiner(margin=0.2, type_of_triplets="all")(z.detach(), y)
    assert int(out.active_terms) == len(kept[0])


@every_layout
def test_contrastive(layout: str) -> None:
    """Its hinges are linear in d, each side averaged over its non-zero terms; ours are squared.

    Its unreduced terms squared, averaged over all ordered pairs, are ours; and so by side.
    """
    z, y = batch(layout)
    theirs = peer.ContrastiveLoss(pos_margin=0, neg_margin=1)

    def squared_terms() -> tuple[Tensor, Tensor]:
        sides = theirs.compute_loss(z, y, None, z, y)
        return sides["pos_loss"]["losses"].square(), sides["neg_loss"]["losses"].square()

    both = torch.cat(squared_terms()).mean()
    assert_same(losses.create("contrastive")(z, y), both, z)
    pos, neg = squared_terms()
    assert_same(losses.create("contrastive", pairs="balanced")(z, y), pos.mean() + neg.mean(), z)
    assert theirs(z, y).item() != pytest.approx(losses.create("contrastive")(z, y).item(), rel=0.05)


@every_layout
@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_infonce_of_all_positives(layout: str, temperature: float) -> None:
    """NTXentLoss: a term a positive pair, other positives not in its denominator; MeanReducer.

    It builds a (pairs, negatives) matrix, we a (b, b) one.
    """
    z, y = batch(layout)
    ours = losses.create("infonce", positives="all", temperature=temperature)
    assert_same(ours(z, y), peer.NTXentLoss(temperature=temperature)(z, y), z)


def test_infonce_of_one_positive() -> None:
    """With two samples a class there is one positive to draw, so both variants are NTXentLoss."""
    z, _ = batch("balanced")
    y = torch.arange(12).repeat(2)
    assert_same(losses.create("infonce")(z, y), peer.NTXentLoss(temperature=0.07)(z, y), z)


@every_layout
def test_scl(layout: str) -> None:
    """SupConLoss is ``out``. Its default reducer averages anchors whose loss is above 0, and an
    anchor without positives has 0 there, so it drops out as it does here. With MeanReducer it
    stays in the mean, as in the authors' code.
    """
    z, y = batch(layout)
    ours = losses.create("scl", temperature=0.1)
    assert_same(ours(z, y), peer.SupConLoss(temperature=0.1)(z, y), z)
    kept = len(y) - int(ours.evaluate(z, y).excluded)
    diluted = peer.SupConLoss(temperature=0.1, reducer=reducers.MeanReducer())(z, y)
    assert_same(ours(z, y) * kept / len(y), diluted, z)


@pytest.mark.parametrize(("scale", "margin"), [(64.0, 0.5), (16.0, 0.2), (64.0, 1.4)])
def test_arcface(scale: float, margin: float) -> None:
    """ArcFaceLoss takes its margin in degrees, keeps W as (D, C), and goes through acos.

    It turns to cos θ − m sin m at the same angle, π − m.
    """
    z, y = batch("uneven")
    ours = losses.create("arcface", num_classes=8, dim=6, scale=scale, margin=margin).double()
    theirs = peer.ArcFaceLoss(8, 6, margin=math.degrees(margin), scale=scale).double()
    weight = ours.weight.detach().T.clone()
    theirs.W.data = weight
    assert_same(ours(z, y), theirs(z, y), z)
    (ours_w,) = torch.autograd.grad(ours(z, y), ours.weight)
    (theirs_w,) = torch.autograd.grad(theirs(z, y), theirs.W)
    assert torch.allclose(ours_w, theirs_w.T, rtol=1e-6, atol=1e-9)


def test_ccl_is_cosface_and_a_pull() -> None:
    """It has no center contrastive loss. The softmax part is its CosFaceLoss; the pull is ours."""
    z, y = batch("uneven")
    ours = losses.create("ccl", num_classes=8, dim=6, scale=16.0, margin=0.3, weight=10.0).double()
    theirs = peer.CosFaceLoss(8, 6, margin=0.3, scale=16.0).double()
    theirs.W.data = ours.centers.detach().T.clone()
    unit = torch.nn.functional.normalize(z, dim=1)
    pull = 10.0 * (unit - ours.proxies.detach()[y]).square().sum(1).mean()
    assert_same(ours(z, y), theirs(z, y) + pull, z)


def test_npair(monkeypatch: pytest.MonkeyPatch) -> None:
    """NPairsLoss takes the first pair of each label, always the same; we draw one at random.

    It normalises too, though its documentation says dot product, and has neither scale nor l2.
    Given its pairs, the two agree.
    """
    z, _ = batch("balanced")
    y = torch.arange(12).repeat(2)
    monkeypatch.setattr(_draw, "anchor_of_class", lambda labels: torch.arange(24) < 12)
    assert_same(losses.create("npair")(z, y), peer.NPairsLoss()(z, y), z)


def test_nan_row_is_hidden_by_the_peer_and_not_by_us() -> None:
    """One NaN row: its contrastive and triplet losses stay finite, while gradients become NaN."""
    z, y = batch("uneven")
    z = z.detach().clone()
    z[0, 0] = torch.nan
    for name, theirs in [
        ("contrastive", peer.ContrastiveLoss()),
        ("triplet", peer.TripletMarginLoss()),
    ]:
        assert torch.isfinite(theirs(z, y))
        assert losses.create(name)(z, y).isnan()
