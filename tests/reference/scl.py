"""Supervised contrastive: each anchor over everyone else, one exponential at a time."""

from __future__ import annotations

import math

from tests.reference import Expected, Term, dot, negatives, positives, reduce, unit


def reference(z, y, *, temperature=0.07, form="out", reduction="mean") -> Expected:
    z = unit(z)
    terms, n_active, n_total, excluded = [], 0, 0, 0
    samples = [False] * len(z)
    for i in range(len(z)):
        own = [dot(z[i], z[p]) for p in positives(y, i)]
        rest = [dot(z[i], z[n]) for n in negatives(y, i)]
        if not own:
            excluded += 1
            continue
        whole = math.fsum(math.exp(s / temperature) for s in own + rest)
        shares = [math.exp(s / temperature) / whole for s in own]
        if form == "out":
            value = -math.fsum(math.log(q) for q in shares) / len(shares)
        else:
            value = -math.log(math.fsum(shares) / len(shares))
        violated = sum(1 for s in own if rest and max(rest) >= s - 1e-6)
        samples[i] = violated > 0
        n_active, n_total = n_active + violated, n_total + len(own)
        terms.append(Term(value, samples[i], (i,)))
    return Expected(reduce(terms, reduction), n_active, n_total, samples, excluded)
