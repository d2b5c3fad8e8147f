"""Neural collapse: have classes become points, and the points a simplex?"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from metriscope.diagnostics.base import RESOLUTION, Moments, Score, Values, diagnostic, ratio
from metriscope.ops import normalize

_NAMES = ("nc1", "nc1.over_c", "nc1.trace_ratio", "nc2.norm_cov", "nc2.angle")


@diagnostic(
    "neural_collapse",
    reads="moments",
    group="geometry",
    scores=[
        Score("nc1", better="lower", lower=0),
        Score("nc1.over_c", better="lower", lower=0),
        Score("nc1.trace_ratio", better="lower", lower=0),
        Score("nc2.norm_cov", better="lower", lower=0),
        Score("nc2.angle", better="lower", lower=0, upper=2),
    ],
)
def neural_collapse(space: Moments) -> Values:
    """NC1 (variability within classes against between) and NC2 (class means form a simplex).

    Formula, with M_c = m_c − m_G, m_G the mean of the C class means,
    Σ_W = (1/N) Σ_i (z_i − m_c)(z_i − m_c)ᵀ and Σ_B = (1/C) Σ_c M_c M_cᵀ::

        nc1             = tr(Σ_W Σ_B†)       pseudo-inverse of rank at most min(C − 1, d)
        nc1.over_c      = nc1 / C            as the paper's figure scales it
        nc1.trace_ratio = tr Σ_W / tr Σ_B    needs no inverse
        nc2.norm_cov    = SD(‖M_c‖) / mean(‖M_c‖)   (ddof 1)
        nc2.angle       = mean over c ≠ c' of |cos(M_c, M_c') + 1/(C−1)|

    Directions in which class means differ by less than 1e-7 of the largest singular value of M are
    no part of the pseudo-inverse. C > d + 1 means cannot form a simplex, so nc2.angle
    stays above 0.

    Bounds: nc1 ≥ 0, 0 exactly where each class is one point; 0 ≤ nc2.norm_cov ≤ √C;
    0 ≤ nc2.angle ≤ C/(C−1) ≤ 2. Undefined for fewer than two classes or where all class means are
    equal; NC1 also where no class has two members. A class whose mean is m_G has no angle and is
    left out of nc2.angle. Source: Papyan, Han and Donoho (2020).
    """
    means = space.moments.means
    c, n = len(means), space.rows
    m = means - means.mean(0)
    norms = m.norm(dim=1)
    if c < 2 or bool(norms.max() <= RESOLUTION):
        return dict.fromkeys(_NAMES)
    result: dict[str, Tensor | float | None] = dict.fromkeys(_NAMES)
    if len(space.pair_cos):
        _, s, v = torch.linalg.svd(m, full_matrices=False)
        rank = min(c - 1, int((s > max(1e-7 * float(s[0]), RESOLUTION)).sum()))
        # tr(Σ_W Σ_B†) = Σ_k v_kᵀ Σ_W v_k · C / s_k²
        along = space.within_along(v[:rank].T) / n
        nc1 = (along * c / s[:rank].square()).sum()
        within = space.moments.squares.sum() / n
        result |= {
            "nc1": nc1,
            "nc1.over_c": nc1 / c,
            "nc1.trace_ratio": ratio(within, m.square().sum() / c),
        }
    unit = normalize(m[norms > RESOLUTION] / norms.max())
    angle = _mean_excess(unit, 1 / (c - 1)) if len(unit) > 1 else math.nan
    return {**result, "nc2.norm_cov": norms.std() / norms.mean(), "nc2.angle": angle}


def _mean_excess(unit: Float[Tensor, "k d"], least: float) -> Float[Tensor, ""]:
    """Mean of |uᵀv + least| over pairs of rows, a block at a time."""
    total, k = unit.new_zeros(()), len(unit)
    for start in range(0, k, 1024):
        cosines = unit[start : start + 1024] @ unit.T  # (rows, k)
        cosines.diagonal(start).fill_(-least)
        total += cosines.add_(least).abs_().sum()
    return total / (k * (k - 1))
