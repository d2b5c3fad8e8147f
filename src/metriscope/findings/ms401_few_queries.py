"""MS401: many rows cannot be queries."""

from __future__ import annotations

from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding, score
from metriscope.types import Finding

THRESHOLD = 0.05


@finding("ms401_few_queries", title="rows that are alone in their class", of=("data", "space"))
def ms401_few_queries(subject: Subject) -> Verdict:
    """Many singletons: over 5 % of the rows are alone in their class.

    They have no neighbour to find, so they are left out as queries (``queries.excluded``), yet
    stay as neighbours. Above 5 %, Recall@1 can move by 5 points with how they are counted, more
    than most losses differ; other tools count them as misses. With a gallery they are the queries
    of whose class it has no row, or all where it is one point. A gallery in which no query has
    anything to find is a problem: nothing was measured.
    """
    excluded, about = score(subject, "queries.excluded"), subject.about
    in_gallery = subject.kind == "space" and bool(about.get("gallery"))
    rows = about.get("rows") if subject.kind == "space" else about.get("test_rows")
    if in_gallery and excluded is not None:
        rows = (about.get("queries") or 0) + int(excluded)
    if excluded is None or not rows:
        return NotApplicable("the number of queries is not known.")
    share = excluded / rows
    if share <= THRESHOLD:
        return Passed(share, THRESHOLD)
    which = "test rows" if subject.kind == "data" else "queries" if in_gallery else "rows"
    lacks = (
        "no row of their class in the gallery" if in_gallery else "no other member of their class"
    )
    nothing = in_gallery and share == 1
    if nothing:
        lacks = "nothing to find: no row of their class in the gallery, or a gallery of one point"
    return Finding(
        code="MS401",
        severity="problem" if nothing else "warning",
        title="no query has anything to find in the gallery"
        if nothing
        else "many queries have nothing to find"
        if in_gallery
        else f"many {which} are alone in their class",
        message=f"{int(excluded):,} of {rows:,} {which} ({share:.1%}) have {lacks}, "
        "so they are left out as queries.",
        value=share,
        threshold=THRESHOLD,
        cause="a gallery of other classes, of labels written in another way, or collapsed (MS101)."
        if nothing
        else "classes that the gallery lacks."
        if in_gallery
        else "classes with one row: rare classes, or a split that broke them up.",
        next_step="add rows of these classes to the gallery, or leave their queries out."
        if in_gallery
        else "a larger test part, a split that keeps two rows of each class, or merged classes.",
        verify=f"diagnose again: at most {THRESHOLD:.0%} of the {which} are left out.",
    )
