"""k-nearest-neighbour classification."""

from __future__ import annotations

import torch

from metriscope import ops
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
    train_z, train_y, seen = space.train_z, space.train_y, space.seen
    if train_z is None or train_y is None or seen is None or not bool(seen.any()):
        return {f"knn_accuracy@{k}": None for k in _KS}
    z, y = space.z[seen], space.y[seen]
    codes, labels = torch.unique(train_y, return_inverse=True)
    right = dict.fromkeys(_KS, 0)
    for part, index, squared in ops.neighbour_blocks(z, train_z, min(max(_KS), len(train_z))):
        for k in _KS:
            near = labels[index[:, :k]]
            votes = squared.new_zeros(len(near), len(codes))
            far = votes.scatter_add(1, near, squared[:, :k])
            votes = votes.scatter_add(1, near, torch.ones_like(squared[:, :k]))
            # With equal votes, the largest similarity is the smallest sum of squared distances.
            most = votes == votes.amax(1, keepdim=True)
            winner = codes[far.masked_fill(~most, torch.inf).argmin(1)]
            right[k] += int((winner == y[part]).sum())
    return {f"knn_accuracy@{k}": right[k] / len(z) for k in _KS}
