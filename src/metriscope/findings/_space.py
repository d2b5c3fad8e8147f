"""What several checks of a space ask of a subject."""

from __future__ import annotations

from metriscope.findings.base import Subject, score
from metriscope.findings.ms101_collapsed import THRESHOLD as COLLAPSED

SEE_MS101 = "the space has collapsed: see MS101."


def is_collapsed(subject: Subject) -> bool:
    """Whether MS101 fires, so that there is little geometry left to judge."""
    spread = score(subject, "spread.total")
    return spread is not None and spread < COLLAPSED


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
