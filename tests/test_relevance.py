"""R-precision and MAP@R of many rows, against the order of every distance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from metriscope import ops
from metriscope.ops import relevance
from tests.spaces import unit

N = 2304  # above what is sorted by value alone


def reference(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Hits and precision from the whole order of every row."""
    relevant = torch.bincount(y)[y] - 1
    rank = torch.arange(1, len(z), dtype=torch.float64)
    hits, precision = [], []
    for part, index, _ in ops.neighbour_blocks(z, None, len(z) - 1):
        same = (y[index] == y[part, None]) & (rank <= relevant[part, None])
        hits.append(same.sum(1).double())
        precision.append((same * same.cumsum(1) / rank).sum(1) / relevant[part])
    return torch.cat(hits), torch.cat(precision)


def _random(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
    return unit(rng.standard_normal((20, 6))[y] + rng.standard_normal((N, 6)))


def _cone(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
    return np.ones((1, 6)) / np.sqrt(6) + 1e-7 * _random(rng, y)


def _copies(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
    return _random(rng, y)[rng.integers(0, 700, N)]


def _lattice(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
    return rng.integers(-2, 3, (N, 3)).astype(float)


def _near_where_sampled(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
    x = _random(rng, y)
    sampled = np.arange(N) % 64 < 8
    x[sampled] = x[:1] + 0.1 * x[sampled]
    return x


@pytest.mark.parametrize(
    ("make", "classes"),
    [(_random, 20), (_cone, 5), (_copies, 5), (_lattice, 3), (_near_where_sampled, 5)],
)
def test_hits_and_precision_are_those_of_the_whole_order(
    make, classes: int, rng: np.random.Generator
) -> None:  # type: ignore[no-untyped-def]
    y = np.minimum(rng.geometric(3 / classes, N) - 1, classes - 1)
    y[rng.permutation(N)[:40]] = np.arange(40) // 4 + classes  # and some that have three others
    x = torch.from_numpy(make(rng, y % 20))
    labels = torch.from_numpy(y)
    found = ops.find_neighbours(x, labels)
    hits, precision = reference(x, labels)
    assert (found.hits == hits).all()
    torch.testing.assert_close(found.precision, precision, rtol=1e-12, atol=1e-14)
    for part, index, _ in ops.neighbour_blocks(x, None, 10):
        assert (found.nearest[part] == index).all()


@pytest.mark.parametrize(("make", "share"), [(_random, 0.02), (_cone, 0.02), (_lattice, 1.0)])
def test_only_rows_whose_ties_matter_are_done_again(make, share: float, rng, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    left: list[int] = []
    slow = relevance.nearest_of_rows

    def counted(scores: Tensor, k: int, squares: Tensor) -> tuple[Tensor, Tensor]:
        left.append(len(scores))
        return slow(scores, k, squares)

    monkeypatch.setattr(relevance, "nearest_of_rows", counted)
    y = rng.integers(0, 4, N)
    ops.find_neighbours(torch.from_numpy(make(rng, y)), torch.from_numpy(y))
    assert sum(left) <= share * N
    assert sum(left) > N / 2 or share < 1
