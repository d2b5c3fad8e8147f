"""Uniform shuffling, as the paper is assumed to do it."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from metriscope.samplers import register


@register("uniform")
def uniform(
    labels: Int[Tensor, " n"], batch_size: int, generator: torch.Generator
) -> list[Int[Tensor, " b"]]:
    """All rows in a random order, cut into batches; the last one may be smaller."""
    order = torch.randperm(len(labels), generator=generator)
    return list(order.split(batch_size))
