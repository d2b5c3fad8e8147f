"""MS208: a gradient that is gone while the loss is not."""

from __future__ import annotations

from metriscope.findings._course import course, loss_course, nothing_left, to_floor
from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding
from metriscope.types import Finding

THRESHOLD = 0.01
NOTHING = 1e-8  # Adam's eps


@finding("ms208_gradient_vanishes", title="gradient left beside loss left", of=("run", "training"))
def ms208_gradient_vanishes(subject: Subject) -> Verdict:
    """Vanishing gradient: much of the loss is left, and almost nothing of the gradient.

    Compares g/g_0, the gradient norm of the model beside its start, with (L − floor)/(L_0 − floor),
    the same of the loss: fires where the first is below 1 % of the second. A loss that converges
    takes its gradient with it: near a minimum the gradient falls like the square root of what is
    left of the loss, so that the quotient rises. Also where the norm is below 1e-8 from the start:
    then every parameter's gradient is below the eps of Adam, which no longer makes a step of it.
    Not where the loss is at its floor, or met (MS206, MS207). In 90 short runs of digits and of
    Gaussians (fifteen settings of the seven losses, eight of pytorch-metric-learning's; Adam with
    1e-4 to 3e-3, SGD with 0.01 to 0.1; batches of 16 to 128; rows of 5 to 20 steps) the lowest
    quotient was 0.11; after the weights had exploded it was 5e-3 and 1e-4.
    """
    gradient, losses = course(subject, model_norm(subject)), loss_course(subject)
    if gradient is None or losses is None or losses.now <= 0 or losses.start <= 0:
        return NotApplicable("needs the gradient norms of some rows, and a loss above 0.")
    if nothing_left(subject):
        return NotApplicable("the loss is at its floor or met: MS206, MS207.")
    near = to_floor(subject)
    left = near.left if near is not None else losses.now / losses.start
    kept = gradient.now / gradient.start if gradient.start > 0 else 0.0
    value = kept / left
    if value >= THRESHOLD and gradient.now > NOTHING:
        return Passed(value, THRESHOLD)
    return Finding(
        code="MS208",
        severity="problem",
        title="the gradient has vanished",
        message=f"The gradient norm is {gradient.now:.2g}, {kept:.2g} of its start, while "
        f"{min(left, 1):.0%} of the loss is left.",
        value=value,
        threshold=THRESHOLD,
        cause="saturated or dead activations, or embeddings so close together, or so long before "
        "they are normalised, that the loss no longer moves them.",
        next_step="a smaller learning rate from a fresh start, normalisation layers before the "
        "embedding, and no squashing activation after it.",
        verify="the model's gradient norm should stay within a factor of 100 of its start.",
    )


def model_norm(subject: Subject) -> str:
    """The column with the model's gradient norm."""
    return "grad_norm.head" if subject.kind == "run" else "grad_norm.model"
