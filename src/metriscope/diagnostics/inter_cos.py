"""Cosine distance between class means."""

from __future__ import annotations

from metriscope.diagnostics.base import Moments, Score, Values, diagnostic


@diagnostic(
    "inter_cos",
    reads="moments",
    group="geometry",
    scores=[
        Score("inter.cos.mean", lower=0, upper=2),
        Score("inter.cos.sd", lower=0, upper=1),
    ],
)
def inter_cos(space: Moments) -> Values:
    """Cosine distance of class means over unordered class pairs: what the paper says it prints.

    Formula, with u_c = m_c/‖m_c‖, over pairs c < c'::

        e_cc' = 1 − u_cᵀu_c' = ‖u_c − u_c'‖²/2      mean = mean of e      sd = SD of e (ddof 0)

    The difference of vectors is the one computed: 1 − cos has no digits left in a cone.

    Bounds: 0 ≤ mean ≤ C/(C−1) ≤ 2 (equality at a simplex), sd ≤ 1. A class whose mean is shorter
    than 1e-6 has no direction and is left out; undefined for fewer than two classes.
    Source: the paper's text to Table 2.
    """
    found = space.between_cos
    return {
        "inter.cos.mean": None if found is None else found.mean,
        "inter.cos.sd": None if found is None else found.sd,
    }
