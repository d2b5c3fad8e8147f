"""Retrieval among training rows, as many and of classes as large as those that are examined."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from metriscope import ops
from metriscope.diagnostics.base import RESOLUTION, Score, Space, Values, diagnostic


@diagnostic(
    "training_recall",
    reads="diagnosis",
    group="retrieval",
    scores=[Score("train.recall@1", better="higher", lower=0, upper=1)],
)
def training_recall(space: Space) -> Values:
    """Recall@1 of training rows among each other: what ``recall@1`` would be if nothing was lost.

    Formula: Recall@1, leave one out, of a part of the training rows that has the sizes of the
    examined space: of each class min(N_c, its training rows), drawn at random; a class that the
    training data lack is stood in for by one that they alone have, the largest by the largest.
    Without that, the larger part would win: it has more rows of a class to find, and nearer ones.

    Bounds: [0, 1]. Undefined without training embeddings, where no class of the part has two
    rows, or where all its embeddings are one point. Source: ours.
    """
    if space.train_z is None or space.train_y is None:
        return {"train.recall@1": None}
    rows = _alike(space.y.cpu(), space.train_y.cpu()).to(space.train_z.device)
    z, y = space.train_z[rows], space.train_y[rows]
    if len(z) < 2 or bool((z - z.mean(0)).norm(dim=1).max() <= RESOLUTION):
        return {"train.recall@1": None}
    return {"train.recall@1": ops.recall(z, y, (1,))[0]}


def _alike(y: Int[Tensor, " n"], train: Int[Tensor, " m"]) -> Int[Tensor, " rows"]:
    """Training rows, in order, with classes of the sizes that ``y`` has."""
    classes = int(torch.cat([y, train]).max()) + 1
    wanted, there = y.bincount(minlength=classes), train.bincount(minlength=classes)
    # The largest of those that are lacking, by the largest of those that are free.
    lacking = (wanted * (there == 0)).sort(descending=True, stable=True).values
    free = (there * (wanted == 0)).sort(descending=True, stable=True)
    drawn = torch.minimum(wanted, there)
    drawn[free.indices] += torch.minimum(free.values, lacking)
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
    order = order[train[order].argsort(stable=True)]  # by class, within it at random
    place = torch.arange(len(train)) - (there.cumsum(0) - there)[train[order]]
    return order[place < drawn[train[order]]].sort().values
