"""MS407: rows far from everything."""

from __future__ import annotations

from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding, score
from metriscope.types import Finding

THRESHOLD = 0.005


@finding("ms407_outliers", title="rows far from everything", of="space")
def ms407_outliers(subject: Subject) -> Verdict:
    """Outliers: over 0.5 % of the rows are far from all others.

    ``items.outliers`` is built to hold at most 0.01 % of the rows of a space without any. Study: of
    43 kinds of such spaces (Gaussian and Student's t classes, classes 50 times tighter than
    others, spheres, in 3 to 256 dimensions; 150,000 rows) none has more than 0.1 %, and the curves
    of random walks up to 0.4 %. Of rows of CIFAR-10 features whose columns were shuffled, 0.5 and
    1 % of all, 98 and 94 % are found; 5 % are a clump of their own and 7 % of them are found.
    Of 64 long-tailed spaces (half the classes of 2 to 10 rows, or Zipf's, 3 to 64 dimensions) none
    has any; rows alone in their class are not judged.
    """
    share = score(subject, "items.outliers")
    if share is None:
        return NotApplicable("needs 20 rows, and a space with spread.")
    if share <= THRESHOLD:
        return Passed(share, THRESHOLD)
    return Finding(
        code="MS407",
        severity="warning",
        title="rows are far from everything",
        message=f"{share:.2%} of the rows are far from all others, their own class included.",
        value=share,
        threshold=THRESHOLD,
        cause="broken inputs (blank, truncated or wrongly decoded), items that belong to none of "
        "the classes, or embeddings of another model.",
        next_step="look at the items listed as outliers; drop those that are broken.",
        verify=f"diagnose again without them: the share is at most {THRESHOLD:.1%}.",
    )
