"""Center contrastive, and contrastive-center: each sample's distances to the centres."""

from __future__ import annotations

import math

from tests.reference import Expected, Term, collect, dot, squared_distance, unit


def reference(
    z,
    y,
    *,
    proxies,
    scale=16.0,
    margin=0.0,
    weight=10.0,
    label_smoothing=0.0,
    form="cai2023",
    reduction="mean",
) -> Expected:
    z, centers = unit(z), unit(proxies)
    terms = []
    for i, row in enumerate(z):
        d2 = [squared_distance(row, c) for c in centers]
        others = [v for j, v in enumerate(d2) if j != y[i]]
        if form == "cai2023":
            logits = [scale * (dot(row, c) - margin * (j == y[i])) for j, c in enumerate(centers)]
            log_sum = math.log(math.fsum(math.exp(v) for v in logits))
            spread = math.fsum(log_sum - v for v in logits) / len(logits)
            softmax = (1 - label_smoothing) * (log_sum - logits[y[i]]) + label_smoothing * spread
            value = softmax + weight * d2[y[i]]
        else:
            value = weight * 0.5 * d2[y[i]] / (math.fsum(others) + 1)
        terms.append(Term(value, d2[y[i]] > min(others), (i,)))
    return collect(terms, reduction, len(z), excluded=0)
