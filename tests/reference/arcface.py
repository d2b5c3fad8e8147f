"""ArcFace: each sample's angles to the proxies."""

from __future__ import annotations

import math

from tests.reference import Expected, Term, collect, dot, unit


def reference(z, y, *, proxies, scale=64.0, margin=0.5, reduction="mean") -> Expected:
    z, proxies = unit(z), unit(proxies)
    terms = []
    for i, row in enumerate(z):
        cosines = [max(-1.0, min(1.0, dot(row, w))) for w in proxies]
        angle = math.acos(cosines[y[i]])
        target = math.cos(angle + margin)
        if angle > math.pi - margin:
            target = cosines[y[i]] - margin * math.sin(margin)
        elif math.sin(angle) < 1e-3:  # near the proxy the sine, and with it cos θ, is held
            target = min(cosines[y[i]], 1 - 1e-7) * math.cos(margin) - 1e-3 * math.sin(margin)
        rivals = [c for j, c in enumerate(cosines) if j != y[i]]
        top = max(*rivals, target)
        whole = math.fsum(math.exp(scale * (c - top)) for c in [*rivals, target])
        value = scale * (top - target) + math.log(whole)
        terms.append(Term(value, target < max(rivals), (i,)))
    return collect(terms, reduction, len(z), excluded=0)
