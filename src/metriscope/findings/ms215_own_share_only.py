"""MS215: a loss that sees one process's share of the batch."""

from __future__ import annotations

from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding
from metriscope.types import Finding


@finding("ms215_own_share_only", title="rows that the loss sees", of="training")
def ms215_own_share_only(subject: Subject) -> Verdict:
    """Own share only: each of W processes compares its own rows, so 1/W of the batch's.

    The value is the share of the joined batch that one process's loss sees; of the pairs it sees
    1/W too, and each anchor has 1/W of the negatives. Any share below 1 is another loss than that
    of one process on the whole batch. Only for losses that are known to compare rows, by the type
    of their terms: a mean of terms of single rows is the same over shares as over the whole.
    """
    world, joined = subject.about.get("world_size") or 1, subject.about.get("joined")
    if world < 2 or joined is None or not subject.about.get("compares"):
        return NotApplicable("needs several processes, and a loss that is known to compare rows.")
    if joined:
        return Passed(1.0, 1.0)
    return Finding(
        code="MS215",
        severity="warning",
        title="the loss sees one process's rows only",
        message=f"Each of {world} processes compares its own rows with one another: "
        f"{1 / world:.0%} of the batch.",
        value=1 / world,
        threshold=1.0,
        cause="the embeddings are not gathered before the loss.",
        next_step="gather embeddings and labels with their gradients before the loss "
        "(torch.distributed.nn.functional.all_gather, or pytorch-metric-learning's "
        "DistributedLossWrapper).",
        verify="about['joined'] should be true.",
    )
