"""What several checks of a space ask of a subject."""

from __future__ import annotations

import math
from typing import NamedTuple

from metriscope.findings.base import Subject, queries, score

COLLAPSED = 0.01
"""``spread.total`` below which MS101 fires."""

UNRELATED = 0.1
"""Share of what lies between chance and 1 below which MS408 fires."""

SURELY_UNRELATED = 0.25
STANDARD_ERRORS = 3.0
STRUCTURE = 0.5  # of the dimensions that the classes need
SEE_MS101 = "the space has collapsed: see MS101."
SEE_MS408 = "retrieval is as good as chance: see MS408."


def is_collapsed(subject: Subject) -> bool:
    """Whether MS101 fires, so that there is little geometry left to judge."""
    spread = score(subject, "spread.total")
    return spread is not None and spread < COLLAPSED


class BesideChance(NamedTuple):
    """Recall@1 beside that of labels in random order.

    ``share``: of what lies between chance and 1; ``most``: the same, 3 standard errors higher.
    """

    recall: float
    chance: float
    share: float
    most: float


def beside_chance(subject: Subject) -> BesideChance | None:
    """None where Recall@1 or chance is unknown, or chance is 1."""
    recall, chance = score(subject, "recall@1"), subject.about.get("chance")
    n = queries(subject, subject.about)
    if recall is None or chance is None or chance >= 1 or n < 1:
        return None
    p = max(recall, chance)
    error = STANDARD_ERRORS * math.sqrt(p * (1 - p) / n) / (1 - chance)
    share = (recall - chance) / (1 - chance)
    return BesideChance(recall, chance, share, share + error)


def is_unrelated(subject: Subject) -> bool:
    """Whether MS408 fires, so that the labels say nothing of the space."""
    found = None if is_collapsed(subject) else beside_chance(subject)
    return found is not None and found.share < UNRELATED and found.most < SURELY_UNRELATED


def structure_inside(subject: Subject) -> tuple[str, bool | None]:
    """A sentence about what is left once the centre is taken away, and whether it is structure."""
    rank, needed = score(subject, "rank.effective.centred"), dimensions_needed(subject)
    if rank is None or needed < 1:
        return "", None
    left = rank >= STRUCTURE * needed
    return (
        f" Without the centre, the space has an effective rank of {rank:.1f}, and its "
        f"{number_of_classes(subject):,} classes need {needed:,}: "
        + ("their structure is left." if left else "little structure is left."),
        left,
    )


def number_of_classes(subject: Subject) -> int:
    """C of the examined rows; 0 if unknown."""
    return int(subject.about.get("test_classes") or subject.about.get("classes") or 0)


def dimensions(subject: Subject) -> int:
    """d of the examined rows; 0 if unknown."""
    return int(subject.run.spec.head.dim if subject.run else subject.about.get("dim") or 0)


def dimensions_needed(subject: Subject) -> int:
    """min(C − 1, d): what equally spaced classes span; 0 if unknown."""
    return max(min(number_of_classes(subject) - 1, dimensions(subject)), 0)


def listed(names: tuple[str, ...], most: int = 3) -> str:
    """``a, b, c and 4 more``."""
    more = len(names) - most
    if more > 0:
        return ", ".join(names[:most]) + f" and {more:,} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
