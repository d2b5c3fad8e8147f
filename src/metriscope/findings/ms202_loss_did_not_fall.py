"""MS202: the loss is where it was before training."""

from __future__ import annotations

from metriscope.findings._course import blind_value, loss_course, nothing_left, to_floor
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
MIN_STEPS = 300
LEARNT = 0.5  # of the way from a loss that ignores the labels to the floor is left
NOISE = 3.0  # standard deviations


@finding("ms202_loss_did_not_fall", title="fall of the loss", of=("run", "training"))
def ms202_loss_did_not_fall(subject: Subject) -> Verdict:
    """The loss did not fall: (L_0 − L_last) / L_0 < 2 % after five epochs or more.

    L_0 is the loss before any update. Losses with a high floor still have room: SupCon can fall by
    37 % at batch 512 with 10 classes, N-pair by 19 % with 200. Noise between epochs is well below
    2 %. Not asked of shorter runs, nor where L_0 is 0: there was nothing to learn.

    Under a monitor L_0 is the mean of its first row, L_last the median of the last third, after
    300 steps or more; and the second half of its rows must be less than 2 % below the first, since
    a first row that happens to be low is not a loss that stands still (with 100 steps that alone
    fired in 1 of 40 healthy runs). A loss is said to have risen only beyond 3 standard deviations
    of a row. Not where the loss is at its floor, or met (MS206, MS207), nor where it is more than
    half of the way from embeddings that ignore the labels to its floor: a model that was good
    before (fine-tuned with a small learning rate, SupCon and triplet losses stood at 0.33 and 0.09
    of that way) has no fall to show.
    """
    losses = loss_course(subject)
    training = subject.kind == "training"
    if losses is None or losses.start <= 0 or _length(subject) < (MIN_EPOCHS, MIN_STEPS)[training]:
        needs = f"{MIN_STEPS} steps" if training else f"{MIN_EPOCHS} epochs"
        return NotApplicable(f"needs {needs}, and a loss above 0 before them.")
    if training and nothing_left(subject):
        return NotApplicable("the loss is at its floor or met: MS206, MS207.")
    fallen = losses.fallen
    if fallen >= THRESHOLD or (training and losses.falling >= THRESHOLD):
        return Passed(fallen, THRESHOLD)
    near = to_floor(subject)
    if training and near is not None and near.left < LEARNT:
        return NotApplicable("most of what there was to learn had been learnt before.")
    blind = blind_value(subject)
    lost = blind is not None and abs(losses.now - blind) < THRESHOLD * blind
    rose = losses.now - losses.start > NOISE * losses.noise
    verb = "fell by only" if fallen >= 0 else "rose by"
    if fallen < 0 and not rose:
        verb = "is above its start, within its noise, by"
    length = f"{_length(subject)} {'steps' if training else 'epochs'}"
    since = "at first" if training else "before training"
    return Finding(
        code="MS202",
        severity="problem" if fallen < 0 and not training else "warning",
        title="the loss did not fall",
        message=f"The loss {verb} {abs(fallen):.1%} in {length}, from "
        f"{losses.start:.4g} {since} to {losses.now:.4g}."
        + (f" Embeddings that ignore the labels would give {blind:.4g}." if lost else ""),
        value=fallen,
        threshold=THRESHOLD,
        cause="too small a learning rate or too few steps, "
        + ("a margin that cannot be met, " if subject.params.get("margin") else "")
        + ("parameters that no optimiser steps, " if training else "")
        + "or labels that the features do not contain.",
        next_step="a larger learning rate (times 10) or more steps; check that the optimiser holds "
        "the model's parameters, and that the labels belong to these inputs."
        if training
        else "--epochs or --batch-size for more steps, a larger learning rate; then check "
        "that the labels belong to these rows.",
        verify=f"the loss should be at least {THRESHOLD:.0%} below {losses.start:.4g}.",
    )


def _length(subject: Subject) -> int:
    """Steps of a monitor, epochs of a run."""
    if subject.kind == "training":
        return int(subject.about.get("steps") or 0)
    return min(epochs(subject), len(column(subject, "loss")) - 1)
