"""Random pairs of one class, drawn for a whole batch at once from torch's global generator.

No loop over samples and no matrix: the batch is sorted by label, and positions are drawn in it.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from metriscope import ops


def positive(labels: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
    """For each sample another one of its class, all equally likely; itself where it is alone."""
    (order, start, count), rank = _by_class(labels)
    others = count - 1
    u = torch.rand(len(labels), device=labels.device)
    shift = 1 + torch.minimum((u * others).long(), (others - 1).clamp_min(0))
    return order[start + (rank + shift) % count]


def anchor_of_class(labels: Int[Tensor, " b"]) -> Bool[Tensor, " b"]:
    """Marks one random sample of each class with two or more, all equally likely."""
    (_, start, count), rank = _by_class(labels)
    # Members of a class share one draw: that of the place where the class starts.
    u = torch.rand(len(labels), device=labels.device)[start]
    return (rank == torch.minimum((u * count).long(), count - 1)) & (count > 1)


def _by_class(labels: Int[Tensor, " b"]) -> tuple[ops.ByClass, Int[Tensor, " b"]]:
    """The batch by class, and of each sample the rank within its class."""
    classes = ops.by_class(labels)
    here = torch.arange(len(labels), device=labels.device)
    return classes, torch.empty_like(here).scatter_(0, classes.order, here) - classes.start
