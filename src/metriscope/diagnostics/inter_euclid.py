"""Euclidean distance between class means."""

from __future__ import annotations

from metriscope import ops
from metriscope.diagnostics.base import RESOLUTION, Moments, Score, Values, diagnostic


@diagnostic(
    "inter_euclid",
    reads="moments",
    group="geometry",
    scores=[
        Score("inter.euclid.mean", lower=0, upper=2),
        Score("inter.euclid.sd", lower=0, upper=1),
        Score("inter.clumps", better="higher", lower=1),
    ],
)
def inter_euclid(space: Moments) -> Values:
    """Distance of raw class means over unordered class pairs: what the paper's Table 2 prints.

    Formula, over pairs c < c'::

        e_cc' = ‖m_c − m_c'‖      mean = mean of e      sd = SD of e (ddof 0)
        clumps = 1 + (mean/sd)²

    C classes merged into k equidistant clumps have sd/mean = 1/√(k−1): ``clumps`` reads an uneven
    spacing as the number of clumps that would make it.

    Bounds: mean² + sd² = inter.eq1 ≤ K (1 − intra.eq1), K = 2C/(C−1), so mean ≤ √K ≤ 2; sd ≤ 1;
    clumps ≥ 1. Undefined for fewer than two classes; clumps also where all pairs are equally far.
    Source: the paper's Table 2, last columns ("σ²" there is an SD).
    """
    found = ops.summary(ops.pair_distances(space.moments.means))
    if found is None:
        return {"inter.euclid.mean": None, "inter.euclid.sd": None, "inter.clumps": None}
    return {
        "inter.euclid.mean": found.mean,
        "inter.euclid.sd": found.sd,
        "inter.clumps": None if found.sd <= RESOLUTION else 1 + (found.mean / found.sd) ** 2,
    }
