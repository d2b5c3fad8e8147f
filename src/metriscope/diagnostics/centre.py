"""The centre of the space: does it point anywhere, and how far is it from the points?"""

from __future__ import annotations

from metriscope.diagnostics.base import RESOLUTION, Moments, Score, Values, diagnostic, ratio


@diagnostic(
    "centre",
    reads="moments",
    group="geometry",
    scores=[
        Score("centre.norm_sq", lower=0, upper=1),
        Score("spread.total", lower=0, upper=1),
        Score("table2.r", lower=0, upper=1),
    ],
)
def centre(space: Moments) -> Values:
    """Squared length of the mean, total spread around it, and the identity that ties Table 2.

    Formula, with g = (1/C) Σ_c m_c and z̄ the mean of all rows::

        centre.norm_sq = ‖g‖²
        spread.total   = (1/N) Σ_i ‖z_i − z̄‖² = 1 − ‖z̄‖²
        table2.r       = (μ² + SD²) / (K (1 − intra.eq1)) = inter.eq1 / (K (1/C) Σ_c ‖m_c‖²)

    with μ, SD of ``inter.euclid`` and K = 2C/(C−1). ``spread.total`` is the collapse measure: 0
    where all embeddings are one point, whatever the classes; it is computed from differences.

    Bounds: all in [0, 1]; r = 1 exactly where g = 0. Undefined: r for fewer than two classes, or
    where every class mean is 0. Source: derived from the paper's eq. (1)
    and Table 2.
    """
    means = space.moments.means
    c = len(means)
    g = means.mean(0)
    between = (means - g).square().sum()
    return {
        "centre.norm_sq": g.square().sum(),
        "spread.total": space.total_spread,
        # inter.eq1 / K = (1/C) Σ ‖m_c − g‖², and 1 − intra.eq1 = (1/C) Σ ‖m_c‖²
        "table2.r": ratio(between, means.square().sum(), RESOLUTION**2) if c > 1 else None,
    }
