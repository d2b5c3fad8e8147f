"""MS403: labels that the space contradicts."""

from __future__ import annotations

from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding, score
from metriscope.types import Finding

THRESHOLD = 0.005
PROBLEM = 0.03
SURELY = 0.0015
LOST = 0.15


@finding("ms403_label_noise", title="labels that the space contradicts", of="space")
def ms403_label_noise(subject: Subject) -> Verdict:
    """Label noise: an estimated 0.5 % or more of the labels are wrong; from 3 % a problem.

    ``label_noise`` is the share of labels that a model of overlapping classes can only explain as
    drawn blindly (see the diagnostic). Carefully made test sets have about 0.5 % (CIFAR-10's has
    0.54 %, Northcutt et al. 2021), and from 3 % on wrong labels cost more than losses differ by.
    The 95 % interval must also exclude 0.15 %, so that an odd row of a small space does not do.

    Study: of 60 spaces with right labels (five kinds, 600 to 2,000 rows, Recall@1 from 0.58 to
    1.0) none fires, the largest estimate being 0.35 %. With 1 % of the labels replaced all fire as
    warnings, but for 2 of the 12 smallest (6 wrong labels); with 5 and 20 % all do, as problems.
    Down to a Recall@1 of 0.16 right labels are estimated at 0.5 % or less; below 0.12 at 2 %, so
    it is not asked below 0.15. They can fire it where training has gone too far: of four heads
    trained for 60 epochs on 2,000 rows of CIFAR-10 one is given 1.2 % on test rows (Recall@1 0.53),
    of four trained as usual none more than 0.01 %.
    """
    rate, low, high = (score(subject, f"label_noise{end}") for end in ("", ".low", ".high"))
    if rate is None or low is None or high is None:
        return NotApplicable("needs two classes of at least five rows.")
    recall = score(subject, "recall@1")
    if recall is not None and recall < LOST:
        return NotApplicable(f"Recall@1 is {recall:.2f}: too little order to hold labels against.")
    if rate < THRESHOLD or low < SURELY:
        return Passed(rate, THRESHOLD)
    clear = score(subject, "items.mislabelled") or 0.0
    return Finding(
        code="MS403",
        severity="problem" if rate >= PROBLEM else "warning",
        title="labels are wrong",
        message=f"An estimated {rate:.1%} of the labels are wrong (95 % interval {low:.1%} to "
        f"{high:.1%}): these rows lie as deep in another class as anywhere. {clear:.1%} of the "
        "rows can be pointed at.",
        value=rate,
        threshold=THRESHOLD,
        cause="labels from a noisy source, or labels and rows that were joined in the wrong order "
        "for a part of the data. A network that knows its training rows by heart (MS110) also puts "
        "some others deep into a wrong class.",
        next_step="look at the items listed as mislabelled, correct or drop them, and check how "
        "labels were joined to rows.",
        verify="diagnose again with the corrected labels: the estimate falls below "
        f"{THRESHOLD:.1%}.",
    )
