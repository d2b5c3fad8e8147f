"""M samples a class, for data with more classes than a batch can hold by chance."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from metriscope.samplers import register

M = 4


@register("m_per_class")
def m_per_class(
    labels: Int[Tensor, " n"], batch_size: int, generator: torch.Generator
) -> list[Int[Tensor, " b"]]:
    """All rows in random groups of up to 4 of one class, so that anchors meet their positives.

    Every row is drawn once an epoch. With 200 classes and uniform batches of 512, some 8 % of the
    anchors have no positive; here only rows left over in their class can lack one.
    """
    order = torch.randperm(len(labels), generator=generator)
    order = order[torch.argsort(labels[order], stable=True)]  # by class, shuffled inside each
    counts = torch.bincount(labels)
    first = counts.cumsum(0) - counts
    place = torch.arange(len(order)) - first[labels[order]]  # position of a row inside its class
    groups_before = ((counts + M - 1) // M).cumsum(0) - (counts + M - 1) // M
    group = groups_before[labels[order]] + place // M
    shuffled = torch.randperm(int(group.max()) + 1, generator=generator)[group]
    return list(order[torch.argsort(shuffled, stable=True)].split(batch_size))
