"""MS107: classes that are several clumps."""

from __future__ import annotations

from metriscope.findings._space import SEE_MS101, SEE_MS408, is_collapsed, is_unrelated, listed
from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding, score
from metriscope.types import Finding

THRESHOLD = 0.0


@finding("ms107_clumped_classes", title="classes that are several clumps", of="space")
def ms107_clumped_classes(subject: Subject) -> Verdict:
    """Clumped classes: a class lies in two or more places, as far from each other as classes are.

    ``classes.clumped`` is the share of the classes of ten rows and more that are. What counts is
    in its definition, with a bound: along the line between the halves of a class, rows leave less
    than 1/9 of their variance within the halves, which no density with a single peak does. So one
    class is enough to fire. It did in none of 24 healthy spaces of the tests, nor in frozen or
    projected features of CIFAR-10 and digits. It is a warning: a class may well have two looks.
    """
    share = score(subject, "classes.clumped")
    if is_collapsed(subject):
        return NotApplicable(SEE_MS101)
    if is_unrelated(subject):
        return NotApplicable(SEE_MS408)
    if share is None:
        return NotApplicable("needs two classes, one of them of ten rows.")
    if share <= THRESHOLD:
        return Passed(share, THRESHOLD)
    names = tuple(map(str, subject.about.get("clumped_classes") or ()))
    which = f": {listed(names, 5)}" if names else ""
    return Finding(
        code="MS107",
        severity="warning",
        title="classes are several clumps",
        message=f"{share:.1%} of the classes lie in two or more clumps, as far from each other as "
        f"classes are{which}.",
        value=share,
        threshold=THRESHOLD,
        cause="a label that covers different things (two products, front and back, two cameras or "
        "languages), or a loss that only asks for some near neighbour of the class.",
        next_step="look at both halves of such a class: split the label if they differ, else train "
        "with all positives or proxies (contrastive, scl, ccl) instead of one positive.",
        verify="classes.clumped falls to 0.",
        classes=names,
    )
