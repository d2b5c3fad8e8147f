"""Spectral decay: how far from flat are the singular values?"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from metriscope.diagnostics.base import RESOLUTION, Moments, Score, Values, diagnostic


@diagnostic(
    "spectral_decay",
    reads="moments",
    group="geometry",
    scores=[
        Score("spectral_decay", lower=0, upper=28),
        Score("spectral_decay.k2", lower=0, upper=28),
    ],
)
def spectral_decay(space: Moments) -> Values:
    """Divergence of the singular values from a flat spectrum, ρ(Φ): lower is flatter.

    Formula, with σ_1 ≥ … ≥ σ_r of the uncentred unit vectors, r = min(n, d), as shares
    s_k = σ_k/Σσ, and U the uniform distribution on them::

        ρ = KL(U ‖ s) = Σ_k (1/r) log((1/r)/s_k)

    ``spectral_decay`` uses all; ``.k2`` drops the largest (ρ@2 of the source), which in a cone is
    only the direction of the cone. σ below 1e-12 σ_1 count as 1e-12 σ_1, else one zero would make
    ρ infinite.

    Bounds: 0 ≤ ρ ≤ log 1e12 ≈ 27.7. Undefined for fewer than two singular values, or where all of
    them are 0. Source: Roth et al., "Revisiting Training Strategies" (2020).
    """
    s, noise = space.singular_values, RESOLUTION * math.sqrt(space.rows)
    return {"spectral_decay": _decay(s, noise), "spectral_decay.k2": _decay(s[1:], noise)}


def _decay(s: Float[Tensor, " r"], noise: float) -> Tensor | None:
    if len(s) < 2 or bool(s[0] <= noise):
        return None
    s = s.clamp_min(1e-12 * float(s[0]))
    return -torch.log(s / s.sum() * len(s)).mean()
