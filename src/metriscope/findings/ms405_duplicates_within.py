"""MS405: items that come twice."""

from __future__ import annotations

from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding, score
from metriscope.types import Finding

THRESHOLD = 0.01
PROBLEM = 0.25
CONFLICT = 0.001


@finding("ms405_duplicates_within", title="rows that come twice", of="space")
def ms405_duplicates_within(subject: Subject) -> Verdict:
    """Duplicates within: over 1 % of the rows have a copy, or 0.1 % one with another label.

    ``duplicates.within`` holds at most 0.01 % by chance. With one label, a copy is a query that
    answers itself: Recall@1 can be too high by as much as the share, and 1 % is what losses differ
    by. From 25 % the scores are mostly about copies: a problem. With two labels, one is wrong for
    certain, and no embedding can satisfy both.
    """
    share = score(subject, "duplicates.within")
    if share is None:
        return NotApplicable("needs two rows, and a space with spread.")
    conflicting = score(subject, "duplicates.conflicting") or 0.0
    if share <= THRESHOLD and conflicting <= CONFLICT:
        return Passed(share, THRESHOLD)
    exact = score(subject, "duplicates.within.exact") or 0.0
    says = f" {conflicting:.2%} have a copy with another label." if conflicting else ""
    value, limit = (share, THRESHOLD) if share > THRESHOLD else (conflicting, CONFLICT)
    return Finding(
        code="MS405",
        severity="problem" if share >= PROBLEM else "warning",
        title="rows come twice",
        message=f"{share:.2%} of the rows have a copy among the others ({exact:.2%} an exact "
        f"one).{says}",
        value=value,
        threshold=limit,
        cause="items collected twice, oversampling before the split, or augmentation that was "
        "saved as data.",
        next_step="drop the copies listed among the items, or give copies the id of the item and "
        "examine one of each.",
        verify=f"diagnose again: the share is at most {THRESHOLD:.0%}.",
    )
