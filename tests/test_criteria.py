"""Criteria of pytorch-metric-learning under a monitor, beside ours of the same definition.

"Must hold": the same active share and gradient norm at every step.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from metriscope import losses
from metriscope.losses import _draw
from metriscope.losses.base import Loss
from metriscope.monitor import Monitor
from tests.monitor_loops import CLASSES, DIM, batches, close, make_model, parameters, train

pytest.importorskip("pytorch_metric_learning")
from pytorch_metric_learning import distances, miners, reducers
from pytorch_metric_learning import losses as peer

SAME = ("loss", "active.terms", "active.samples", "active.effective", "excluded", "grad_norm.model")
Mined = Callable[[Tensor, Tensor], Any]


def ours(name: str, **params: Any) -> Loss:
    return losses.create(name, num_classes=CLASSES, dim=DIM, **params).double()


def trace_of(theirs: nn.Module, miner: Mined | None = None, b: int = 24, **options: Any) -> Any:
    def mined(z: Tensor, y: Tensor) -> Tensor:
        value: Tensor = theirs(z, y, miner(z.detach(), y) if miner else None)
        return value

    return train(theirs, call=mined, every=1, b=b, **options).trace


MEAN = reducers.MeanReducer
PAIRS: dict[str, tuple[Any, Any, Any]] = {
    "all triplets": (
        lambda: peer.TripletMarginLoss(margin=0.3, reducer=MEAN()),
        lambda: ours("triplet", margin=0.3, mining="batch_all"),
        None,
    ),
    "all triplets, mean of active": (
        lambda: peer.TripletMarginLoss(margin=0.3),
        lambda: ours("triplet", margin=0.3, mining="batch_all", reduction="mean_active"),
        None,
    ),
    "squared distances": (
        lambda: peer.TripletMarginLoss(
            margin=0.3, distance=distances.LpDistance(power=2), reducer=MEAN()
        ),
        lambda: ours("triplet", margin=0.3, mining="batch_all", squared=True),
        None,
    ),
    "batch hard": (
        lambda: peer.TripletMarginLoss(margin=0.3, reducer=MEAN()),
        lambda: ours("triplet", margin=0.3),
        miners.BatchHardMiner(),
    ),
    "batch hard, soft": (
        lambda: peer.TripletMarginLoss(margin=0, smooth_loss=True, reducer=MEAN()),
        lambda: ours("triplet", soft=True),
        miners.BatchHardMiner(),
    ),
    "supcon": (
        lambda: peer.SupConLoss(temperature=0.1),
        lambda: ours("scl", temperature=0.1),
        None,
    ),
    "ntxent": (
        lambda: peer.NTXentLoss(temperature=0.2),
        lambda: ours("infonce", positives="all", temperature=0.2),
        None,
    ),
}


@pytest.mark.parametrize("b", [24, 7])  # of 7, some classes are alone
@pytest.mark.parametrize("case", PAIRS)
def test_same_definition_same_numbers_at_every_step(case: str, b: int) -> None:
    theirs, mine, miner = PAIRS[case]
    expected = train(mine(), every=1, b=b).trace
    found = trace_of(theirs(), miner, b)
    for name in SAME:
        assert close(found[name], expected[name], rel=1e-6), name
    assert any(0 < v < 1 for v in expected["active.terms"])


@pytest.mark.parametrize("margin", [0.5, 0.0])
def test_arcface(margin: float) -> None:
    mine = ours("arcface", scale=8.0, margin=margin)
    theirs = peer.ArcFaceLoss(CLASSES, DIM, margin=math.degrees(margin), scale=8).double()
    theirs.W.data = mine.weight.detach().T.clone()
    expected, found = train(mine, every=1).trace, trace_of(theirs)
    for name in (*SAME, "grad_norm.loss", "error.top1"):
        assert close(found[name], expected[name], rel=1e-6), name
    assert any(0 < v < 1 for v in expected["active.terms"])


def test_npair(monkeypatch: pytest.MonkeyPatch) -> None:
    """Theirs takes the first pair of each class: given that one to ours, the two agree."""

    def first(y: Tensor) -> Tensor:
        return torch.tensor([c in y[i + 1 :] and c not in y[:i] for i, c in enumerate(y)])

    def positive(y: Tensor) -> Tensor:
        others = [[j for j in range(24) if j != i and y[j] == y[i]] for i in range(24)]
        return torch.tensor([ps[0] if ps else i for i, ps in enumerate(others)])

    monkeypatch.setattr(_draw, "anchor_of_class", first)
    monkeypatch.setattr(_draw, "positive", positive)
    expected, found = train(ours("npair"), every=1).trace, trace_of(peer.NPairsLoss())
    for name in (*SAME, "terms.pairs"):
        assert close(found[name], expected[name], rel=1e-6), name
    assert min(expected["active.terms"]) < 1


def test_contrastive_has_the_active_pairs_of_ours() -> None:
    """Its hinges are not squared, so only the counts coincide: watched on the same weights."""
    model, mine, theirs = make_model(), ours("contrastive"), peer.ContrastiveLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Monitor(model, mine, every=1) as a, Monitor(model, theirs, every=1) as b:
        for x, y in batches(5):
            z = model(x)
            value = mine(z, y) + theirs(z, y)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    for name in (
        "active.terms",
        "active.terms.positive",
        "active.terms.negative",
        "active.samples",
        "excluded",
    ):
        assert close(a.trace[name], b.trace[name]), name


def test_terms_of_a_miner_are_the_mined_tuples() -> None:
    """10 triplets, of which those within the margin are active."""
    model, theirs = make_model(), peer.TripletMarginLoss(margin=0.3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Monitor(model, theirs, every=1) as monitor:
        for x, y in batches(3):
            z = model(x)
            a, p, n = (t[:10] for t in miners.TripletMarginMiner(0.5)(z, y))
            d = torch.cdist(*[nn.functional.normalize(z.detach(), dim=1)] * 2)
            active = (d[a, p] - d[a, n] + 0.3 > 0).double()
            value = theirs(z, y, (a, p, n))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    assert monitor.last["active.terms"] == pytest.approx(active.mean())
    anchors = len(set(a[active > 0].tolist()))
    able = sum((y == c).sum() > 1 for c in y)
    assert monitor.last["active.samples"] == pytest.approx(anchors / able)


def test_proxies() -> None:
    """Active: another proxy is nearer, whatever the loss makes of it."""
    torch.manual_seed(0)
    for theirs in (peer.NormalizedSoftmaxLoss(CLASSES, DIM), peer.ProxyNCALoss(CLASSES, DIM)):
        model = make_model()
        proxies = theirs.double().W.T if hasattr(theirs, "W") else theirs.proxies
        with Monitor(model, theirs, every=1) as monitor:
            x, y = next(iter(batches(1)))
            z = model(x)
            theirs(z, y).backward()
        unit = nn.functional.normalize(proxies.detach(), dim=1)
        z = nn.functional.normalize(z.detach(), dim=1) if hasattr(theirs, "proxies") else z.detach()
        near = -torch.cdist(z, unit) if hasattr(theirs, "proxies") else z @ unit.T
        wrong = (near.argmax(1) != y).double().mean()
        assert monitor.last["active.terms"] == monitor.last["active.samples"]
        assert monitor.last["active.terms"] == pytest.approx(wrong), type(theirs).__name__
        assert monitor.last["excluded"] == 0


EVERY: dict[str, Callable[[], nn.Module]] = {
    "AngularLoss": peer.AngularLoss,
    "CircleLoss": peer.CircleLoss,
    "CosFaceLoss": lambda: peer.CosFaceLoss(CLASSES, DIM),
    "FastAPLoss": peer.FastAPLoss,
    "GeneralizedLiftedStructureLoss": peer.GeneralizedLiftedStructureLoss,
    "HistogramLoss": peer.HistogramLoss,
    "IntraPairVarianceLoss": peer.IntraPairVarianceLoss,
    "LargeMarginSoftmaxLoss": lambda: peer.LargeMarginSoftmaxLoss(CLASSES, DIM),
    "LiftedStructureLoss": peer.LiftedStructureLoss,
    "MarginLoss": peer.MarginLoss,
    "MultiSimilarityLoss": peer.MultiSimilarityLoss,
    "NCALoss": peer.NCALoss,
    "ProxyAnchorLoss": lambda: peer.ProxyAnchorLoss(CLASSES, DIM),
    "SignalToNoiseRatioContrastiveLoss": peer.SignalToNoiseRatioContrastiveLoss,
    "SoftTripleLoss": lambda: peer.SoftTripleLoss(CLASSES, DIM),
    "SphereFaceLoss": lambda: peer.SphereFaceLoss(CLASSES, DIM),
    "SubCenterArcFaceLoss": lambda: peer.SubCenterArcFaceLoss(
        num_classes=CLASSES, embedding_size=DIM
    ),
    "TupletMarginLoss": peer.TupletMarginLoss,
}


@pytest.mark.filterwarnings(
    "ignore:Using a non-tuple sequence", "ignore:__array_wrap__ must accept"
)
@pytest.mark.parametrize("name", EVERY)
def test_every_loss_can_be_watched(name: str) -> None:
    torch.manual_seed(0)
    theirs = EVERY[name]().double()
    monitor = train(theirs, 3, every=1)
    last, about = monitor.last, monitor.about
    assert (about["loss"], about["family"]) == (name, "pytorch-metric-learning")
    assert last["loss"] is not None
    assert 0 < last["active.effective"] <= 1
    if name == "HistogramLoss":  # one number for all pairs: no terms
        assert last["active.terms"] is None
    else:
        assert 0 <= last["active.terms"] <= 1
    if name == "ProxyAnchorLoss":  # its terms are of proxies, not of samples
        assert last["active.samples"] is None
    known = {"MarginLoss": ("margin", 0.2), "CosFaceLoss": ("scale", 64)}
    if name in known:
        assert about["params"][known[name][0]] == known[name][1]


def test_params_say_how_terms_are_reduced() -> None:
    def about(loss: nn.Module) -> Any:
        return Monitor(nn.Linear(2, 2), loss).about

    plain = about(peer.TripletMarginLoss(margin=0.2))["params"]
    assert (plain["margin"], plain["reduction"], plain["distance"]) == (
        0.2,
        "mean_active",
        "LpDistance",
    )
    assert plain["normalize_embeddings"] is True
    both = about(peer.ContrastiveLoss(reducer=reducers.MeanReducer()))["params"]
    assert both["reduction"] == "mean"
    assert "reduction" not in about(peer.MarginLoss())["params"]
    assert about(peer.TripletMarginLoss())["active_rule"] == "nonzero"
    assert about(peer.SupConLoss())["active_rule"] == "violated"


def test_a_memory_has_its_own_terms() -> None:
    """The pairs with the memory: its first batch against itself, then more and more."""
    memory = peer.CrossBatchMemory(peer.TripletMarginLoss(margin=0.3), DIM, memory_size=48)
    memory.embedding_memory = memory.embedding_memory.double()
    monitor = train(memory, 4, every=1)
    plain = trace_of(peer.TripletMarginLoss(margin=0.3), steps=4)
    assert monitor.trace["active.terms"][0] == plain["active.terms"][0]
    assert all(0 < v < 1 for v in monitor.trace["active.terms"])
    assert monitor.trace["excluded"] == [None] * 4
    ranking = peer.CrossBatchMemory(peer.NTXentLoss(), DIM, memory_size=48)
    ranking.embedding_memory = ranking.embedding_memory.double()
    assert all(0 < v < 1 for v in train(ranking, 4, every=1).trace["active.terms"])


def test_several_losses_in_one_have_no_terms_but_a_gradient() -> None:
    both = peer.MultipleLosses([peer.TripletMarginLoss(), peer.SupConLoss()], weights=[1, 0.5])
    last = train(both, 3, every=1).last
    assert last["active.terms"] is None
    assert last["active.effective"] > 0
    one = peer.MultipleLosses([peer.TripletMarginLoss()], weights=[2])
    assert train(one, 3, every=1).last["active.terms"] is not None


def test_a_loss_of_ones_own() -> None:
    class Mine(peer.BaseMetricLossFunction):  # type: ignore[misc, name-defined]
        def compute_loss(self, z: Tensor, y: Tensor, *rest: Any) -> Any:
            terms = (z.norm(dim=1) - 0.5).relu()
            indices = torch.arange(len(z))
            return {"loss": {"losses": terms, "indices": indices, "reduction_type": "element"}}

    monitor = train(Mine(), 3, every=1)
    assert monitor.about["family"] == "pytorch-metric-learning"
    assert 0 < monitor.last["active.terms"] <= 1


def test_a_batch_of_one_class_has_no_terms() -> None:
    model, theirs = make_model(), peer.TripletMarginLoss()
    optimizer = torch.optim.SGD(parameters(model), lr=0.1)
    with Monitor(model, theirs, every=1) as monitor:
        x, y = next(iter(batches(1)))
        theirs(model(x), y * 0).backward()
        optimizer.step()
    assert monitor.last["active.terms"] is None
    assert monitor.last["excluded"] == 1


def test_a_loss_whose_terms_cannot_be_counted(caplog: pytest.LogCaptureFixture) -> None:
    """It trains on, with what is known without them."""

    class Odd(peer.SupConLoss):  # type: ignore[misc]
        def forward(self, *args: Any) -> Tensor:
            value: Tensor = super().forward(*args)
            self.distance = None
            return value

        def compute_loss(self, *args: Any) -> Any:
            self.distance = distances.CosineSimilarity()
            return super().compute_loss(*args)

    monitor = train(Odd(), 3, every=1)
    assert monitor.last["active.terms"] is None
    assert monitor.last["active.effective"] > 0
    assert sum("cannot be counted" in record.getMessage() for record in caplog.records) == 1


DYNAMO = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")


@DYNAMO
@pytest.mark.parametrize("case", ["ours", "theirs", "theirs with proxies", "neither"])
def test_a_compiled_loss_has_the_counts_of_the_one_it_was_made_of(case: str) -> None:
    def loss() -> nn.Module:
        torch.manual_seed(0)
        if case == "ours":
            return ours("scl")
        if case == "neither":
            return nn.CrossEntropyLoss()
        if case == "theirs":
            return peer.TripletMarginLoss(margin=0.3)
        return peer.ArcFaceLoss(CLASSES, DIM).double()

    compiled: Any = torch.compile(loss(), backend="eager")
    stance = "force_eager" if case == "ours" else "default"  # checks of types are in its way
    with torch.compiler.set_stance(stance):
        found = train(compiled, every=1, steps=3)
    wanted = train(loss(), every=1, steps=3)
    for name in (*SAME, "active.terms"):
        assert close(found.trace.get(name, []), wanted.trace.get(name, []), rel=1e-6), name
    assert (found.trace["active.terms"][0] is None) == (case == "neither")
    for fact in ("loss", "params", "family", "active_rule", "missing_parameters", "compares"):
        assert found.about[fact] == wanted.about[fact], fact
    plain = compiled._orig_mod
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in (compiled, *plain.modules()))


@DYNAMO
def test_a_compiled_loss_inside_another_is_left_alone() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.compile(peer.TripletMarginLoss(margin=0.3), backend="eager")

        def forward(self, z: Tensor, y: Tensor) -> Tensor:
            return self.inner(z, y) / 2

    found = train(Half(), every=1, steps=2)
    assert found.trace["active.terms"] == [None, None]
    assert all(share > 0 for share in found.trace["active.effective"])


def test_a_watched_loss_of_others_is_pickled_without_us() -> None:
    loss = peer.TripletMarginLoss()
    with Monitor(make_model(), loss):
        saved = pickle.dumps(loss)
        assert loss._forward_hooks
    assert b"metriscope" not in saved
    z, y = torch.randn(6, DIM), torch.arange(6) % 2
    assert pickle.loads(saved)(z, y) == loss(z, y)


@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")
@pytest.mark.parametrize(
    ("loss", "compares"),
    [
        (peer.TripletMarginLoss, True),
        (peer.SupConLoss, True),
        (peer.MultiSimilarityLoss, True),
        (EVERY["SubCenterArcFaceLoss"], False),
        (lambda: ours("scl"), True),
        (lambda: ours("arcface"), False),
        (nn.CrossEntropyLoss, None),
    ],
)
def test_whether_terms_are_of_several_rows(loss: Any, compares: bool | None) -> None:
    assert train(loss().double(), 1, every=1).about["compares"] is compares
