"""Names and findings in a few words, safe to show anywhere."""

from __future__ import annotations

from collections.abc import Sequence

from metriscope.text import plain
from metriscope.types import Finding

# What is tested more than once: an interval may leave out 0 where p shows no evidence.
BY_ITSELF = "its interval, by itself"
CORRECTED = "after Holm's correction over all of them"


def headline(finding: Finding) -> str:
    """A finding in a line: ``triplet: almost no spread (7.6e-05, limit 0.01)``."""
    text = f"{finding.loss}: {finding.title}" if finding.loss else finding.title
    if finding.value is None:
        return text
    limit = "" if finding.threshold is None else f", limit {finding.threshold:.3g}"
    return f"{text} ({finding.value:.3g}{limit})"


def short(name: object, most: int = 28) -> str:
    """A name as it is shown: visible, cut in the middle if very long, quoted if it is blank."""
    text = plain(name)
    if len(text) > most:
        text = f"{text[: most // 2]}…{text[-(most // 2 - 1) :]}"
    return text if text.strip() else f'"{text}"'


def listed(names: Sequence[object], most: int) -> str:
    """``cat, dog and 3 more``."""
    shown = ", ".join(short(name, 40) for name in names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown


def p_value(p: float) -> str:
    """Three decimals: ``0.034``, ``< 0.001``."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def chance(share: float) -> str:
    """A share of resamples as a chance, which is never 0 or 1: ``62 %``, ``< 1 %``, ``> 99 %``."""
    return "< 1 %" if share < 0.005 else "> 99 %" if share > 0.995 else f"{100 * share:.0f} %"
