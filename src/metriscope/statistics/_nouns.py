"""What statistics speak of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from metriscope.types import Interval


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What every loss did on the same queries with the same seeds.

    Attributes:
        score: its name. higher: whether more is better.
        values: loss to (s, q): a row a seed, a column a query. A score that is one number a run
            has q = 1 and ``per_query`` False.
        seeds: (s,) of the rows, which all losses in ``values`` have.
        per_query: whether columns are queries.
        missing: losses that are not in ``values``, with how many seeds they have. why: the same
            losses, with a few words on why they cannot be compared.
        grain: the step in which values come, 1 of whole numbers; 0 where there is none.
        lower, upper: what a value can be at least and at most; infinite where nobody knows.
        notes: sentences about what was left out, and why.
    """

    score: str
    values: Mapping[str, np.ndarray]
    seeds: tuple[int, ...]
    higher: bool = True
    per_query: bool = True
    missing: Mapping[str, int] | None = None
    grain: float = 0.0
    notes: tuple[str, ...] = ()
    why: Mapping[str, str] = field(default_factory=dict)
    lower: float = -math.inf
    upper: float = math.inf


@dataclass(frozen=True)
class Estimate:
    """A mean, and where it could as well lie.

    Attributes:
        mean: over seeds and queries. interval: at ``confidence``; None of one seed.
        error: standard error. freedom: its degrees of freedom.
        sd: over seeds (ddof 1), of the mean over queries; None of one seed.
        queries_interval: of the queries alone, as of one run: bootstrap; None without queries.
    """

    mean: float
    interval: Interval | None
    error: float | None
    freedom: float | None
    sd: float | None
    seeds: int
    queries: int
    confidence: float = 0.95
    queries_interval: Interval | None = None


@dataclass(frozen=True)
class Difference:
    """First minus second, paired by seed and query.

    Attributes:
        mean, interval, error, freedom: see :class:`Estimate`.
        p: two-sided, that the true difference is 0; None where it cannot be said (one seed).
        d: mean over the SD of the seeds' differences (Cohen's d_z); None of one seed or an SD of 0.
        h: 2 asin √a - 2 asin √b of two shares (Cohen's h); None of what is no share.
        wins, losses: share of the queries that the first answers better, and the second, over
            seeds; None without queries.
    """

    mean: float
    interval: Interval | None
    error: float | None
    freedom: float | None
    p: float | None
    d: float | None = None
    h: float | None = None
    wins: float | None = None
    losses: float | None = None
    seeds: int = 0
    queries: int = 0


@dataclass(frozen=True)
class Pair:
    """Two losses compared, among others. ``adjusted``: p after Holm, None where p is.

    ``verdict``: ``different``, ``no evidence of a difference`` or ``cannot say`` (one seed).
    """

    first: str
    second: str
    difference: Difference
    adjusted: float | None
    verdict: str


@dataclass(frozen=True)
class Rank:
    """A loss among the others: 1 is the best.

    Attributes:
        loss: which. mean: of the score. rank: by the mean.
        interval: the places it could as well have: from 1 + those that are told to be better, to
            the last but those that are told to be worse, Holm's correction over all pairs; None of
            one seed.
        best: share of the resamples in which it is the best; None of one seed.
        regret: mean over the resamples of how far it lies behind the best of each, no more than
            its mean can be improved by; None likewise.
    """

    loss: str
    mean: float
    rank: int
    interval: tuple[int, int] | None
    best: float | None
    regret: float | None


@dataclass(frozen=True)
class CriticalDifference:
    """Losses over datasets by their ranks (Demsar 2006).

    Attributes:
        losses: best mean rank first. ranks: their mean ranks over the datasets.
        datasets: how many. p: Friedman's. critical: least difference of mean ranks that Nemenyi's
            test calls different.
        groups: runs of neighbouring losses that it cannot tell apart, as first and last index.
        power: a plain sentence about what so few datasets can show.
    """

    losses: tuple[str, ...]
    ranks: tuple[float, ...]
    datasets: int
    p: float | None
    critical: float
    groups: tuple[tuple[int, int], ...]
    power: str
