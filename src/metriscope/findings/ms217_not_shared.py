"""MS217: processes that each train a copy of their own."""

from __future__ import annotations

from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding
from metriscope.types import Finding

NOISE = 1e-3


@finding("ms217_not_shared", title="gradients that processes share", of="training")
def ms217_not_shared(subject: Subject) -> Verdict:
    """Not shared: gradients are not averaged over processes, so that their weights part.

    The value is the largest difference of a group's gradient norm between processes, of the larger
    norm. Gradients that were reduced are equal bits everywhere; those of two batches of one
    distribution differ by percents. 1e-3 is what half precision leaves of one sum in two orders.
    Fires only where the weights differ as well, which gradients that are reduced after the backward
    pass do not let them.
    """
    unreduced = subject.about.get("unreduced")
    if (subject.about.get("world_size") or 1) < 2 or unreduced is None:
        return NotApplicable("needs several processes.")
    if not unreduced:
        return Passed(0.0, NOISE)
    names, worst = " and of ".join(unreduced), max(unreduced.values())
    return Finding(
        code="MS217",
        severity="problem",
        title="processes train copies of their own",
        message=f"Gradients of {names} are not shared between processes: their norms differ by up "
        f"to {worst:.2g} of the larger, and each process trains its own copy.",
        value=worst,
        threshold=NOISE,
        cause="it is not in DistributedDataParallel, which is a wrapper for each module that "
        "learns: that of the model does not reach a loss with parameters.",
        next_step="wrap it in DistributedDataParallel too, or all-reduce its gradients before the "
        "optimiser's step.",
        verify="about['unreduced'] should be empty, and its gradient norm be defined.",
    )
