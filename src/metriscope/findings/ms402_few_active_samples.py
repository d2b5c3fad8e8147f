"""MS402: a loss that learns from almost none of its samples."""

from __future__ import annotations

from metriscope.findings._course import course
from metriscope.findings.base import (
    NotApplicable,
    Passed,
    Subject,
    Verdict,
    column,
    epochs,
    finding,
)
from metriscope.types import Finding

THRESHOLD = 0.05
_CAUSE = {"class": "one pair a class ({} uses every sample)"}
_ELSE = "batches in which most classes have one row"


@finding(
    "ms402_few_active_samples",
    title="samples that the loss learns from",
    of=("run", "training"),
)
def ms402_few_active_samples(subject: Subject) -> Verdict:
    """Few samples are used: in no epoch do over 5 % of them anchor an active term.

    Looks at the largest ``active.samples`` of the trace: a share that is low at the end may only
    mean that the loss is satisfied, one that was never above 5 % means that over nineteen of
    twenty rows of every batch anchor nothing. Fires with value 0 where no epoch had a valid term
    at all. Under a monitor, of its first row and those of its window.
    """
    training = subject.kind == "training"
    if "active.samples" not in subject.trace or not (training or epochs(subject)):
        return NotApplicable("the trace has no active samples.")
    if training and course(subject, "active.samples") is None:
        return NotApplicable("too few rows say how many samples are active.")
    most = max(column(subject, "active.samples"), default=0.0)
    if most > THRESHOLD:
        return Passed(most, THRESHOLD)
    margin = subject.params.get("margin")
    when = "row" if training else "epoch"
    every = "pairing='anchor'" if training else "--set npair.pairing=anchor"
    return Finding(
        code="MS402",
        severity="warning",
        title="learns from few of its samples",
        message=f"At most {most:.1%} of the samples anchor an active term in any {when}."
        if most
        else f"No sample anchors an active term in any {when}.",
        value=most,
        threshold=THRESHOLD,
        cause=_CAUSE.get(subject.params.get("pairing", ""), _ELSE).format(every)
        + (", or a margin that is met from the start." if margin else "."),
        next_step=(
            "a larger batch, a sampler that draws several rows of a class"
            if training
            else "a larger --batch-size or --set sampler=m_per_class"
        )
        + (", or a larger margin." if margin else "."),
        verify=f"active.samples should rise above {THRESHOLD:.0%}.",
    )
