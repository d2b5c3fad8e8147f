"""N-pair: each anchor against the positives of the others, one exponential at a time."""

from __future__ import annotations

import math

from tests.reference import Expected, Term, anchors, collect, dot, negatives, unit


def reference(
    z, y, *, scale=1.0, normalize=True, l2=0.0, pairing="class", reduction="mean", draw=None
) -> Expected:
    """``draw``: (which samples are anchors, the positive of each sample)."""
    z = unit(z) if normalize else z
    b = len(z)

    def term(i, own, others):
        """-mean over own of log(exp(s_p) / sum of exp(s) over own and others), and the penalty."""
        s = {j: scale * dot(z[i], z[j]) for j in {*own, *others}}
        log_sum = math.log(math.fsum(math.exp(s[j]) for j in [*own, *others]))
        value = log_sum - math.fsum(s[j] for j in own) / len(own)
        value += l2 / 4 * (dot(z[i], z[i]) + math.fsum(dot(z[j], z[j]) for j in own) / len(own))
        active = max(s[j] for j in others) >= min(s[j] for j in own) - 1e-6 * scale
        return Term(value, active, (i,))

    terms = []
    if pairing == "class":
        chosen = [i for i in range(b) if draw[0][i]]
        for i in chosen:
            others = [draw[1][j] for j in chosen if j != i]
            if others:
                terms.append(term(i, [draw[1][i]], others))
    elif pairing == "half":
        second = range(b // 2, 2 * (b // 2))
        for i in range(b // 2):
            own = [j for j in second if y[j] == y[i]]
            others = [j for j in second if y[j] != y[i]]
            if own and others:
                terms.append(term(i, own, others))
    else:
        terms = [term(i, [draw[1][i]], negatives(y, i)) for i in anchors(y)]
    return collect(terms, reduction, b, excluded=b - len(anchors(y)))
