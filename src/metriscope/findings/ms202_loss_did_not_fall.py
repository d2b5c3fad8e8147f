"""MS202: the loss is where it was before training."""

from __future__ import annotations

from metriscope.findings.base import NOT_APPLICABLE, Verdict, column, epochs, finding
from metriscope.types import Finding, Results, RunResult

THRESHOLD = 0.02
MIN_EPOCHS = 5


@finding("ms202_loss_did_not_fall", of="done")
def ms202_loss_did_not_fall(run: RunResult, results: Results) -> Verdict:
    """The loss did not fall: (L_0 − L_last) / L_0 < 2 % after five epochs or more.

    L_0 is the loss before any update. Losses with a high floor still have room: SupCon can fall by
    37 % at batch 512 with 10 classes, N-pair by 19 % with 200. Noise between epochs is well below
    2 %. Not asked of shorter runs, nor where L_0 is 0: there was nothing to learn.
    """
    losses = column(run, "loss")
    if epochs(run) < MIN_EPOCHS or len(losses) < MIN_EPOCHS + 1 or losses[0] <= 0:
        return NOT_APPLICABLE
    fallen = (losses[0] - losses[-1]) / losses[0]
    if fallen >= THRESHOLD:
        return None
    verb = "fell by only" if fallen >= 0 else "rose by"
    return Finding(
        code="MS202",
        severity="problem" if fallen < 0 else "warning",
        title="the loss did not fall",
        message=f"The loss {verb} {abs(fallen):.1%} in {epochs(run)} epochs, from {losses[0]:.4g} "
        f"before training to {losses[-1]:.4g}.",
        value=fallen,
        threshold=THRESHOLD,
        cause="too small a learning rate or too few steps, "
        + ("a margin that cannot be met, " if run.spec.params.get("margin") else "")
        + "or labels that the features do not contain.",
        next_step="--epochs or --batch-size for more steps, a larger learning rate; then check "
        "that the labels belong to these rows.",
    )
