"""MS103: the space uses far fewer dimensions than its classes need."""

from __future__ import annotations

from metriscope.findings._space import SEE_MS101, dimensions_needed, is_collapsed
from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding, score
from metriscope.types import Finding

THRESHOLD = 0.5
PROBLEM = 0.25
FEWEST = 4  # dimensions needed; with fewer, one that is missing is half of them


@finding("ms103_low_rank", title="dimensions used of those needed", of=("run", "space"))
def ms103_low_rank(subject: Subject) -> Verdict:
    """Dimensional collapse: the centred space spans under half of the min(C − 1, d) it needs.

    C equally spaced classes span C − 1 dimensions, or all d where those are fewer; what rows do
    within their class can only add to that. So a perfect neural collapse has exactly min(C − 1, d)
    and is healthy. The value is ``rank.effective.centred``, exp of the entropy of the singular
    values' shares, over min(C − 1, d). It counts singular values, not their squares, so it falls
    slowly: values that fall as k^(−1/2) keep 0.86 of 64 dimensions, as 1/k still 0.45. Below 0.5 is
    a warning, below 0.25 a problem. Frozen features of CIFAR-10 have 94 times what ten classes
    need, and no healthy space of the tests less than 0.97. Not asked where MS101 holds.
    """
    rank, needed = score(subject, "rank.effective.centred"), dimensions_needed(subject)
    if is_collapsed(subject):
        return NotApplicable(SEE_MS101)
    if rank is None or needed < FEWEST:
        return NotApplicable(f"needs {FEWEST + 1} classes and {FEWEST} dimensions.")
    share = rank / needed
    if share >= THRESHOLD:
        return Passed(share, THRESHOLD)
    return Finding(
        code="MS103",
        severity="problem" if share < PROBLEM else "warning",
        title="the space has lost dimensions",
        message=f"The centred space has an effective rank of {rank:.1f}; its classes need "
        f"{needed:,} dimensions to be equally far from each other ({share:.0%} are used).",
        value=share,
        threshold=THRESHOLD,
        cause="a narrow layer before the embedding, weight decay or a learning rate that let most "
        "directions die, strong augmentation, or a projection of too few dimensions.",
        next_step="look for the narrowest layer, train with less weight decay or a loss that "
        "repels all negatives, or keep more dimensions in the projection.",
        verify=f"rank.effective.centred rises above {THRESHOLD * needed:.3g}.",
    )
