"""MS404: the same items on both sides of a split."""

from __future__ import annotations

from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding, score
from metriscope.types import Finding

THRESHOLD = 0.001
PROBLEM = 0.01


@finding("ms404_duplicates_across", title="rows on both sides of a split", of="space")
def ms404_duplicates_across(subject: Subject) -> Verdict:
    """Duplicates across: over 0.1 % of the rows have a copy in training or in the gallery.

    ``duplicates.across`` (with training embeddings) or ``duplicates.gallery``, whichever is
    larger; copies chance can make are at most 0.01 % of the rows by construction, so 0.1 % is ten
    times what chance leaves. Each copy is a query that is answered by itself, so scores can be off
    by as much as the share: from 1 %, what losses differ by in the literature, it is a problem.
    """
    found = {
        "the training rows": score(subject, "duplicates.across"),
        "the gallery": score(subject, "duplicates.gallery"),
    }
    known = {where: share for where, share in found.items() if share is not None}
    if not known:
        return NotApplicable("needs training embeddings or a gallery, and a space with spread.")
    where = max(known, key=lambda name: known[name])
    share = known[where]
    if share <= THRESHOLD:
        return Passed(share, THRESHOLD)
    exact = score(subject, f"duplicates.{'across' if 'train' in where else 'gallery'}.exact") or 0.0
    return Finding(
        code="MS404",
        severity="problem" if share >= PROBLEM else "warning",
        title=f"rows are also among {where}",
        message=f"{share:.2%} of the rows have a copy among {where} ({exact:.2%} an exact one).",
        value=share,
        threshold=THRESHOLD,
        cause="a split made by row where items come several times (frames of one video, views of "
        "one product, images crawled twice), or queries that are part of the gallery.",
        next_step="split by item, or drop the copies from one side; give both sides their ids, so "
        "that a query is kept from finding itself.",
        verify=f"diagnose again: the share is at most {THRESHOLD:.1%}. Recall falls if it was "
        "inflated.",
    )
