"""VARIANCE, equation (1) of the paper, to the letter."""

from __future__ import annotations

from metriscope.diagnostics.base import RESOLUTION, Moments, Score, Values, diagnostic, ratio


@diagnostic(
    "variance_eq1",
    reads="moments",
    group="geometry",
    scores=[
        Score("intra.eq1", lower=0, upper=1),
        Score("inter.eq1", lower=0, upper=4),
        Score("ratio.eq1", better="lower", lower=0),
    ],
)
def variance_eq1(space: Moments) -> Values:
    """Mean squared distance to the class mean, and between class means: equation (1).

    Formula, with m_c the raw means of the unit vectors of class c::

        intra.eq1 = (1/C) Σ_c (1/N_c) Σ_{i∈c} ‖z_i − m_c‖²
        inter.eq1 = (1/(C(C−1))) Σ_{c≠c'} ‖m_c − m_c'‖²
        ratio.eq1 = intra.eq1 / inter.eq1

    The ratio has no scale: it tells a collapsed space, where both are tiny, from a compact one.

    Bounds: 0 ≤ intra ≤ 1; inter = K (1 − intra − ‖g‖²) exactly, K = 2C/(C−1), g the mean of the
    class means; so inter ≤ K ≤ 4. A class with one member adds 0 to intra. Undefined: intra and
    ratio where no class has two members, inter and ratio between fewer than two classes, ratio
    where all class means are equal. Source: the paper, eq. (1).
    """
    means = space.moments.means
    c = len(means)
    intra = space.class_spread.mean() if len(space.pair_cos) else None
    # Σ_{c≠c'} ‖m_c − m_c'‖² = 2C Σ_c ‖m_c − g‖²
    inter = 2 * (means - means.mean(0)).square().sum() / (c - 1) if c > 1 else None
    return {
        "intra.eq1": intra,
        "inter.eq1": inter,
        "ratio.eq1": None
        if intra is None or inter is None
        else ratio(intra, inter, noise=RESOLUTION**2),
    }
