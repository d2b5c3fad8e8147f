"""MS210: the first NaN or infinite number, and where it came from."""

from __future__ import annotations

from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, column, finding
from metriscope.types import Finding

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
    loss, gradients by group), so the first place is the one that made it. A gradient alone, with
    finite losses logged after that step, is a warning: a gradient scaler skips such steps, and
    half-precision training always has a few.
    """
    if "nonfinite" not in subject.about:
        return NotApplicable("nothing was looked at yet.")
    found = subject.about["nonfinite"]
    if not found:
        return Passed(0.0, 0.0)
    step, first = int(found["step"]), str(found["first"])
    cause, next_step = _PLACES[first.partition(" ")[0]]
    steps = column(subject, "step")
    losses = subject.trace.get("loss", [None])
    went_on = bool(steps and steps[-1] > step and losses and losses[-1] is not None)
    skipped = first.startswith("gradient") and went_on and bool(column(subject, "loss"))
    return Finding(
        code="MS210",
        severity="warning" if skipped else "problem",
        title="a gradient was not finite" if skipped else "training met NaN or infinity",
        message=f"The first number that is not finite is in the {first}, at step {step}."
        + (" Losses after it are finite again." if skipped else ""),
        value=float(step),
        threshold=0.0,
        cause=cause + ".",
        next_step=("nothing, if a gradient scaler skipped that step; else " if skipped else "")
        + next_step,
        verify=f"training should pass step {step} with finite losses and gradients.",
    )
