"""Rows that stand for all of them."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor


def some_rows(n: int, most: int, device: torch.device) -> Int[Tensor, " q"]:
    """All rows, or ``most`` of them, drawn without replacement and the same ones each time."""
    if n <= most:
        return torch.arange(n, device=device)
    drawn = torch.randperm(n, generator=torch.Generator().manual_seed(0))[:most]
    return drawn.sort().values.to(device)
