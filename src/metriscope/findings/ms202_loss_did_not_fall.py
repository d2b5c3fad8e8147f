"""MS202: the loss is where it was before training."""

from __future__ import annotations

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

THRESHOLD = 0.02
MIN_EPOCHS = 5


@finding("ms202_loss_did_not_fall", title="fall of the loss", of="run")
def ms202_loss_did_not_fall(subject: Subject) -> Verdict:
    """The loss did not fall: (L_0 − L_last) / L_0 < 2 % after five epochs or more.

    L_0 is the loss before any update. Losses with a high floor still have room: SupCon can fall by
    37 % at batch 512 with 10 classes, N-pair by 19 % with 200. Noise between epochs is well below
    2 %. Not asked of shorter runs, nor where L_0 is 0: there was nothing to learn.
    """
    losses = column(subject, "loss")
    if epochs(subject) < MIN_EPOCHS or len(losses) < MIN_EPOCHS + 1 or losses[0] <= 0:
        return NotApplicable(f"needs {MIN_EPOCHS} epochs, and a loss above 0 before them.")
    fallen = (losses[0] - losses[-1]) / losses[0]
    if fallen >= THRESHOLD:
        return Passed(fallen, THRESHOLD)
    verb = "fell by only" if fallen >= 0 else "rose by"
    return Finding(
        code="MS202",
        severity="problem" if fallen < 0 else "warning",
        title="the loss did not fall",
        message=f"The loss {verb} {abs(fallen):.1%} in {epochs(subject)} epochs, from "
        f"{losses[0]:.4g} before training to {losses[-1]:.4g}.",
        value=fallen,
        threshold=THRESHOLD,
        cause="too small a learning rate or too few steps, "
        + ("a margin that cannot be met, " if subject.params.get("margin") else "")
        + "or labels that the features do not contain.",
        next_step="--epochs or --batch-size for more steps, a larger learning rate; then check "
        "that the labels belong to these rows.",
    )
