"""InfoNCE: each positive against the anchor's negatives, one exponential at a time."""

from __future__ import annotations

import math

from tests.reference import Expected, Term, anchors, collect, dot, negatives, unit
from tests.reference import positives as positives_of


def reference(z, y, *, temperature=0.07, positives="one", reduction="mean", draw=None) -> Expected:
    """``draw``: the positive of each sample."""
    z = unit(z)
    terms = []
    for i in anchors(y):
        rest = [dot(z[i], z[n]) for n in negatives(y, i)]
        for p in [draw[i]] if positives == "one" else positives_of(y, i):
            s = dot(z[i], z[p])
            value = math.log1p(math.fsum(math.exp((r - s) / temperature) for r in rest))
            terms.append(Term(value, max(rest) >= s - 1e-6, (i,)))
    return collect(terms, reduction, len(z), excluded=len(z) - len(anchors(y)))
