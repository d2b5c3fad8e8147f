"""MS106: a few embeddings are everybody's neighbour."""

from __future__ import annotations

from metriscope.findings._space import SEE_MS408, is_unrelated
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

THRESHOLD = 1.5
FEWEST = 200


@finding("ms106_hubs", title="neighbour places of the most retrieved 1 %", of="space")
def ms106_hubs(subject: Subject) -> Verdict:
    """Hubs: 1 % of the rows hold over 1.5 times the neighbour places that is usual for this shape.

    ``hubness.top`` over ``hubness.top.usual``, the same of Gaussian classes in the same places, of
    the same sizes, widths and axes: many dimensions make hubs of central rows by themselves, which
    this takes out, as a fixed limit on the skewness could not. Measured: 0.60 to 1.38 in 538
    healthy spaces (200 rows to 4,000, 16 dimensions to 128), 0.5 to 1.0 in features of digits and
    CIFAR-10, frozen or projected; 1.60 to 3.9 where 2 % of each class were moved onto its centre.
    Small classes have no room for hubs: where a class has 40 rows, a row is among the nearest ten
    of a quarter of them anyway. Not asked where MS408 holds.
    """
    if is_unrelated(subject):
        return NotApplicable(SEE_MS408)
    top, usual = score(subject, "hubness.top"), score(subject, "hubness.top.usual")
    rows = sample_rows(subject)
    if top is None or not usual or rows < FEWEST:
        return NotApplicable(f"needs {FEWEST} rows that differ within their classes.")
    ratio = top / usual
    if ratio <= THRESHOLD:
        return Passed(ratio, THRESHOLD)
    skew = score(subject, "hubness.skew")
    return Finding(
        code="MS106",
        severity="warning",
        title="a few embeddings are everybody's neighbour",
        message=f"1 % of the rows hold {top:.1%} of all places among the ten nearest; in a space "
        f"of this shape {usual:.1%} are usual ({ratio:.1f} times)."
        + ("" if skew is None else f" The skewness of how often a row is found is {skew:.1f}."),
        value=ratio,
        threshold=THRESHOLD,
        cause="rows near the centre of the space or of their class: averages, blank or blurred "
        "items, placeholders, text of a few common words; or cosine in too many dimensions.",
        next_step="look at the rows that are retrieved most; remove what is no real item, centre "
        "the embeddings, or rescale distances locally (mutual proximity, CSLS).",
        verify=f"hubness.top falls towards {usual:.2g}.",
    )
