"""MS207: a hinge that nothing violates any more."""

from __future__ import annotations

from metriscope.findings._course import NONE_LEFT, course, spread, unmet
from metriscope.findings._floors import TRIPLETS
from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding
from metriscope.types import Finding

SMALL_SPREAD = 0.1


@finding("ms207_no_active_terms", title="hinge terms still active", of=("run", "training"))
def ms207_no_active_terms(subject: Subject) -> Verdict:
    """No active terms: every triplet, or negative pair, is farther than the margin asks.

    Fires where under 0.5 % of the triplets (of contrastive: of the negative pairs) are active: with
    the plain mean over terms the gradient is then at most 0.5 % of what it could be. With a spread
    of at least 0.1 and terms that were active at first it is done, which is said, and is no fault.
    It is a warning where the spread is smaller, since a small margin is met in a cone; or where
    nothing was ever active: the margin is too small, or the miner finds nothing.
    """
    now, active = unmet(subject), course(subject, _column(subject))
    if now is None or active is None:
        return NotApplicable("needs the active terms of a loss with a margin.")
    if now >= NONE_LEFT:
        return Passed(now, NONE_LEFT)
    what = "triplets" if subject.loss in TRIPLETS else "negative pairs"
    near, never = spread(subject), max(active.values) < NONE_LEFT
    narrow = near is not None and near < SMALL_SPREAD
    message = f"{now:.2%} of the {what} are active: the others are farther apart than the margin."
    if near is not None and not narrow and not never:
        done = f"{message} The spread is {near:.2g}: satisfied, nothing is left to learn."
        return Finding("MS207", "ok", "the margin is met: done", done, now, NONE_LEFT)
    return Finding(
        code="MS207",
        severity="warning",
        title="hardly any term is active",
        message=f"{message}"
        + (f" At no time were more than {max(active.values):.2%}." if never else "")
        + (f" The spread of the space is {near:.2g} (of at most 1)." if narrow else ""),
        value=now,
        threshold=NONE_LEFT,
        cause="a margin so small that it is met at once"
        + (", in a narrow cone" if narrow else "")
        + ", or a miner that picks none of what is hard.",
        next_step="a larger margin (twice this one), or harder mining (batch-hard, semi-hard).",
        verify=f"{_column(subject)} should rise above 1 %, and grad_norm.model with it.",
    )


def _column(subject: Subject) -> str:
    return "active.terms" if subject.loss in TRIPLETS else "active.terms.negative"
