"""MS110: good in training, bad in test."""

from __future__ import annotations

from metriscope.findings.base import (
    NotApplicable,
    Passed,
    Subject,
    Verdict,
    finding,
    queries,
    score,
)
from metriscope.types import Finding

THRESHOLD = 0.2
PROBLEM = 0.35
STANDARD_ERRORS = 3.3


@finding("ms110_lost_in_test", title="retrieval in training beside test", of="space")
def ms110_lost_in_test(subject: Subject) -> Verdict:
    """Good in training, bad in test: Recall@1 among training rows is over 20 points higher.

    ``train.recall@1`` is of as many training rows, of classes of the same sizes, so that a larger
    part does not win by its size. The difference must exceed 3.3 standard errors
    √(p(1 − p)/n + q(1 − q)/n), which chance does less than once in a thousand.

    Study: heads on frozen features of CIFAR-10, four losses. After 10 epochs on 10,000 rows with
    dropout, an ordinary training, the difference is 0.08 to 0.16; after 60 on 2,000 without, when
    the training rows are known by heart, 0.43 to 0.47, and Recall@1 is 0.06 to 0.09 lower. From
    0.35 on it is a problem.
    """
    trained, recall = score(subject, "train.recall@1"), score(subject, "recall@1")
    n = queries(subject, subject.about)
    if trained is None or recall is None or n < 1 or subject.about.get("gallery"):
        return NotApplicable("needs training embeddings, no gallery, and Recall@1 of both parts.")
    error = ((trained * (1 - trained) + recall * (1 - recall)) / n) ** 0.5
    limit = max(THRESHOLD, STANDARD_ERRORS * error)
    if trained - recall <= limit:
        return Passed(trained - recall, limit)
    return Finding(
        code="MS110",
        severity="problem" if trained - recall >= PROBLEM else "warning",
        title="good in training, bad in test",
        message=f"Recall@1 is {trained:.3f} among training rows and {recall:.3f} among those "
        "examined, both leave-one-out among as many rows of classes as large.",
        value=trained - recall,
        threshold=limit,
        cause="the network remembers its training rows (too many epochs or parameters for them), "
        "or the rows examined are of another kind (other classes, other sources).",
        next_step="fewer epochs, more dropout or weight decay, augmentation; then check that both "
        "parts were embedded in evaluation mode, with one preprocessing.",
        verify=f"diagnose again: the difference is at most {limit:.2f}.",
    )
