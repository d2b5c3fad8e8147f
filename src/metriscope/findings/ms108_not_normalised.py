"""MS108: embeddings of different lengths, where the metric takes none into account."""

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
from metriscope.findings.ms102_cone import THRESHOLD as CONE
from metriscope.findings.ms109_float32 import THRESHOLD as FLOAT32
from metriscope.types import Finding

THRESHOLD = 0.25
MOVED = 0.05
LOST = 0.1
QUERIES = 2000  # at most, of norms.lost


@finding("ms108_not_normalised", title="lengths of the embeddings", of="space")
def ms108_not_normalised(subject: Subject) -> Verdict:
    """Not normalised: lengths vary so that a search without cosine answers differently.

    Everything here is measured by cosine, which ignores lengths; an index of dot products or
    Euclidean distances does not. Fires where ``norms.cv``, SD over mean of ‖x‖, is above 0.25 and
    over 5 % of the nearest neighbours are others by dot product or distance: a Gaussian cloud has
    1/√(2d), which is 0.25 in 8 dimensions and less in more, so longer tails are no accident.
    Also fires where such a search loses over 0.1 of Recall@1 and over 3 standard errors, √(m/n)
    with m the share of neighbours that moved and n queries. Frozen features of CIFAR-10 have a
    coefficient of variation of 0.10 only, and lose 0.2 of Recall@1 by dot product. That loss is
    not asked for where neighbours differ by so little that any two lengths outweigh it: where
    MS101, MS102 or MS109 holds. A warning: nothing is wrong for who searches by cosine.
    """
    cv = score(subject, "norms.cv")
    known = [
        (lost, moved, by)
        for by in ("dot", "euclid")
        if (lost := score(subject, f"norms.lost.{by}")) is not None
        and (moved := score(subject, f"norms.moved.{by}")) is not None
    ]
    if cv is None or not known:
        return NotApplicable("the lengths are not known, or no query has anything to find.")
    worst, shifted, by = max(known)
    queries = min(sample_rows(subject) or QUERIES, QUERIES)
    limit = max(LOST, 3 * math.sqrt(shifted / queries))
    varies = cv > THRESHOLD and max(m for _, m, _ in known) > MOVED
    if not varies and _all_near(subject):
        return NotApplicable("neighbours differ by too little: see MS101, MS102 and MS109.")
    if not varies and worst <= limit:
        return Passed(cv, THRESHOLD)
    name = {"dot": "dot product", "euclid": "Euclidean distance"}[by]
    falls = f"falls by {worst:.3f}" if worst > 0 else "does not fall"
    return Finding(
        code="MS108",
        severity="warning",
        title="the embeddings are not normalised",
        message=f"Their lengths vary by {cv:.0%} of the mean. By {name} {shifted:.0%} of the "
        f"queries have another nearest neighbour than by cosine, and Recall@1 {falls}.",
        value=cv if varies else worst,
        threshold=THRESHOLD if varies else limit,
        cause="rows from several sources or models, some normalised and some not; or features "
        "from before the normalisation.",
        next_step="divide every embedding by its length before indexing and training; nothing, if "
        "both use cosine.",
        verify="norms.cv falls to 0.",
    )


def _all_near(subject: Subject) -> bool:
    cone = (score(subject, "centre.norm_sq") or 0) > CONE
    return is_collapsed(subject) or cone or (score(subject, "float32.lost") or 0) > FLOAT32
