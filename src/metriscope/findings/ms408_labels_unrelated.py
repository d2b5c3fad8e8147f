"""MS408: labels that have nothing to do with the space."""

from __future__ import annotations

from metriscope.findings._space import (
    SEE_MS101,
    SURELY_UNRELATED,
    UNRELATED,
    beside_chance,
    is_collapsed,
)
from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding, queries
from metriscope.types import Finding


@finding("ms408_labels_unrelated", title="Recall@1 beside that of random labels", of="space")
def ms408_labels_unrelated(subject: Subject) -> Verdict:
    """Unrelated labels: Recall@1 is within a tenth of chance, of the way from there to 1.

    Labels in random order give r₀ = Σ q_c (n_c − 1) / (Q (n − 1)), q_c of the Q queries being of
    class c, which has n_c of the n rows; with a gallery, Σ q_c g_c / (Q G). The value is
    (r − r₀)/(1 − r₀), which is 0 for them and 1 for Recall@1 = 1, however many classes there are.
    Fires below 0.1. That is a bound: with a share ε of the labels drawn blindly, a query and its
    neighbour are both right in (1 − ε)², so a space of perfect classes has less than 0.1 only if
    over 68 % are. Three standard errors √(r(1 − r)/Q) higher, it must still be below 0.25, so that
    few queries do not do. Healthy spaces lie above 0.45, down to a Recall@1 of 0.58. Not asked
    where MS101 holds.
    """
    if is_collapsed(subject):
        return NotApplicable(SEE_MS101)
    found = beside_chance(subject)
    if found is None:
        return NotApplicable("needs two classes, and Recall@1.")
    if found.share >= UNRELATED:
        return Passed(found.share, UNRELATED)
    n = queries(subject, subject.about)
    if found.most >= SURELY_UNRELATED:
        return NotApplicable(f"{n:,} queries are too few to tell Recall@1 from chance.")
    return Finding(
        code="MS408",
        severity="problem",
        title="labels have nothing to do with the space",
        message=f"Recall@1 is {found.recall:.3f}, and labels in random order would give "
        f"{found.chance:.3f}: that is {max(found.share, 0):.1%} of the way from chance to 1.",
        value=found.share,
        threshold=UNRELATED,
        cause="labels joined to the rows in another order, labels of another file or run, or a "
        "network that learnt nothing of these classes (untrained, or broken inputs).",
        next_step="check a few rows by their ids: is the label that of the item? Join labels by id "
        "instead of by position, and keep loaders from shuffling between embeddings and labels. "
        "If the labels are right, diagnose the training rows, then the features before training.",
        verify=f"diagnose again: the value is far above {UNRELATED:g}; trained spaces have over "
        "0.4.",
    )
