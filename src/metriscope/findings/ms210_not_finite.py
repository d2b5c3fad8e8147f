"""MS210: the first NaN or infinite number, and where it came from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding
from metriscope.types import Finding

STREAK = 17

_PLACES = {
    "embeddings": (
        "the model itself: weights that have diverged, an input that is not finite, or an overflow "
        "in half precision",
        "look at the inputs of that step, then a smaller learning rate, clipped gradients, or "
        "bfloat16 in place of float16.",
    ),
    "loss": (
        "the embeddings were finite, so the loss made it: an overflowing exponential, log 0, or a "
        "division by 0 (an empty batch of terms)",
        "compute the loss in float32, with log-sum-exp in place of exp, and leave out anchors "
        "without terms.",
    ),
    "gradient": (
        "the loss was finite, so the backward pass made it: a square root or a norm at 0 "
        "(coinciding or zero embeddings), an arc cosine at 1, or a loss scaled beyond half "
        "precision",
        "distances with an epsilon or a masked square root, torch.nn.functional.normalize with an "
        "eps, and bfloat16 in place of float16.",
    ),
}


@finding("ms210_not_finite", title="NaN and infinite numbers", of="training")
def ms210_not_finite(subject: Subject) -> Verdict:
    """Not finite: a NaN or infinite number, with the first step and place that had one.

    The value is the step; any is too many. Looked for in the order of computation (embeddings,
    loss, gradients by group), so the first place is the one that made it; in steps that were
    skipped too.

    A gradient alone is a warning, if the step was skipped, or the losses after it are finite: a
    gradient scaler skips such steps, and half-precision training always has a few. A problem if 17
    steps in a row are skipped: each halves the scale, so after 17 that of a new scaler, 2^16, is
    below 1, and it is not the scale that overflows.
    """
    if "nonfinite" not in subject.about:
        return NotApplicable("nothing was looked at yet.")
    found = subject.about["nonfinite"]
    if not found:
        return Passed(0.0, 0.0)
    step, first = int(found["step"]), str(found["first"])
    cause, next_step = _PLACES[first.partition(" ")[0]]
    skipped, streak = int(subject.about["skipped"]), int(subject.about["skipped_since_update"])
    gradient, recovered = first.startswith("gradient"), _recovered(subject, found)
    passing = gradient and streak < STREAK and (recovered or bool(found["skipped"]))
    message = f"The first number that is not finite is in the {first}, at step {step}."
    if skipped:
        message += f" {skipped} {'step was' if skipped == 1 else 'steps were'} skipped"
        message += f", {streak} since the last update." if streak else "."
    if recovered:
        message += " Losses after it are finite again."
    return Finding(
        code="MS210",
        severity="warning" if passing else "problem",
        title="a gradient was not finite" if passing else "training met NaN or infinity",
        message=message,
        value=float(step),
        threshold=0.0,
        cause=cause + ".",
        next_step=("nothing, if a gradient scaler skipped that step; else " if passing else "")
        + next_step,
        verify=f"training should pass step {step} with finite losses and gradients.",
    )


def _recovered(subject: Subject, found: Mapping[str, Any]) -> bool:
    """Whether all losses logged after that step are finite: its own row's too, of a gradient."""
    step, ends = found["step"], subject.trace.get("step", [])
    rows = zip([0, *ends], ends, subject.trace.get("loss", []), strict=False)
    own = str(found["first"]).startswith("gradient")
    later = [
        loss
        for before, end, loss in rows
        if loss is not None and ((end or 0) > step if own else (before or 0) >= step)
    ]
    return bool(later) and all(map(math.isfinite, later))
