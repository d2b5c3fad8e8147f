"""Triplet: every anchor, positive and negative in turn."""

from __future__ import annotations

import math

from tests.reference import (
    Expected,
    Term,
    anchors,
    collect,
    negatives,
    positives,
    squared_distance,
    unit,
)


def reference(
    z, y, *, margin=1.0, mining="batch_hard", squared=False, soft=False, reduction="mean"
) -> Expected:
    z = unit(z)

    def distance(i, j):
        d2 = squared_distance(z[i], z[j])
        return d2 if squared else math.sqrt(d2)

    def term(a, d_ap, d_an):
        if soft:
            return Term(math.log1p(math.exp(d_ap - d_an)), d_ap > d_an, (a,))
        return Term(max(0.0, d_ap - d_an + margin), d_ap + margin > d_an, (a,))

    terms = []
    for a in anchors(y):
        near = sorted(distance(a, n) for n in negatives(y, a))
        far = [distance(a, p) for p in positives(y, a)]
        if mining == "batch_hard":
            terms.append(term(a, max(far), near[0]))
        elif mining == "batch_all":
            terms += [term(a, d_ap, d_an) for d_ap in far for d_an in near]
        else:
            for d_ap in far:
                beyond = [d_an for d_an in near if d_an > d_ap]
                terms.append(term(a, d_ap, beyond[0] if beyond else near[-1]))
    return collect(terms, reduction, len(z), excluded=len(z) - len(anchors(y)))
