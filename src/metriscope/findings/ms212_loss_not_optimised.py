"""MS212: parameters of the loss that no optimiser steps."""

from __future__ import annotations

from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding
from metriscope.types import Finding


@finding("ms212_loss_not_optimised", title="the loss's parameters in the optimiser", of="training")
def ms212_loss_not_optimised(subject: Subject) -> Verdict:
    """Loss not optimised: its proxies or centres keep the values that they were drawn with.

    Counts the parameters of the loss that need a gradient and are in no optimiser that has made a
    step. One is enough: fixed random proxies are a target that embeddings can follow, so the loss
    falls, and the classes stay where chance has put them.
    """
    missing = subject.about.get("missing_parameters")
    if missing is None:
        return NotApplicable("no optimiser has made a step yet, or the loss has no parameters.")
    if not missing:
        return Passed(0.0, 0.0)
    names = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
    return Finding(
        code="MS212",
        severity="problem",
        title="the loss's own parameters are not trained",
        message=f"{len(missing)} of the loss's parameters ({names}) "
        f"{'is' if len(missing) == 1 else 'are'} in no optimiser: they keep their random values.",
        value=float(len(missing)),
        threshold=0.0,
        cause="the optimiser was made from model.parameters() alone, or before the loss was.",
        next_step="Adam([*model.parameters(), *loss.parameters()]), or an optimiser of its own for "
        "the loss, often with a learning rate 10 to 100 times larger.",
        verify="grad_norm.loss should be logged, and those parameters change between steps.",
    )
