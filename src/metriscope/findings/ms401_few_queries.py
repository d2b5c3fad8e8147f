"""MS401: many test rows cannot be queries."""

from __future__ import annotations

from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding, score
from metriscope.types import Finding

THRESHOLD = 0.05


@finding("ms401_few_queries", title="rows that are alone in their class", of="data")
def ms401_few_queries(subject: Subject) -> Verdict:
    """Many singletons: over 5 % of the test rows are alone in their class.

    They have no neighbour to find, so they are left out as queries (``queries.excluded``), yet
    stay as neighbours. Above 5 %, Recall@1 can move by 5 points with how they are counted, more
    than most losses differ; other tools count them as misses.
    """
    excluded, rows = score(subject, "queries.excluded"), subject.about.get("test_rows")
    if excluded is None or not rows:
        return NotApplicable("the number of queries is not known.")
    share = excluded / rows
    if share <= THRESHOLD:
        return Passed(share, THRESHOLD)
    return Finding(
        code="MS401",
        severity="warning",
        title="many test rows are alone in their class",
        message=f"{int(excluded)} of {rows} test rows ({share:.1%}) have no other member of their "
        "class, so they are left out as queries.",
        value=share,
        threshold=THRESHOLD,
        cause="classes with one test row: rare classes, or a split that broke them up.",
        next_step="a larger test part, a split that keeps two rows of each class, or merged "
        "classes.",
    )
