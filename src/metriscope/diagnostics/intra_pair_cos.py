"""Cosine distance within classes."""

from __future__ import annotations

from metriscope.diagnostics.base import Moments, Score, Values, diagnostic, mean, spread


@diagnostic(
    "intra_pair_cos",
    reads="moments",
    group="geometry",
    scores=[
        Score("intra.pair_cos.mean", lower=0, upper=2),
        Score("intra.pair_cos.sd", lower=0, upper=1),
    ],
)
def intra_pair_cos(space: Moments) -> Values:
    """Mean cosine distance over the pairs of a class, and how it differs between classes.

    Formula, over classes c of at least two members::

        p_c  = (1/(N_c(N_c−1))) Σ_{i≠j∈c} (1 − z_iᵀz_j) = N_c/(N_c−1) · (1/N_c) Σ_i ‖z_i − m_c‖²
        mean = mean of p_c      sd = SD of p_c over classes (ddof 0)

    The second form of p_c is the one computed: it subtracts vectors, not numbers close to 1.

    Bounds: 0 ≤ p_c ≤ N_c/(N_c−1) ≤ 2, so sd ≤ 1. Classes with one member are left out; undefined
    if all are. Source: the paper's Table 2, first columns.
    """
    return {
        "intra.pair_cos.mean": mean(space.pair_cos),
        "intra.pair_cos.sd": spread(space.pair_cos),
    }
