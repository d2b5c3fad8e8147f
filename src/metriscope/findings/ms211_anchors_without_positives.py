"""MS211: batches in which many samples have no positive."""

from __future__ import annotations

import math

from metriscope.findings._course import batches, course
from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding
from metriscope.types import Finding

THRESHOLD = 0.25
MOST = 0.75


@finding("ms211_anchors_without_positives", title="samples that anchor nothing", of="training")
def ms211_anchors_without_positives(subject: Subject) -> Verdict:
    """Anchors without positives: more than a quarter of each batch cannot anchor a term.

    ``excluded`` is the share of samples without a positive (or a negative) in their batch: they are
    computed, and teach nothing as anchors. Above 25 % the same number of anchors needs a third
    more rows, 1/(1 − 0.25); above 75 %, a problem, four times as many. Drawn uniformly from C
    equal classes, a sample of a batch of B has no positive with probability (1 − 1/C)^(B−1); with
    m ≥ 2 rows a class, none is without.
    """
    excluded = course(subject, "excluded")
    if excluded is None:
        return NotApplicable("needs some rows of a loss that counts its anchors.")
    value = excluded.now
    if value <= THRESHOLD:
        return Passed(value, THRESHOLD)
    made_of, needed = batches(subject), ""
    if made_of is not None:
        rows = 1 + math.log(0.05) / math.log(1 - 1 / made_of.classes)
        needed = (
            f", or batches of {math.ceil(rows)} rows: drawn uniformly from {made_of.classes} "
            "classes, 5 % are then without"
        )
    return Finding(
        code="MS211",
        severity="problem" if value > MOST else "warning",
        title="many samples have no positive in their batch",
        message=f"{value:.0%} of the samples have no other of their class, or none of another, in "
        "their batch: they anchor no term.",
        value=value,
        threshold=THRESHOLD,
        cause="batches drawn at random from many classes"
        + (f" ({made_of.classes} classes, {made_of.rows:.0f} rows)." if made_of else "."),
        next_step=f"a sampler that draws 4 rows of a class (m per class, P × K){needed}.",
        verify="excluded should fall below 5 %, and active.samples count the whole batch.",
    )
