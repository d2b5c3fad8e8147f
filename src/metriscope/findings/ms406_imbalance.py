"""MS406: scores that speak for the large classes only."""

from __future__ import annotations

import math

from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding
from metriscope.types import ClassRow, Finding

THRESHOLD = 0.05
STANDARD_ERRORS = 3.3
SHOWN = 5


@finding("ms406_imbalance", title="mean over queries beside mean over classes", of="space")
def ms406_imbalance(subject: Subject) -> Verdict:
    """Imbalance: Recall@1 over queries and over classes differ by more than 5 points.

    The value is micro − macro: Σ_c q_c r_c / Σ_c q_c − (1/C) Σ_c r_c over the classes with
    queries, r_c the recall of the q_c queries of class c. With classes of one size it is 0, so
    what is left is what imbalance does to the score. It must also exceed 3.3 standard errors of the
    macro mean, √(Σ_c r_c (1 − r_c)/q_c)/C (r_c with one success and one failure added), which
    chance does once in a thousand. 5 points are more than most losses differ by.
    """
    table = subject.examined.per_class if subject.examined else ()
    asked = [(row, row.recall, row.queries) for row in table if row.recall is not None]
    if len(asked) < 2:
        return NotApplicable("needs the recall of two classes.")
    total = sum(q for _, _, q in asked)
    micro = sum(q * r for _, r, q in asked) / total
    macro = sum(r for _, r, _ in asked) / len(asked)
    smooth = [((r * q + 1) / (q + 2), q) for _, r, q in asked]
    error = math.sqrt(sum(p * (1 - p) / q for p, q in smooth)) / len(asked)
    limit = max(THRESHOLD, STANDARD_ERRORS * error)
    if abs(micro - macro) <= limit:
        return Passed(micro - macro, limit)
    rows = sorted((row for row, _, _ in asked), key=lambda row: row.rows)
    worse = "small" if micro > macro else "large"
    names = _worst([row for row, _, _ in asked])
    return Finding(
        code="MS406",
        severity="warning",
        title="unequal classes decide the scores",
        message=f"Recall@1 is {micro:.3f} over queries and {macro:.3f} over classes: {worse} "
        f"classes fare worse. The largest class has {rows[-1].rows:,} rows, the smallest "
        f"{rows[0].rows:,}.",
        value=micro - macro,
        threshold=limit,
        cause="a query of a large class has more rows to find, and training saw it more often; "
        "the mean over queries counts it more often too.",
        next_step="report the mean over classes beside the mean over queries; sample batches by "
        "class (--set sampler=m_per_class), or collect more of the small ones.",
        verify=f"diagnose again: the two differ by at most {limit:.2f}.",
        classes=names,
    )


def _worst(table: list[ClassRow]) -> tuple[str, ...]:
    """The classes of lowest recall."""
    return tuple(row.name for row in sorted(table, key=lambda row: row.recall or 0.0)[:SHOWN])
