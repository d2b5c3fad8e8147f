"""MS109: float32 cannot tell neighbours apart."""

from __future__ import annotations

import math

from metriscope.findings._space import is_collapsed
from metriscope.findings.base import (
    NotApplicable,
    Passed,
    Subject,
    Verdict,
    finding,
    sample_rows,
    score,
)
from metriscope.types import Finding

THRESHOLD = 0.01
PROBLEM = 0.05
QUERIES = 2000  # at most, that the scores are of


@finding("ms109_float32", title="what float32 cannot tell apart", of="space")
def ms109_float32(subject: Subject) -> Verdict:
    """Beyond float32: by cosine in float32, rounding decides over 1 % of Recall@1.

    ``float32.lost``: what Recall@1 loses if the nearest is any of the rows whose cosines differ by
    less than 2⁻²³, float32's resolution near 1. Where wrong and right rows are so near but the
    exact order is no better than chance either (labels that are wrong, classes that are one) it
    stays near 0: the limit is 3 standard errors, at most 1.5 √(unsure/n) of n queries, where that
    is more than 1 %, one answer in a hundred. Above 5 % it is a problem, but where MS101 holds,
    which says why, a warning.
    """
    lost, unsure = score(subject, "float32.lost"), score(subject, "float32.unsure")
    if lost is None or unsure is None:
        return NotApplicable("needs queries with a row of their class to find.")
    queries = min(sample_rows(subject) or QUERIES, QUERIES)
    limit = max(THRESHOLD, 1.5 * math.sqrt(unsure / queries))
    if lost <= limit:
        return Passed(lost, limit)
    return Finding(
        code="MS109",
        severity="warning" if lost <= PROBLEM or is_collapsed(subject) else "problem",
        title="float32 cannot rank the neighbours",
        message=f"For {unsure:.1%} of the queries the cosines of right and wrong neighbours differ "
        f"by less than float32 resolves (1.2e-7); an index in float32 loses about {lost:.3f} of "
        "Recall@1 by it.",
        value=lost,
        threshold=limit,
        cause="classes, or all embeddings, are within about 1e-3 of each other: a collapse that "
        "float64 still sees through, or a large constant part that all embeddings share.",
        next_step="subtract the mean and normalise again before storing as float32, search by "
        "Euclidean distance of the centred vectors, or train until classes are farther apart.",
        verify="float32.unsure falls to 0.",
    )
