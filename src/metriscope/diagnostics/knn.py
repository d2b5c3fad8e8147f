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

    Formula, over the k nearest training rows j of test row i by cosine (all, if fewer than k)::

        ŷ_i = argmax_c #{j: y_j = c}      accuracy = share of rows with ŷ_i = y_i

    Among equally frequent classes the largest Σ z_iᵀz_j wins, then the lowest code.

    Bounds: [0, 1]. A test class that the training data lack is always wrong. Undefined without
    training embeddings. Source: the usual protocol for frozen embeddings.
    """
    train_z, train_y = space.train_z, space.train_y
    if train_z is None or train_y is None:
        return {f"knn_accuracy@{k}": None for k in _KS}
    codes, labels = torch.unique(train_y, return_inverse=True)
    right = dict.fromkeys(_KS, 0)
    for part, index, squared in ops.neighbour_blocks(space.z, train_z, min(max(_KS), len(train_z))):
        for k in _KS:
            near = labels[index[:, :k]]
            votes = squared.new_zeros(len(near), len(codes))
            far = votes.scatter_add(1, near, squared[:, :k])
            votes = votes.scatter_add(1, near, torch.ones_like(squared[:, :k]))
            # With equal votes, the largest similarity is the smallest sum of squared distances.
            most = votes == votes.amax(1, keepdim=True)
            winner = codes[far.masked_fill(~most, torch.inf).argmin(1)]
            right[k] += int((winner == space.y[part]).sum())
    return {f"knn_accuracy@{k}": right[k] / len(space.z) for k in _KS}
