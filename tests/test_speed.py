"""Guards against regressions of speed, as ratios to a floor measured in the same turns.

Bars are about twice what is measured (docs/performance.md). A machine that is busy with something
else can slow one side of a ratio for a while, so the best of several attempts counts: a regression
fails them all.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from benchmarks.losses import CASES, B, make_batch, step_on
from benchmarks.measure import Work, median_ratio, turns
from benchmarks.retrieval import bare, clustered

from metriscope import geometry, losses, ops

ATTEMPTS = 4


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    assert torch.get_num_threads() == 1, "run with OMP_NUM_THREADS=1, as make test does"


def cost(work: Work, floor: Work, *, below: float, budget: float = 0.3) -> float:
    """The smallest ratio of several attempts; stops at the first that is below the bar."""
    best = np.inf
    for _ in range(ATTEMPTS):
        ours, theirs = turns(work, floor, budget=budget)
        best = min(best, median_ratio(ours, theirs))
        if best <= below:
            break
    return best


def pair_products(classes: int) -> Callable[[], object]:
    z, _ = make_batch(B, classes)
    x, square = z.detach(), torch.randn(B, B)
    return lambda: (x @ x.T, square @ x, square.T @ x)


BARS = {
    "contrastive": 6.0,
    "triplet": 6.0,
    "triplet batch_all": 15.0,
    "npair": 3.0,
    "infonce": 4.0,
    "infonce all": 6.0,
    "arcface": 1.5,
    "scl": 6.0,
    "ccl": 1.5,
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_loss_costs_a_few_times_the_products_of_its_pairs(case: object) -> None:
    limit = BARS[case.name]  # type: ignore[attr-defined]
    work = step_on(case.make(10), B, 10)  # type: ignore[attr-defined]
    assert cost(work, pair_products(10), below=limit) <= limit


def test_all_triplets_are_far_from_listing_them() -> None:
    from pytorch_metric_learning.losses import TripletMarginLoss

    ours = losses.create("triplet", mining="batch_all")
    b = 256
    work = step_on(lambda z, y: ours.evaluate(z, y).loss, b, 10)
    limit = 1 / 8  # at B = 256; a listing grows faster than a sort
    assert cost(work, step_on(TripletMarginLoss(), b, 10), below=limit) <= limit


def test_recall_costs_little_more_than_the_product() -> None:
    z, y = clustered(4_000, 100)
    limit = 3.0
    assert cost(lambda: ops.recall(z, y, (1, 5, 10)), lambda: bare(z), below=limit) <= limit


def test_geometry_costs_a_few_products() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60_000, 128), np.float32), rng.integers(100, size=60_000)
    z = torch.from_numpy(x).double()
    limit = 6.0
    assert cost(lambda: geometry((x, y)), lambda: z.T @ z, below=limit) <= limit
