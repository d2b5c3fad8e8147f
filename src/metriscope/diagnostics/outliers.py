"""Outliers: rows far from everything, their own class included."""

from __future__ import annotations

from metriscope.diagnostics.base import Score, Space, Values, diagnostic


@diagnostic(
    "outliers",
    reads="diagnosis",
    group="data",
    scores=[Score("items.outliers", better="lower", lower=0, upper=1)],
)
def outliers(space: Space) -> Values:
    """Share of rows that are far from all others, as distances are there and anywhere.

    Formula, with D_i the mean distance to the min(10, N_c − 1) nearest others, of a class of N_c::

        r_i = D_i / median of D over these      R_i = D_i / median of D over all rows
        outlier: log min(r_i, R_i) > Q50 + (Q90 − Q50) log(0.5/α) / log 5,   α = 10⁻⁴

    Q50 and Q90 are quantiles of log r: the limit holds a share α of the rows where the tail of
    log r falls like that of an exponential, and less where it falls faster.

    Bounds: [0, 1]. Broken rows that lie together are a clump, not outliers. A row alone in its
    class is not judged. Undefined for fewer than 20 others, or where all embeddings are one point.
    Source: the ratio is that of Breunig et al., "LOF" (2000), without its reachability.
    """
    found = space.far_out
    return {"items.outliers": None if found is None else found[0].double().mean()}
