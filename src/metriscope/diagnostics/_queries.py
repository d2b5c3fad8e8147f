"""What queries retrieved: each of them, for statistics, and a share of them, for a curve."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from metriscope.diagnostics._space import RESOLUTION, Space
from metriscope.types import Queries


def retrieved(space: Space) -> Queries | None:
    """What each row retrieved, from the search that the scores of ``retrieval`` come from.

    None where those are undefined.
    """
    if space.collapsed or not len(space.pair_cos):
        return None
    found = space.neighbours
    same = space.y[found.nearest] == space.y[:, None]  # (n, <= 10)
    first = (same.int().argmax(1) + 1).where(same.any(1), 0).where(found.relevant > 0, -1)
    values = (first, found.hits / found.relevant, found.precision)
    return Queries(space.test.ids, *(value.cpu().numpy() for value in values))


def quick_recall(z: Float[Tensor, "n k"], y: Int[Tensor, " n"]) -> float | None:
    """Recall@1 for a curve: of rows that are centred and scaled, float32 tells what is nearest.

    Two that are equally near, up to its rounding, may change places. None where it is undefined:
    all rows are one point, no class has two, or z is not finite.
    """
    centred = z.double() - z.double().mean(0)
    size = centred.norm(dim=1).max()
    asked = y.bincount()[y] > 1
    if not bool((size > RESOLUTION) & asked.any()) or bool(size.isinf()):  # NaN is not above
        return None
    unit = (centred / size).float()
    scores = unit.square().sum(1) / 2 - unit @ unit.T  # orders as the distance does
    found = y[scores.fill_diagonal_(torch.inf).argmin(1)] == y
    return float(found[asked].double().mean())


def some_of_classes(y: np.ndarray, most: int) -> np.ndarray:
    """Up to ``most`` rows, always the same: of each class its share, and two at least.

    Where that is too many, of as many classes as it does for, drawn at random.

    Args:
        y: (n,) class codes.
        most: 1 or more.

    Returns:
        Row numbers, rising.
    """
    if len(y) <= most:
        return np.arange(len(y))
    random, counts = np.random.default_rng(0), np.bincount(y)
    order = random.permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]  # grouped by class, shuffled within
    rank = np.arange(len(y)) - (counts.cumsum() - counts)[y[order]]
    chosen = order[rank < np.maximum(2, counts * most // len(y))[y[order]]]
    turn = random.permutation(len(counts))  # of each class
    return np.sort(chosen[np.argsort(turn[y[chosen]], kind="stable")][:most])
