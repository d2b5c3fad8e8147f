"""Every loss once more, as slow loops over Python floats: the specification in plain sight.

``tests/reference/<name>.py`` has ``reference(z, y, *, reduction, **parameters)``, which returns an
:class:`Expected`. ``z`` is a list of rows and ``y`` a list of integers. Losses that draw at random
also take ``draw``, losses with a vector a class ``proxies``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Vector = Sequence[float]


@dataclass
class Expected:
    """What :class:`metriscope.types.LossOutput` should hold."""

    loss: float
    active_terms: int
    total_terms: int
    active_samples: list[bool]
    excluded: int


@dataclass
class Term:
    """One term: its value, whether its inequality is violated, the samples that anchor it."""

    value: float
    active: bool
    anchors: tuple[int, ...]


def collect(terms: list[Term], reduction: str, b: int, excluded: int) -> Expected:
    """The output for a list of terms."""
    samples = [any(t.active and i in t.anchors for t in terms) for i in range(b)]
    n_active = sum(t.active for t in terms)
    return Expected(reduce(terms, reduction), n_active, len(terms), samples, excluded)


def reduce(terms: list[Term], reduction: str) -> float:
    if reduction == "mean_active":
        terms = [t for t in terms if t.active]
    total = math.fsum(t.value for t in terms)
    return total if reduction == "sum" else total / max(len(terms), 1)


def dot(a: Vector, b: Vector) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def unit(rows: Sequence[Vector]) -> list[list[float]]:
    return [[v / max(math.sqrt(dot(r, r)), 1e-6) for v in r] for r in rows]


def squared_distance(a: Vector, b: Vector) -> float:
    return math.fsum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def positives(y: Sequence[int], i: int) -> list[int]:
    return [j for j in range(len(y)) if j != i and y[j] == y[i]]


def negatives(y: Sequence[int], i: int) -> list[int]:
    return [j for j in range(len(y)) if y[j] != y[i]]


def anchors(y: Sequence[int]) -> list[int]:
    """Samples with a positive and a negative."""
    return [i for i in range(len(y)) if positives(y, i) and negatives(y, i)]
