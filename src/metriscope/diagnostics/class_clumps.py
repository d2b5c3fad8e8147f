"""Classes that are several clumps."""

from __future__ import annotations

from metriscope.diagnostics._clumps import LEAST_ROWS
from metriscope.diagnostics.base import Score, Space, Values, diagnostic


@diagnostic(
    "class_clumps",
    reads="diagnosis",
    group="geometry",
    scores=[Score("classes.clumped", better="lower", lower=0, upper=1)],
)
def class_clumps(space: Space) -> Values:
    """Share of the classes that are two or more clumps, far from each other.

    Of those with ten rows. A class is split by 2-means (from the first principal direction) into
    halves A and B with centres a and b, and each row placed on the line between them, left out of
    the centre of its own half, so that a split which many dimensions make possible by chance shows
    none. Formula::

        t_i = ±(‖z_i − b‖² − ‖z_i − a₋ᵢ‖²) / (2‖a₋ᵢ − b‖)        for i in A; in B likewise
        W   = (Σ_A (t − t̄_A)² + Σ_B (t − t̄_B)²) / Σ (t − t̄)²

    It is clumped where W < 1/9, ‖a − b‖ is over half the root mean square distance of class
    centres, each half has five rows and a tenth of the class, and in each most rows find their own
    class first (else it is wrong labels that lie elsewhere, or two classes that overlap). Cut in
    two, a Gaussian leaves W = 1 − 2/π = 0.36, a uniform density 1/4, and a density with a single
    peak at least 1/9, which a spike with a one-sided slab comes near.

    Bounds: [0, 1]. Undefined for fewer than two classes, where none has ten rows, or where all
    embeddings are one point. Source: derived here.
    """
    large = space.moments.counts >= LEAST_ROWS
    if len(large) < 2 or not bool(large.any()) or space.collapsed:
        return {"classes.clumped": None}
    return {"classes.clumped": space.clumped[large].double().mean()}
