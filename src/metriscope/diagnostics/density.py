"""Embedding density: distances within classes against distances between them."""

from __future__ import annotations

from metriscope.diagnostics.base import RESOLUTION, Moments, Score, Values, diagnostic, mean, ratio


@diagnostic(
    "density",
    reads="moments",
    group="geometry",
    scores=[
        Score("density.pi_intra", lower=0, upper=2),
        Score("density.pi_inter", lower=0, upper=2),
        Score("density.pi_ratio", lower=0),
    ],
)
def density(space: Moments) -> Values:
    """Density π_ratio: mean cosine distance within classes over that between class means.

    Formula, with u_c = m_c/‖m_c‖::

        pi_intra = mean over classes of the mean of 1 − z_iᵀz_j over i ≠ j in the class
        pi_inter = mean over class pairs of 1 − u_cᵀu_c'
        pi_ratio = pi_intra / pi_inter

    The source divides by max(pi_inter, 1e-8). Here both are exact in a cone, where that floor
    would decide the ratio, so there is none.

    Bounds: 0 ≤ pi_intra, pi_inter ≤ 2. Classes with one member are left out of pi_intra (the
    source puts the largest value in their place), classes with a zero mean out of pi_inter.
    Undefined without a positive pair (intra), for fewer than two classes (inter), or where all
    class means have one direction (ratio). Source: Roth et al. (2020).
    """
    intra, between = mean(space.pair_cos), space.between_cos
    inter = None if between is None else between.mean
    return {
        "density.pi_intra": intra,
        "density.pi_inter": inter,
        "density.pi_ratio": None
        if intra is None or inter is None
        else ratio(intra, inter, noise=RESOLUTION**2),
    }
