"""MS403: labels that the space contradicts."""

from __future__ import annotations

from typing import NamedTuple

from metriscope.findings._space import SEE_MS408, is_unrelated
from metriscope.findings.base import (
    NotApplicable,
    Passed,
    Subject,
    Verdict,
    finding,
    sample_rows,
    score,
)
from metriscope.types import Finding

THRESHOLD = 0.005
PROBLEM = 0.03
SURELY = 0.0015
LOST = 0.15
FEWEST = 200
EVEN = 0.7


@finding("ms403_label_noise", title="labels that the space contradicts", of="space")
def ms403_label_noise(subject: Subject) -> Verdict:
    """Label noise: an estimated 0.5 % or more of the labels are wrong; from 3 % a problem.

    ``label_noise`` is the share of labels that a model of overlapping classes can only explain as
    drawn blindly (see the diagnostic). Carefully made test sets have about 0.5 % (CIFAR-10's has
    0.54 %, Northcutt et al. 2021), and from 3 % on wrong labels cost more than losses differ by.
    The 95 % interval must also exclude 0.15 %, so that an odd row of a small space does not do;
    where only that keeps it quiet, the interval's lower end is the value.

    Study: of 60 spaces with right labels (five kinds, 600 to 2,000 rows, Recall@1 from 0.58 to
    1.0) none fires, the largest estimate being 0.35 %. With 1 % of the labels replaced all fire as
    warnings, but for 2 of the 12 smallest (6 wrong labels); with 5 and 20 % all do, as problems.
    Down to a Recall@1 of 0.16 right labels are estimated at 0.5 % or less; below 0.12 at 2 %, so
    it is not asked below 0.15. They can fire it where training has gone too far: of four heads
    trained for 60 epochs on 2,000 rows of CIFAR-10 one is given 1.2 % on test rows (Recall@1 0.53),
    of four trained as usual none more than 0.01 %.

    That model takes wrong labels for overlap where they are many and all of one kind: with two
    classes, or each class labelled as the next. So it is a problem, too, where labels contradict a
    classifier on at least 3 % of the rows that it is surest of (``label_noise.surest.low``), and
    there 0.7 times as often as on all, of 200 rows or more. Overlap contradicts the surest rows
    least. Study: where the bound is 3 % or more, Gaussian classes in 2 and 3 dimensions have at
    most 0.59 times, and frozen CIFAR-10 features 0.25; of 18 separate spaces with 10 to 20 %
    labels of the next class, in 2, 5 and 20 classes, none has less than 0.72, and all fire. Not
    seen: such labels where classes overlap as well (CIFAR-10's features with 20 %: 0.44), and not
    reliably under 10 % of them in two classes. Not asked where MS408 holds.
    """
    rate, low, high = (score(subject, f"label_noise{end}") for end in ("", ".low", ".high"))
    if rate is None or low is None or high is None:
        return NotApplicable("needs two classes of at least five rows.")
    if is_unrelated(subject):
        return NotApplicable(SEE_MS408)
    recall = score(subject, "recall@1")
    if recall is not None and recall < LOST:
        return NotApplicable(f"Recall@1 is {recall:.2f}: too little order to hold labels against.")
    blind = rate >= THRESHOLD and low >= SURELY
    sure = _where_surest(subject)
    if blind and (sure is None or rate >= sure.low):
        value, limit = rate, THRESHOLD
        says = (
            f"An estimated {rate:.1%} of the labels are wrong (95 % interval {low:.1%} to "
            f"{high:.1%}): these rows lie as deep in another class as anywhere."
        )
    elif sure is not None:
        value, limit = sure.low, PROBLEM
        says = (
            f"Of the rows that a classifier is surest of, {sure.share:.1%} are labelled as another "
            f"class (at least {sure.low:.1%}), and {sure.everywhere:.1%} of all: overlapping "
            "classes would contradict it least where it is surest."
        )
    elif rate >= THRESHOLD:
        return Passed(low, SURELY)
    else:
        return Passed(rate, THRESHOLD)
    clear = score(subject, "items.mislabelled") or 0.0
    return Finding(
        code="MS403",
        severity="problem" if value >= PROBLEM else "warning",
        title="labels are wrong",
        message=f"{says} {clear:.1%} of the rows can be pointed at.",
        value=value,
        threshold=limit,
        cause="labels from a noisy source, or labels and rows that were joined in the wrong order "
        "for a part of the data. A network that knows its training rows by heart (MS110) also puts "
        "some others deep into a wrong class.",
        next_step="look at the items listed as mislabelled, correct or drop them, and check how "
        "labels were joined to rows."
        if clear
        else "look at queries of the most frequent confusions whose neighbours agree, and check "
        "how labels were made and joined to rows.",
        verify=f"diagnose again with the corrected labels: the value falls below {limit:.1%}.",
    )


class _Surest(NamedTuple):
    """Shares of labels that contradict a classifier: of the rows it is surest of, and of all."""

    share: float
    low: float
    everywhere: float


def _where_surest(subject: Subject) -> _Surest | None:
    """None where labels do not contradict it there, or less than elsewhere, as overlap does."""
    names = ("surest", "surest.low", "contradicted")
    share, low, everywhere = (score(subject, f"label_noise.{name}") for name in names)
    if sample_rows(subject) < FEWEST or share is None or low is None or everywhere is None:
        return None
    low = min(low, everywhere)
    even = low >= PROBLEM and share >= EVEN * everywhere
    return _Surest(share, low, everywhere) if even else None
