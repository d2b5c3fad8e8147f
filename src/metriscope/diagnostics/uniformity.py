"""Uniformity: how evenly do all points cover the sphere?"""

from __future__ import annotations

import math

import torch

from metriscope import ops
from metriscope.diagnostics.base import Score, Space, Values, diagnostic

_WIDE = 0.01  # spread above which 1 − exp may be taken as it reads: at worst 1e-14 of the score


@diagnostic(
    "uniformity",
    reads="embeddings",
    group="geometry",
    scores=[Score("uniformity", better="lower", lower=-8, upper=0)],
)
def uniformity(space: Space) -> Values:
    """Log mean of exp(−2‖z_i − z_j‖²) over all pairs: how evenly points cover the sphere.

    Formula, with t = 2::

        uniformity = log (2/(n(n−1))) Σ_{i<j} exp(−t ‖z_i − z_j‖²)

    A space of little spread is computed as log1p of the mean of expm1, which keeps its digits;
    any other by exp2, three times faster. O(n² d) time.

    Bounds: −8 ≤ uniformity ≤ 0, where 0 is one point; points spread evenly over the sphere in 128
    dimensions have about −3.9. Undefined for one row. Source: Wang and Isola (2020).
    """
    n = len(space.z)
    if n < 2:
        return {"uniformity": None}
    total, wide = space.z.new_zeros(()), bool(space.total_spread > _WIDE)
    for squared in ops.squared_pair_blocks(space.z):
        if wide:
            total += squared.mul_(-2 / math.log(2)).exp2_().sum()
        else:
            total += squared.mul_(-2).expm1_().sum()
    mean = total * 2 / (n * (n - 1))
    return {"uniformity": mean.log() if wide else torch.log1p(mean)}
