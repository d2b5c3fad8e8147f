"""MS214: a loss that has turned upwards."""

from __future__ import annotations

import statistics

from metriscope.findings._course import loss_course, to_floor
from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding
from metriscope.types import Finding

THRESHOLD = 0.1
NOISES = 3.0
ROWS = 10
SPAN = 5  # rows whose median is a level


@finding("ms214_loss_rises", title="rise of the loss", of="training")
def ms214_loss_rises(subject: Subject) -> Verdict:
    """Rising loss: well above the lowest level that it had.

    A level is the median of five rows in a row. Fires where the last one is above the lowest by
    more than 10 % of what there was to lose (the loss at first less its floor, where that is
    known), and by three standard deviations of a row. In the 90 runs of MS208 the largest rise that
    was no noise was below 10 %, but for a mean over active terms (now taken times their share);
    after a jump of the learning rate it was 16 % and 37 %.
    """
    losses = loss_course(subject)
    if losses is None or len(losses.values) < ROWS or losses.start <= 0:
        return NotApplicable(f"needs {ROWS} rows, and a loss above 0 in the first.")
    values = losses.values
    levels = [statistics.median(values[i : i + SPAN]) for i in range(len(values) - SPAN + 1)]
    near = to_floor(subject)
    reach = losses.start if near is None else near.start - near.value
    gap = levels[-1] - min(levels[0], *levels)
    rise = gap / reach
    if rise <= THRESHOLD or gap <= NOISES * losses.noise:
        return Passed(rise, THRESHOLD)
    return Finding(
        code="MS214",
        severity="problem",
        title="the loss rises",
        message=f"The loss is {levels[-1]:.4g}, up from {min(levels):.4g}, by {rise:.0%} of what "
        "there was to learn.",
        value=rise,
        threshold=THRESHOLD,
        cause="too high a learning rate: steps overshoot, and weights grow; or the data or a "
        "schedule changed on the way.",
        next_step="a learning rate ten times smaller, a warm-up, or clipped gradients, from a "
        "checkpoint before the rise.",
        verify=f"the loss should come back to {min(levels):.4g} and stay there.",
    )
