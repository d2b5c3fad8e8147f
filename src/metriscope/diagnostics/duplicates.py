"""Duplicates: rows that are there twice, among each other and among the training rows."""

from __future__ import annotations

from metriscope.diagnostics._suspects import copies
from metriscope.diagnostics.base import Score, Space, Values, diagnostic

_WITHIN = ("duplicates.within", "duplicates.within.exact", "duplicates.conflicting")
_ACROSS = ("duplicates.across", "duplicates.across.exact")


@diagnostic(
    "duplicates",
    reads="diagnosis",
    group="data",
    scores=[Score(name, better="lower", lower=0, upper=1) for name in _WITHIN + _ACROSS],
)
def duplicates(space: Space) -> Values:
    """Shares of rows with a copy among the others, and among the training rows.

    Formula, with d_1 ≤ … ≤ d_k the distances to the k ≤ 10 nearest, m the median of d_1::

        exact: d_1 ≤ 1e-14        near: d_1 < min(0.2, 0.3 m) and d_1/d_k < t

    t ≤ 0.3 is where the lower tail of d_1/d_k, a power law through its quartile and its median,
    holds 10⁻⁴ of the rows, so that a class tighter than the others is not all copies. Shares
    without ``.exact`` count both. ``conflicting``: rows whose copy among the others has another
    label.

    Measured: none is found near in 200,000 rows of 43 kinds of spaces without copies, in 3 to 256
    dimensions, neural collapse and classes 50 times tighter than others among them.

    Bounds: [0, 1]. ``within`` is undefined where all embeddings are one point, ``across`` without
    training embeddings. Source: ours.
    """
    scores: dict[str, float | None] = dict.fromkeys(_WITHIN + _ACROSS)
    if not space.collapsed and space.rows > 1:
        found = copies(space.neighbour_distances)
        other = space.y[space.neighbours.nearest[:, 0]] != space.y
        flags = (found.near, found.exact, found.near & other)
        scores |= {k: float(v.double().mean()) for k, v in zip(_WITHIN, flags, strict=True)}
    if space.train_distances is not None:
        found = copies(space.train_distances)
        beyond = (found.near, found.exact)
        scores |= {k: float(v.double().mean()) for k, v in zip(_ACROSS, beyond, strict=True)}
    return scores
