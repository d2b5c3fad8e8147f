"""Effective rank: how many dimensions does the space use?"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from metriscope.diagnostics.base import RESOLUTION, Moments, Score, Values, diagnostic

_EPS = 1e-7  # RankMe's


@diagnostic(
    "effective_rank",
    reads="moments",
    group="geometry",
    scores=[
        Score("rank.effective", lower=1),
        Score("rank.rankme", lower=1 - 1e-6),
        Score("rank.stable", lower=1),
        Score("rank.participation", lower=1),
        Score("rank.effective.centred", lower=1),
        Score("rank.rankme.centred", lower=1 - 1e-6),
        Score("rank.stable.centred", lower=1),
        Score("rank.participation.centred", lower=1),
    ],
)
def effective_rank(space: Moments) -> Values:
    """Effective rank, RankMe, stable rank and participation ratio, uncentred and centred.

    Formula, from the singular values σ_1 ≥ … ≥ σ_r, r = min(n, d)::

        effective     = exp(−Σ p_k log p_k),  p_k = σ_k/Σσ             (Roy and Vetterli 2007)
        rankme        = the same with p_k = σ_k/Σσ + 1e-7               (Garrido et al. 2023)
        stable        = Σσ²/σ_1²
        participation = (Σλ)²/Σλ²,  λ = σ²

    Plain names: σ of Z, the unit vectors as they are. ``.centred``: σ of Z minus the mean of its
    rows, so λ are those of the covariance. RankMe is defined uncentred; the participation ratio is
    usually centred. A cone scores about 1 uncentred and may still have full centred rank. Perfect
    neural collapse has centred rank C − 1: a low rank is no failure where C − 1 < d.

    Bounds: 1 ≤ each ≤ r (rankme misses both by at most r·1e-7 relative). Undefined without any
    length (all vectors zero), ``.centred`` without any spread.
    Source: named beside each; participation ratio and centring as in Jing et al. (2022).
    """
    plain = _ranks(space.singular_values, space.rows)
    centred = _ranks(space.centred_singular_values, space.rows)
    return {
        **{f"rank.{name}": value for name, value in plain.items()},
        **{f"rank.{name}.centred": value for name, value in centred.items()},
    }


def _ranks(s: Float[Tensor, " r"], rows: int) -> dict[str, Tensor | None]:
    if bool(s.norm() <= RESOLUTION * math.sqrt(rows)):
        return dict.fromkeys(("effective", "rankme", "stable", "participation"))
    p, squares = s / s.sum(), s.square()
    return {
        "effective": torch.special.entr(p).sum().exp(),
        "rankme": torch.special.entr(p + _EPS).sum().exp(),
        "stable": squares.sum() / squares[0],
        "participation": squares.sum().square() / squares.square().sum(),
    }
