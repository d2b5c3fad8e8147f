"""Alignment and uniformity."""

from __future__ import annotations

import torch

from metriscope import ops
from metriscope.diagnostics.base import Score, Space, Values, diagnostic, mean


@diagnostic(
    "alignment_uniformity",
    reads="embeddings",
    group="geometry",
    scores=[
        Score("alignment", better="lower", lower=0, upper=4),
        Score("uniformity", better="lower", lower=-8, upper=0),
    ],
)
def alignment_uniformity(space: Space) -> Values:
    """How close positive pairs are, and how evenly all points cover the sphere.

    Formula, with positives the same-class pairs, t = 2::

        alignment  = mean over classes of the mean ‖z_i − z_j‖² over i ≠ j = 2 intra.pair_cos.mean
        uniformity = log (2/(n(n−1))) Σ_{i<j} exp(−t ‖z_i − z_j‖²)

    Alignment weighs classes, not pairs, alike; with equal class sizes that is the same. Uniformity
    is computed as log1p of the mean of expm1, which neither overflows nor loses a collapsed space.

    Bounds: 0 ≤ alignment ≤ 4; −8 ≤ uniformity ≤ 0, where 0 is one point; points spread evenly over
    the sphere in 128 dimensions have about −3.9. Undefined without a positive pair (alignment) or
    for one row (uniformity). Source: Wang and Isola (2020).
    """
    n = len(space.z)
    together = mean(space.pair_cos)
    total = space.z.new_zeros(())
    for squared in ops.squared_pair_blocks(space.z):
        total += squared.mul_(-2).expm1_().sum()
    return {
        "alignment": None if together is None else 2 * together,
        "uniformity": torch.log1p(total * 2 / (n * (n - 1))) if n > 1 else None,
    }
