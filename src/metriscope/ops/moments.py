"""Counts and sums by class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class ClassMoments:
    """Counts and sums by class, in float64: every mean cosine over all pairs, without a pair.

    Attributes:
        counts: (c,) rows of each class that is present; absent classes are left out.
        sums: (c, d) Σ z of each.
        codes: (c,) which class it is.
    """

    counts: Float[Tensor, " c"]
    sums: Float[Tensor, "c d"]
    codes: Int[Tensor, " c"]

    @property
    def means(self) -> Float[Tensor, "c d"]:
        """Class means m_c."""
        return self.sums / self.counts[:, None]


def class_moments(z: Float[Tensor, "n d"], labels: Int[Tensor, " n"]) -> ClassMoments:
    """Counts and sums of the classes present."""
    codes, inverse, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    sums = torch.zeros(len(codes), z.shape[1], dtype=torch.float64, device=z.device)
    sums.index_add_(0, inverse, z.double())
    return ClassMoments(counts.double(), sums, codes)
