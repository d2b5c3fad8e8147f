"""MS213: batches that shrink towards one point."""

from __future__ import annotations

import math
import statistics

from metriscope.findings._space import COLLAPSED
from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding
from metriscope.types import Finding

COLUMN = "batch.spread.total"
HALVED = 0.5
POINTS = 4


@finding("ms213_collapse_under_way", title="where the spread is going", of="training")
def ms213_collapse_under_way(subject: Subject) -> Verdict:
    """Collapse under way: the spread of batches falls so fast that it will soon be gone.

    ``batch.spread.total`` = mean ‖z − z̄‖² of a batch = 1 − ‖z̄‖²: 1 where classes balance, 0 in one
    point. Fires where it is below 0.01 (collapsed, MS101) twice in a row without doubling, since
    untrained networks often start there and leave it, or where it has at least halved since
    its largest, and its exponential trend (the median slope of log spread over the last six
    measurements, Theil and Sen) reaches 0.01 within as many steps as those six took. Needs four
    measurements, or two where the spread is gone. Of the 90 runs of MS208 it fired in three, all of
    batch-hard triplets, whose spread did fall below 0.1.
    """
    points = [
        (float(step), value)
        for step, value in zip(
            subject.trace.get("step", ()), subject.trace.get(COLUMN, ()), strict=False
        )
        if step is not None and value is not None and math.isfinite(value)
    ]
    if len(points) < 2:
        return NotApplicable("needs the spread of two batches.")
    (_, before), (_, now) = points[-2:]
    most = max(value for _, value in points)
    if max(now, before) < COLLAPSED:
        leaving = now > 2 * before
        return Passed(now, COLLAPSED) if leaving else _finding(now, most, "collapsed", now)
    if len(points) < POINTS:
        return NotApplicable(f"needs the spread of {POINTS} batches.")
    last = points[-6:]
    slope = statistics.median(
        (math.log(b) - math.log(a)) / (t - s)
        for i, (s, a) in enumerate(last)
        for t, b in last[i + 1 :]
        if t > s
    )
    ahead = now * math.exp(slope * (last[-1][0] - last[0][0]))
    if now > HALVED * most or ahead >= COLLAPSED:
        return Passed(ahead, COLLAPSED)
    return _finding(now, most, "going", ahead)


def _finding(now: float, most: float, state: str, value: float) -> Finding:
    gone = state == "collapsed"
    return Finding(
        code="MS213",
        severity="problem",
        title="the space has collapsed" if gone else "the space is collapsing",
        message=f"The spread of a batch is {now:.2g} (of at most 1)"
        + (f", down from {most:.2g}" if most > 2 * now else "")
        + (
            ": all embeddings are nearly the same vector."
            if gone
            else f", and on its way to {value:.2g}."
        ),
        value=value,
        threshold=COLLAPSED,
        cause="the loss pulls more than it pushes: the hardest negatives, a margin beyond reach, a "
        "strong pull to centres, or too high a learning rate.",
        next_step="stop, and go on from an earlier checkpoint with a learning rate ten times "
        "smaller, a smaller margin, or semi-hard in place of the hardest mining.",
        verify=f"{COLUMN} should rise, or stay above 0.1.",
    )
