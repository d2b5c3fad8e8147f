"""Contrastive: every unordered pair in turn."""

from __future__ import annotations

import math
from itertools import combinations

from tests.reference import Expected, Term, collect, reduce, squared_distance, unit


def reference(z, y, *, margin=1.0, pairs="all", reduction="mean") -> Expected:
    z = unit(z)
    terms, sides = [], {True: [], False: []}
    for i, j in combinations(range(len(z)), 2):
        d = math.sqrt(squared_distance(z[i], z[j]))
        if y[i] == y[j]:
            term = Term(d**2, d > 1e-6, (i, j))
        else:
            term = Term(max(0.0, margin - d) ** 2, d < margin, (i, j))
        terms.append(term)
        sides[y[i] == y[j]].append(term)
    out = collect(terms, reduction, len(z), excluded=1 if len(z) == 1 else 0)
    if pairs == "balanced":
        out.loss = reduce(sides[True], reduction) + reduce(sides[False], reduction)
    return out
