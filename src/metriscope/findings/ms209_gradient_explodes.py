"""MS209: a gradient that jumps, or grows without end."""

from __future__ import annotations

import statistics

from metriscope.findings._course import ROWS, course
from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding
from metriscope.findings.ms208_gradient_vanishes import model_norm
from metriscope.types import Finding

SPIKE = 10.0
GROWTH = 100.0
BEFORE = 10  # rows of the running median


@finding("ms209_gradient_explodes", title="largest jump of the gradient", of=("run", "training"))
def ms209_gradient_explodes(subject: Subject) -> Verdict:
    """Exploding gradient: a row ten times the running median, or a hundredfold growth.

    The jump is the largest g_t over the median of the ten rows before it (at least five). Growth is
    the median of the last third of the rows over that of the first five. A problem where the
    gradient has grown, a warning where it only jumps. The largest jump in the 90 runs of MS208 was
    4.3.
    """
    gradient = course(subject, model_norm(subject))
    if gradient is None or len(gradient.values) < ROWS:
        return NotApplicable("needs the gradient norms of some rows.")
    g = gradient.values
    usual = [statistics.median(g[max(0, t - BEFORE) : t]) for t in range(5, len(g))]
    jumps = [a / b for a, b in zip(g[5:], usual, strict=True) if b > 0]
    if not jumps:
        return NotApplicable("the gradient was 0.")
    jump, first = max(jumps), statistics.median(g[:5])
    growth = gradient.now / first if first > 0 else 0.0
    if jump < SPIKE and growth < GROWTH:
        return Passed(jump, SPIKE)
    grown = growth >= GROWTH
    return Finding(
        code="MS209",
        severity="problem" if grown else "warning",
        title="the gradient explodes" if grown else "the gradient jumps",
        message=f"The gradient norm is {gradient.now:.3g}, {growth:.0f} times that of the first "
        "rows."
        if grown
        else f"The gradient norm jumped to {jump:.0f} times its running median.",
        value=growth if grown else jump,
        threshold=GROWTH if grown else SPIKE,
        cause="too high a learning rate, single bad batches, or a loss whose gradient is unbounded "
        "near coinciding embeddings.",
        next_step="clip the gradient norm at about the median that is logged, a warm-up, and a "
        "learning rate ten times smaller.",
        verify="grad_norm.model should stay within ten times its running median.",
    )
