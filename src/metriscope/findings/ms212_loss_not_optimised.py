"""MS212: parameters of the loss, or all of the model's, that no optimiser steps."""

from __future__ import annotations

from collections.abc import Sequence

from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding
from metriscope.types import Finding


@finding("ms212_loss_not_optimised", title="parameters in the optimiser", of="training")
def ms212_loss_not_optimised(subject: Subject) -> Verdict:
    """Loss not optimised: its proxies or centres keep the values that they were drawn with.

    Counts the parameters of the loss that need a gradient and are in no optimiser that has made a
    step, once a whole step is over. One is enough: fixed random proxies are a target that
    embeddings can follow, so the loss falls, and the classes stay where chance has put them.

    So is a model of which no optimiser holds any parameter that needs a gradient; one that holds
    some, such as a head, is how one fine-tunes.
    """
    missing = subject.about.get("missing_parameters")
    of_model = subject.about.get("missing_model_parameters")
    if of_model:
        return _model(of_model)
    if missing is None and of_model is None:
        return NotApplicable("no step of an optimiser is over yet.")
    if not missing:
        return Passed(0.0, 0.0)
    return Finding(
        code="MS212",
        severity="problem",
        title="the loss's own parameters are not trained",
        message=f"{len(missing)} of the loss's parameters ({_names(missing)}) "
        f"{'is' if len(missing) == 1 else 'are'} in no optimiser: they keep their random values.",
        value=float(len(missing)),
        threshold=0.0,
        cause="the optimiser was made from model.parameters() alone, or before the loss was.",
        next_step="Adam([*model.parameters(), *loss.parameters()]), or an optimiser of its own for "
        "the loss, often with a learning rate 10 to 100 times larger.",
        verify="grad_norm.loss should be logged, and those parameters change between steps.",
    )


def _model(missing: Sequence[str]) -> Finding:
    return Finding(
        code="MS212",
        severity="problem",
        title="the model is not trained",
        message=f"None of the model's {len(missing)} trainable parameters ({_names(missing)}) is "
        "in an optimiser.",
        value=float(len(missing)),
        threshold=0.0,
        cause="the optimiser was made from the loss's parameters alone, or from another copy of "
        "the model.",
        next_step="Adam([*model.parameters(), *loss.parameters()]); if the model is to stay as it "
        "is, model.requires_grad_(False).",
        verify="the model's parameters should change between steps.",
    )


def _names(missing: Sequence[str]) -> str:
    return ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
