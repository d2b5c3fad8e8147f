"""Gradient norms: how hard does a step pull?"""

from __future__ import annotations

import torch

from metriscope.diagnostics.base import Score, diagnostic
from metriscope.types import Share, Step


@diagnostic(
    "gradient_norm",
    reads="step",
    group="greediness",
    scores=[Score("grad_norm.head", lower=0), Score("grad_norm.loss", lower=0)],
)
def gradient_norm(step: Step) -> dict[str, Share]:
    """L2 norm of the gradient over the head's and over the loss's own parameters.

    Formula: √Σ_θ ‖∂L/∂θ‖² after ``backward``, before any clipping; an epoch is the mean over its
    steps. It scales with the loss, so it depends on the reduction: compare losses with one.

    Bounds: ≥ 0. Undefined (0 of 0) for a loss without parameters of its own.
    Source: the paper, section 4.
    """
    zero = step.output.loss.new_zeros((), dtype=torch.float64)
    shares = {}
    for group in ("head", "loss"):
        norm = step.grad_norms.get(group)
        shares[f"grad_norm.{group}"] = Share(zero, zero) if norm is None else Share(norm, zero + 1)
    return shares
