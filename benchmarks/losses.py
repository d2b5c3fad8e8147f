"""Each loss beside its peers: evaluate + backward, D = 128, one thread.

Peers take a batch and its labels, as ours do. ``≈`` marks one whose definition is another and whose
work alone is comparable: it has no bar. Last, how time grows with the batch and with the classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import torch
from pytorch_metric_learning import losses as pml
from pytorch_metric_learning import miners, reducers
from torch import Tensor

from benchmarks.measure import growth_mib, in_child, median_ms, turns
from benchmarks.tables import Row, compared, grown
from metriscope import losses

B, D = 512, 128
Step = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Peer:
    """Another library's loss: ``make(classes)`` is a step; ``same`` if the definitions coincide."""

    name: str
    same: bool
    make: Callable[[int], Step]
    faster: float = 1.0  # how many times faster we must be


@dataclass(frozen=True)
class Case:
    """A loss of ours, and who is beside it."""

    loss: str
    params: dict[str, Any] = field(default_factory=dict)
    peers: tuple[Peer, ...] = ()

    @property
    def name(self) -> str:
        return " ".join([self.loss, *map(str, self.params.values())])

    def make(self, classes: int) -> Step:
        loss = losses.create(self.loss, num_classes=classes, dim=D, **self.params)
        return lambda z, y: loss.evaluate(z, y).loss


def batch_hard(classes: int) -> Step:
    loss = pml.TripletMarginLoss(margin=1.0, reducer=reducers.MeanReducer())
    miner = miners.BatchHardMiner()
    return lambda z, y: loss(z, y, miner(z, y))


def all_triplets(classes: int) -> Step:
    return pml.TripletMarginLoss(margin=1.0, reducer=reducers.MeanReducer())


def st_batch_hard(classes: int) -> Step:
    from sentence_transformers.losses import BatchHardTripletLoss

    loss = BatchHardTripletLoss(torch.nn.Identity(), margin=1.0)
    return lambda z, y: loss.batch_hard_triplet_loss(y, torch.nn.functional.normalize(z))


def st_batch_all(classes: int) -> Step:
    from sentence_transformers.losses import BatchAllTripletLoss

    loss = BatchAllTripletLoss(torch.nn.Identity(), margin=1.0)
    return lambda z, y: loss.batch_all_triplet_loss(y, torch.nn.functional.normalize(z))


def st_contrastive(classes: int) -> Step:
    """It takes pairs: all of the batch, gathered as its users do."""
    from sentence_transformers.losses import ContrastiveLoss, SiameseDistanceMetric

    loss = ContrastiveLoss(torch.nn.Identity(), SiameseDistanceMetric.EUCLIDEAN, margin=1.0)
    loss._checked_labels = True

    def step(z: Tensor, y: Tensor) -> Tensor:
        z = torch.nn.functional.normalize(z)
        i, j = torch.triu_indices(len(z), len(z), offset=1)
        return 2 * loss.compute_loss_from_embeddings([z[i], z[j]], (y[i] == y[j]).long())

    return step


def st_ranking(classes: int) -> Step:
    """It takes pairs, and every other pair is a negative: half of the batch against the other."""
    from sentence_transformers.losses import MultipleNegativesRankingLoss

    loss = MultipleNegativesRankingLoss(torch.nn.Identity(), scale=1 / 0.07)
    return lambda z, y: loss.compute_loss_from_embeddings(list(z.split(len(z) // 2)), y)


CASES = (
    Case(
        "contrastive",
        peers=(
            Peer("ST ContrastiveLoss", True, st_contrastive),
            Peer("≈ PML ContrastiveLoss", False, lambda c: pml.ContrastiveLoss()),
        ),
    ),
    Case(
        "triplet",
        peers=(
            Peer("PML TripletMarginLoss, BatchHardMiner", True, batch_hard),
            Peer("ST BatchHardTripletLoss", True, st_batch_hard),
        ),
    ),
    Case(
        "triplet",
        {"mining": "batch_all"},
        (
            Peer("PML TripletMarginLoss", True, all_triplets, 50.0),
            Peer("≈ ST BatchAllTripletLoss", False, st_batch_all),
        ),
    ),
    Case("npair", peers=(Peer("PML NPairsLoss", True, lambda c: pml.NPairsLoss()),)),
    Case(
        "infonce",
        peers=(
            Peer("≈ PML NTXentLoss", False, lambda c: pml.NTXentLoss(0.07)),
            Peer("≈ ST MultipleNegativesRankingLoss", False, st_ranking),
        ),
    ),
    Case(
        "infonce",
        {"positives": "all"},
        (Peer("PML NTXentLoss", True, lambda c: pml.NTXentLoss(0.07)),),
    ),
    Case("arcface", peers=(Peer("PML ArcFaceLoss", True, lambda c: pml.ArcFaceLoss(c, D)),)),
    Case("scl", peers=(Peer("PML SupConLoss", True, lambda c: pml.SupConLoss(0.07)),)),
    Case(
        "ccl",
        peers=(
            Peer("≈ PML CosFaceLoss", False, lambda c: pml.CosFaceLoss(c, D, margin=0, scale=16)),
        ),
    ),
)


def make_batch(b: int, classes: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(b, D, generator=generator).requires_grad_()
    return z, torch.randint(classes, (b,), generator=generator)


def step_on(step: Step, b: int, classes: int) -> Callable[[], None]:
    z, y = make_batch(b, classes)

    def run() -> None:
        z.grad = None
        step(z, y).backward()

    return run


def memory(step: Step, b: int, classes: int, limit_gb: float) -> float | str:
    """MiB that a step takes over the start, in a process of its own."""
    work, small = step_on(step, b, classes), step_on(step, 24, min(classes, 8))
    found: float | str = in_child(growth_mib, work, small, limit_gb=limit_gb)
    return found


def memories(class_counts: Sequence[int], limit_gb: float) -> dict[tuple[str, str, int], Row]:
    """Memory of each loss beside its first peer's, by loss, peer and classes.

    Before anything is timed: a process starts with the free memory of the one it was forked from.
    """
    rows = {}
    for classes in class_counts:
        for case in CASES:
            ours = memory(case.make(classes), B, classes, limit_gb)
            assert isinstance(ours, float), f"{case.name} needs more than {limit_gb} GB"
            for peer in case.peers:
                theirs = memory(peer.make(classes), B, classes, limit_gb)
                all_triplets = case.name == "triplet batch_all" and classes == 10
                row = Row(f"memory of {case.name}, C = {classes}", ours, "MiB", peer.name, theirs)
                if case.name == "infonce all" and classes == 10:
                    row = replace(row, most=64.0)
                elif isinstance(theirs, float):
                    least = 10.0 if all_triplets and peer.same else None
                    row = replace(row, ratio=theirs / max(ours, 0.1), least=least)
                rows[case.name, peer.name, classes] = row
    return rows


def times(case: Case, peer: Peer, classes: int, fits: bool, budget: float) -> Row:
    """Time at B = 512 beside a peer's."""
    label = f"{case.name}, C = {classes}"
    ours = step_on(case.make(classes), B, classes)
    if not fits:
        alone = turns(ours, budget=budget / 4)[0]
        return Row(label, median_ms(alone), against=peer.name, other="out of memory")
    mine, theirs = turns(ours, step_on(peer.make(classes), B, classes), budget=budget)
    # The bar of all triplets is for 10 classes.
    bar = (peer.faster if classes == 10 else 1.0) if peer.same else None
    return compared(label, peer.name, mine, theirs, way="times faster", bar=bar)


def growth(
    names: tuple[str, ...], sizes: Sequence[tuple[int, int]], budget: float
) -> Iterator[Row]:
    """How time grows over sizes (batch, classes)."""
    for case in CASES:
        if case.name in names:
            works = [step_on(case.make(classes), b, classes) for b, classes in sizes]
            taken = zip(sizes, turns(*works, budget=budget), strict=True)
            for (less, below), (more, above) in pairwise(taken):
                labels = [f"B = {b:,}, C = {classes:,}" for b, classes in (less, more)]
                yield grown(f"{case.name}, {labels[1]}", labels[0], above, below)


def run(*, quick: bool) -> list[Row]:
    """The section."""
    torch.set_num_threads(1)
    budget, limit_gb = (1.5, 2.0) if quick else (5.0, 6.0)
    class_counts = (10,) if quick else (10, 200)
    size = 1024 if quick else 4096
    large = memory(CASES[2].make(100), size, 100, limit_gb)
    assert isinstance(large, float)
    taken = memories(class_counts, limit_gb)
    rows = []
    for classes in class_counts:
        for case in CASES:
            for peer in case.peers:
                row = taken[case.name, peer.name, classes]
                rows.append(times(case, peer, classes, isinstance(row.other, float), budget))
    first = {(case.name, case.peers[0].name) for case in CASES}
    rows += [row for (*names, _), row in taken.items() if tuple(names) in first]
    rows.append(
        Row(f"memory of triplet batch_all, B = {size:,}, C = 100", large, "MiB", most=1536.0)
    )
    pairs = ("contrastive", "triplet", "triplet batch_all", "infonce all", "scl")
    batches = [(b, 100) for b in ((256, 512) if quick else (512, 1024, 2048, 4096))]
    classes_ = [(B, c) for c in ((10, 100) if quick else (10, 100, 1000))]
    rows += growth(pairs, batches, budget)
    rows += growth(("triplet batch_all", "npair", "arcface", "ccl"), classes_, budget)
    return rows
