"""k-nearest-neighbour classification."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metriscope.diagnostics.base import Score, Space, Values, diagnostic

_KS = (1, 5, 20)


@diagnostic(
    "knn",
    reads="embeddings",
    group="classification",
    scores=[
        Score("knn_accuracy@1", better="higher", lower=0, upper=1),
        Score("knn_accuracy@5", better="higher", lower=0, upper=1),
        Score("knn_accuracy@20", better="higher", lower=0, upper=1),
    ],
)
def knn(space: Space) -> Values:
    """Share of test rows whose class is the majority among their k nearest training rows.

    Formula, for test rows i of a class that the training data have, over the k nearest training
    rows j of i by cosine (all, if fewer than k)::

        ŷ_i = argmax_c #{j: y_j = c}      accuracy = share of rows with ŷ_i = y_i

    Among equally frequent classes the largest Σ z_iᵀz_j wins, then the lowest code.

    Bounds: [0, 1]. Rows of a class that the training data lack are left out: no answer would be
    right. Undefined if none is left, or without training embeddings.
    Source: the usual protocol for frozen embeddings.
    """
    train_y, seen = space.train_y, space.seen
    known = seen is not None and bool(seen.any())
    found = space.train_neighbours if known else None
    if found is None or train_y is None or seen is None:
        return {f"knn_accuracy@{k}": None for k in _KS}
    return knn_accuracy(space.y[seen], train_y[found[0][seen]], found[1][seen])


def knn_accuracy(
    y: Int[Tensor, " rows"], labels: Int[Tensor, "rows k"], squared: Float[Tensor, "rows k"]
) -> dict[str, float | None]:
    """The scores of rows whose neighbours are known; None of no rows.

    Args:
        y: classes. labels, squared: of the nearest training rows, 20 or all, nearest first.
    """
    if not len(y):
        return {f"knn_accuracy@{k}": None for k in _KS}
    right = dict.fromkeys(_KS, 0)
    pieces = zip(y.split(1024), labels.split(1024), squared.split(1024), strict=True)
    for own, near, far in pieces:
        for k in _KS:
            right[k] += int((_winners(near[:, :k], far[:, :k]) == own).sum())
    return {f"knn_accuracy@{k}": right[k] / len(y) for k in _KS}


def _winners(
    labels: Int[Tensor, "rows k"], squared: Float[Tensor, "rows k"]
) -> Int[Tensor, " rows"]:
    """The class of most neighbours; among equals the nearest in sum, then the lowest."""
    same = (labels[:, :, None] == labels[:, None, :]).double()
    votes = same.sum(2)
    # With equal votes, the largest similarity is the smallest sum of squared distances.
    far = (same @ squared[:, :, None])[:, :, 0]
    far = far.masked_fill(votes < votes.amax(1, keepdim=True), torch.inf)
    last = labels.max() + 1
    winner: Tensor = labels.masked_fill(far > far.amin(1, keepdim=True), last).amin(1)
    return winner
