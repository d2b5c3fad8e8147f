"""The mean of values crossed by seed and query, and how far off it may be.

A value is grand mean + seed + query + the rest; other seeds and other queries would draw anew.
With S seeds and Q queries the variance of the mean is estimated by

    V = V_seeds + max(V_queries − V_rest, 0)

V_seeds = variance of the S means over queries / S, V_queries = variance of the Q means over seeds
/ Q, V_rest = residual mean square / (S·Q), which both of them contain: V_seeds keeps it.

The quantile weights those of Student's t of the seeds (S − 1) and of the queries (Q − 1), as
Cochran and Cox (Experimental Designs, 1950) do, with w = V_seeds / V and α the level:

    t = t_Q + w^e·(t_S − t_Q),   e = 5/4·√r,   r = ln 0.05 / ln α, 1 at most

No interval is narrower than that of the queries alone, with an error of min(1/(2r), 1)·√V_queries.

Their e is 1. Lowest and highest coverage of 95 % intervals over a grid of all shares of the three
variances, normal values, 200,000 repeats each:

    seeds   this           e = 1          Satterthwaite's t   this, V at least V_queries
    2       93.0 to 97.1   93.9 to 97.8   87.1 to 95.0        93.0 to 99.2
    3       94.7 to 96.5   94.9 to 97.2   92.1 to 95.0        94.7 to 98.7
    5       95.0 to 95.9   95.0 to 96.4   94.2 to 95.0        95.0 to 98.0
    10      95.0 to 95.5   95.0 to 95.7   94.8 to 95.1        95.0 to 97.1

Further out, e is smaller and the least error larger for Holm's correction, where two seeds that
happen to agree would pass for no variance; of two seeds e = 5/4·r, and the least error is
min(1/(2r^1.5), 3/2)·√V_queries. How often any pair of seven losses that are the same is called
different, at the level of 0.05/21 for the first, over worlds in which seeds, queries or the rest
dominate, shares of 0.9 and 0.98, 100 to 2,000 queries, 250 to 1,200 repeats each:

    seeds   this           e = 5/4·√r and 1/2 throughout
    2       0.0 to 4.5 %   0.0 to 25.8 %
    3       0.0 to 6.3 %   0.0 to 7.6 %
    5       0.0 to 5.0 %   0.0 to 5.1 %

`python -m benchmarks statistics` has values of 0 and 1, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from metriscope.types import Interval

EXPONENT, AT = 1.25, 0.05
_FLOOR = 0.5  # of the error of the queries alone, at a level of ``AT``
_MOST = 1.0, 1.5  # of that error, further out; of two seeds
_SMALLEST = 2.0**-60  # p are not told apart below
_SAID = 0.025  # the tail of which ``freedom`` is said


@dataclass(frozen=True)
class Mean:
    """A mean and its standard error, with what the quantiles of their ratio are made of.

    Attributes:
        value, error: of the mean.
        seeds, queries: degrees of freedom of the two Student's t that are weighted.
        share: of the variance, that is the seeds'.
        least: error of the queries alone that no 95 % interval is narrower than.
    """

    value: float
    error: float
    seeds: float
    queries: float = math.inf
    share: float = 1.0
    least: float = 0.0

    def interval(self, confidence: float) -> Interval:
        """Where the true mean lies, with that confidence."""
        half = self._half((1 - confidence) / 2)
        return Interval(self.value - half, self.value + half)

    @property
    def p(self) -> float:
        """Two-sided, that the true mean is 0: the interval at 1 − p ends there."""
        from scipy.optimize import brentq
        from scipy.special import stdtr

        size = abs(self.value)
        if not size or not (self.error or self.least):
            return 0.0 if size else 1.0
        if self.share == 1 and not self.least:
            return 2 * float(stdtr(self.seeds, -size / self.error))
        if self._half(_SMALLEST) <= size:
            return 2 * _SMALLEST
        ends = math.log(_SMALLEST), math.log(0.5)
        found = brentq(lambda x: self._half(math.exp(x)) - size, *ends, xtol=1e-9)
        return 2 * math.exp(found)

    @property
    def standard_error(self) -> float:
        """Not below the least."""
        return max(self.error, self.least)

    @property
    def freedom(self) -> float:
        """Of the one Student's t with the same 97.5 % quantile."""
        from scipy.special import stdtridf

        few, many = sorted((self.seeds, self.queries))
        found = float(stdtridf(1 - _SAID, self._quantile(_SAID)))
        return min(max(found, few), many) if math.isfinite(found) else many

    def at_least(self, p: float) -> Mean:
        """The same with an error so large that its p is not below this one, which is under 1."""
        if self.p >= p:
            return self
        return replace(self, error=abs(self.value) / self._quantile(p / 2))

    def _half(self, tail: float) -> float:
        half = self.error * self._quantile(tail)
        if not self.least:
            return half
        two = self.seeds == 1
        times = min(_nearness(tail) ** (-1.5 if two else -1), _MOST[two] / _FLOOR)
        return max(half, times * self.least * _student(self.queries, tail))

    def _quantile(self, tail: float) -> float:
        """Of the mean over its error; ``tail`` at most 1/2."""
        of_seeds = _student(self.seeds, tail)
        if self.share == 1:
            return of_seeds
        of_queries = _student(self.queries, tail)
        exponent = EXPONENT * _nearness(tail) ** (1 if self.seeds == 1 else 0.5)
        weight = float(self.share**exponent)
        return of_queries + weight * (of_seeds - of_queries)


def crossed(values: np.ndarray) -> Mean:
    """Of (s, q) values, two seeds and two queries at least."""
    s, q = values.shape
    seeds, queries = float(values.mean(1).var()), float(values.mean(0).var())  # ddof 0
    rest = max(float(values.var()) - seeds - queries, 0.0) / ((s - 1) * (q - 1))
    seeds, queries = seeds / (s - 1), queries / (q - 1)
    variance = seeds + max(queries - rest, 0.0)
    return Mean(
        float(values.mean()),
        math.sqrt(variance),
        s - 1.0,
        q - 1.0,
        seeds / variance if variance else 0.0,
        _FLOOR * math.sqrt(queries),
    )


def by_seed(values: np.ndarray, least: float = 0.0) -> Mean:
    """Of (s,) values, two at least. ``least``: the least variance that one of them has."""
    s = len(values)
    variance = max(float(values.var(ddof=1)), least)
    return Mean(float(values.mean()), math.sqrt(variance / s), s - 1.0)


def _nearness(tail: float) -> float:
    """r of the module's formulas: 1 up to a level of ``AT``, smaller further out."""
    return math.log(AT) / math.log(min(2 * tail, AT))


def _student(freedom: float, tail: float) -> float:
    """The quantile above which ``tail`` lies."""
    from scipy.special import stdtrit

    return -float(stdtrit(freedom, tail))
