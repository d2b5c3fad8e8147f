"""Retrieval: is what is near of the same class?"""

from __future__ import annotations

from metriscope.diagnostics.base import Score, Space, Values, diagnostic

_MEANS = ("recall@1", "recall@5", "recall@10", "r_precision", "map@r")


@diagnostic(
    "retrieval",
    reads="embeddings",
    group="retrieval",
    scores=[
        *(Score(name, better="higher", lower=0, upper=1) for name in _MEANS),
        Score("queries.excluded", lower=0),
    ],
)
def retrieval(space: Space) -> Values:
    """Leave-one-out retrieval: Recall@k, R-precision and MAP@R, means over queries.

    Each row is a query among the other n − 1, by cosine; equal distances go to the lower row.
    Formula, for a query with R others of its class, rel(i) ∈ {0, 1} for its i-th neighbour::

        recall@k    = 1 if any of rel(1..k) is 1        (k or all n − 1 neighbours)
        r_precision = (1/R) Σ_{i≤R} rel(i)
        map@r       = (1/R) Σ_{i≤R} P(i) rel(i),  P(i) = (1/i) Σ_{j≤i} rel(j)

    Bounds: [0, 1]; map@r ≤ r_precision; recall rises with k. Queries with R = 0 are left out and
    counted in ``queries.excluded``. Undefined if none is left, or where all embeddings are one
    point, whose order would be that of the rows. Source: MAP@R is that of Musgrave, Belongie and
    Lim, "A Metric Learning Reality Check" (2020).
    """
    excluded = (space.moments.counts == 1).sum()
    if space.collapsed or not len(space.pair_cos):
        return {**dict.fromkeys(_MEANS), "queries.excluded": excluded}
    found = space.neighbours
    same = space.y[found.nearest] == space.y[:, None]  # (n, ≤ 10)
    per_query = (
        *(same[:, :k].any(1).double() for k in (1, 5, 10)),
        found.hits / found.relevant,
        found.precision,
    )
    asked = found.relevant > 0
    scores = {name: values[asked].mean() for name, values in zip(_MEANS, per_query, strict=True)}
    return {**scores, "queries.excluded": excluded}
