"""MS105: certain classes lie in one place."""

from __future__ import annotations

import math
from typing import NamedTuple

from metriscope.findings._space import SEE_MS101, SEE_MS408, is_collapsed, is_unrelated, listed
from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding
from metriscope.types import Examined, Finding

THRESHOLD = 0.5
PROBLEM = 0.8
STANDARD_ERRORS = 4.0


class Pair(NamedTuple):
    """Two classes. ``mixed``: 0 if they never find each other, 1 if one cloud; ``least``: at least.

    ``crossed``: share of their queries that found the other one.
    """

    least: float
    mixed: float
    crossed: float
    names: tuple[str, str]


@finding("ms105_classes_overlap", title="pairs of classes that find each other", of="space")
def ms105_classes_overlap(subject: Subject) -> Verdict:
    """Overlapping classes: a pair finds each other half as often as one cloud would.

    Of the queries of classes a and b whose nearest row is of a or b, x is the share that found the
    other one. Were both one cloud, it would be x₁ = 2 n_a n_b / (n (n − 1)), n = n_a + n_b rows, so
    x/x₁ is 0 for classes apart and 1 for classes that nothing tells apart, however many others
    there are. The value is the largest lower bound of x/x₁: Wilson's, at 4 standard errors, which
    chance alone lifts above x/x₁ in 0.03 of a thousand pairs. Fires above 0.5, and is a problem
    where x/x₁ itself is above 0.8. Wrong labels do not look like this: 20 % of them, spread over
    five classes, give every pair 0.25, and over ten 0.1. Not asked where MS101 or
    MS408 holds.
    """
    examined = subject.examined
    if is_collapsed(subject):
        return NotApplicable(SEE_MS101)
    if is_unrelated(subject):
        return NotApplicable(SEE_MS408)
    if examined is None or sum(row.queries > 0 for row in examined.per_class) < 2:
        return NotApplicable("needs two classes with queries.")
    pairs = sorted(_pairs(examined), reverse=True)
    mixed = [pair for pair in pairs if pair.least > THRESHOLD]
    if not mixed:
        return Passed(pairs[0].least if pairs else 0.0, THRESHOLD)
    worst = mixed[0]
    named = tuple(f"{a} and {b}" for a, b in (pair.names for pair in mixed))
    cloud = min(worst.mixed, 1.0)
    several = f" It is one of {len(mixed):,} such pairs: {listed(named[1:])}." if mixed[1:] else ""
    return Finding(
        code="MS105",
        severity="problem" if max(p.mixed for p in mixed) > PROBLEM else "warning",
        title="classes overlap",
        message=f"Of the queries of {named[0]} that found one of the two, {worst.crossed:.0%} "
        f"found the other class, {cloud:.0%} of what a single cloud would give.{several}",
        value=worst.least,
        threshold=THRESHOLD,
        cause="the features do not hold what tells these classes apart, the loss never pushed "
        "them (few pairs of them in a batch), or they are one class under two names.",
        next_step="look at pictures of both; then merge them, or put them together in batches and "
        "train on their hard negatives.",
        verify="the share of their queries lost to each other, in the table of confusions, falls.",
        classes=tuple(dict.fromkeys(name for pair in mixed for name in pair.names)),
    )


def _pairs(examined: Examined) -> list[Pair]:
    """Those of which at least one query found the other class."""
    rows = {row.name: row for row in examined.per_class}
    crossed: dict[tuple[str, str], int] = {}
    for found in examined.confusions:
        if found.label in rows and found.found in rows:
            a, b = sorted((found.label, found.found))
            crossed[a, b] = crossed.get((a, b), 0) + found.queries
    pairs = []
    for names, count in crossed.items():
        first, second = (rows[name] for name in names)
        own = sum((row.recall or 0.0) * row.queries for row in (first, second))
        n, share = count + own, count / (count + own)
        together = first.rows + second.rows
        cloud = 2 * first.rows * second.rows / (together * (together - 1))
        pairs.append(Pair(_lower(share, n) / cloud, share / cloud, share, names))
    return pairs


def _lower(share: float, n: float) -> float:
    """Wilson's lower bound of a share of n."""
    weight = STANDARD_ERRORS**2 / n
    half = STANDARD_ERRORS * math.sqrt((share * (1 - share) + weight / 4) / n)
    return (share + weight / 2 - half) / (1 + weight)
