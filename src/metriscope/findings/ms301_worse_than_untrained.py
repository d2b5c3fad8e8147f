"""MS301: training made retrieval worse than the features it started from."""

from __future__ import annotations

import math

from metriscope.findings.base import (
    NotApplicable,
    Passed,
    Subject,
    Verdict,
    finding,
    queries,
    score,
    standard_error,
)
from metriscope.types import Finding

STANDARD_ERRORS = 2.0


@finding("ms301_worse_than_untrained", title="retrieval beside the untrained features", of="run")
def ms301_worse_than_untrained(subject: Subject) -> Verdict:
    """Worse than the untrained features: Recall@1 is below theirs by over 2 standard errors.

    The standard error is √(p(1−p)/n) over the n test queries, p whichever of the two shares gives
    the larger one. Both are measured on the same queries, so chance explains less than this
    allows: 2 errs on the quiet side. The value is the difference.
    """
    recall, n = score(subject, "recall@1"), queries(subject, subject.about)
    before = (subject.about.get("baseline") or {}).get("recall@1")
    if recall is None or before is None or not math.isfinite(before) or n < 1:
        return NotApplicable("Recall@1 of the untrained features is not known.")
    limit = -STANDARD_ERRORS * standard_error(recall, before, n)
    if recall - before >= limit:
        return Passed(recall - before, limit)
    return Finding(
        code="MS301",
        severity="problem",
        title="worse than the untrained features",
        message=f"Recall@1 is {recall:.3f}; the features had {before:.3f} before any training "
        f"({n:,} test queries).",
        value=recall - before,
        threshold=limit,
        cause="the head discards what the features already say, or has not been trained enough to "
        "recover it from its random start.",
        next_step="use the features as they are, or more epochs, a wider head, another loss.",
    )
