"""Every loss with every other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations

from metriscope.statistics._nouns import Difference, Outcomes, Pair
from metriscope.statistics.estimates import difference, seeds_difference
from metriscope.statistics.intervals import within


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (1979), in the order given.

    p₍ᵢ₎ of m, the i-th smallest, becomes max over j ≤ i of (m − j + 1)·p₍ⱼ₎, 1 at most.
    """
    adjusted, least = [0.0] * len(p), 0.0
    for i, at in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        least = max(least, min((len(p) - i) * p[at], 1.0))
        adjusted[at] = least
    return adjusted


def compare_all(outcomes: Outcomes, *, level: float = 0.05) -> tuple[Pair, ...]:
    """Every pair once, with Holm's correction over all of them."""
    return compare(outcomes, combinations(outcomes.values, 2), level=level)


def compare(
    outcomes: Outcomes, pairs: Iterable[tuple[str, str]], *, level: float = 0.05
) -> tuple[Pair, ...]:
    """The named pairs, with Holm's correction over them; intervals at 1 − ``level``."""
    pairs = list(pairs)
    found = [_difference(outcomes, *pair, 1 - level) for pair in pairs]
    known = [one.p for one in found if one.p is not None]
    adjusted = iter(holm(known))
    rows = []
    for (first, second), one in zip(pairs, found, strict=True):
        p = None if one.p is None else next(adjusted)
        rows.append(Pair(first, second, one, p, _verdict(p, level)))
    return tuple(rows)


def _difference(outcomes: Outcomes, first: str, second: str, confidence: float) -> Difference:
    a, b = outcomes.values[first], outcomes.values[second]
    if outcomes.per_query:
        found = difference(a, b, confidence=confidence)
    else:
        found = seeds_difference(a[:, 0], b[:, 0], confidence=confidence, grain=outcomes.grain)
    most = outcomes.upper - outcomes.lower
    return replace(found, interval=within(found.interval, -most, most))


def _verdict(p: float | None, level: float) -> str:
    if p is None:
        return "cannot say"
    return "different" if p < level else "no evidence of a difference"
