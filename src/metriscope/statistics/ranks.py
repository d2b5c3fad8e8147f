"""Which place a loss takes, and how sure that is."""

from __future__ import annotations

from collections import Counter

import numpy as np

from metriscope.statistics._nouns import Outcomes, Rank
from metriscope.statistics.pairs import compare_all

GROUPS = 10_000  # queries beyond so many are resampled in groups, drawn at random
_CHUNK = 50  # draws at once: 50 × 10,000 indices are 4 MB


def rank_all(
    outcomes: Outcomes, *, draws: int = 2000, confidence: float = 0.95, seed: int = 0
) -> tuple[Rank, ...]:
    """Of every loss, best first.

    ``best`` and ``regret`` are of resamples. Queries are resampled with replacement, the same for
    all losses. Seeds are not: 3 of them give 10 different resamples, whose variance is 2/3 of what
    it should be. Their part of a draw is a random combination of the seeds' own deviations,
    Student's t with S − 1 degrees of freedom in any direction. (Its χ² is held above its 5 %
    quantile: of 2 seeds Student's t has no mean, so there would be no regret.) What both contain
    is taken from the queries' part. No draw is further from the mean than
    the nearer end of what the score can be: draws stay centred, and nobody gains what is not there.

    Args:
        outcomes: of the losses.
        draws: how many resamples.
        confidence: of the intervals of the ranks, all of them together.
        seed: of the resamples.
    """
    losses = list(outcomes.values)
    if not losses:
        return ()
    sign = 1.0 if outcomes.higher else -1.0
    values = np.stack([sign * outcomes.values[loss] for loss in losses])  # (l, s, q)
    means = values.mean((1, 2))
    order = np.argsort(-means, kind="stable")
    ranks = 1 + (means[None] > means[:, None]).sum(1)
    if len(outcomes.seeds) < 2:
        return tuple(
            Rank(losses[i], sign * float(means[i]), int(ranks[i]), None, None, None) for i in order
        )
    least, most = sorted((sign * outcomes.lower, sign * outcomes.upper))
    room = np.minimum(means - least, most - means).clip(0)
    drawn = means + (resampled(values, draws, seed, outcomes.grain) - means).clip(-room, room)
    top = drawn.max(1, keepdims=True)
    first = drawn == top
    best = (first / first.sum(1, keepdims=True)).mean(0)  # losses that tie share a draw
    regret = np.minimum((top - drawn).mean(0), (most - means).clip(0))  # the mean varies a little
    better, worse = _told_apart(outcomes, 1 - confidence)
    return tuple(
        Rank(
            losses[i],
            sign * float(means[i]),
            int(ranks[i]),
            (1 + better[losses[i]], len(losses) - worse[losses[i]]),
            float(best[i]),
            float(regret[i]),
        )
        for i in order
    )


def _told_apart(outcomes: Outcomes, level: float) -> tuple[Counter[str], Counter[str]]:
    """How many losses are better than each, and how many worse, by tests over all pairs."""
    better, worse = Counter[str](), Counter[str]()
    for pair in compare_all(outcomes, level=level):
        if pair.verdict == "different":
            first = (pair.difference.mean > 0) == outcomes.higher
            winner, loser = (pair.first, pair.second) if first else (pair.second, pair.first)
            worse[winner] += 1
            better[loser] += 1
    return better, worse


def resampled(values: np.ndarray, draws: int, seed: int, grain: float = 0.0) -> np.ndarray:
    """(draws, l) means of (l, s, q) values, s ≥ 2, as other seeds and queries would give them.

    Values that come in steps of ``grain`` are blurred by what rounding hides.
    """
    random = np.random.default_rng(seed)
    means = values.mean((1, 2))
    drawn: np.ndarray = means + _seeds(values.mean(2), draws, random)
    if values.shape[2] > 1:
        queries = _queries(values.mean(1), draws, random) - means
        drawn = drawn + _only_queries(values) * queries
    if grain:
        drawn = drawn + random.normal(0, grain / (12 * values.shape[1]) ** 0.5, drawn.shape)
    return drawn


def _only_queries(values: np.ndarray) -> float:
    """What is left of the queries' spread without what the seeds' has too; half of it at least.

    √(1 − V_rest / V_queries) of the differences between losses: see
    :mod:`metriscope.statistics._crossed`.
    """
    _, s, q = values.shape
    apart = values - values.mean(0)  # what all losses have in common moves no rank
    apart = apart - apart.mean((1, 2), keepdims=True)
    queries = float((apart.mean(1) ** 2).sum()) * s
    seeds = float((apart.mean(2) ** 2).sum()) * q
    rest = max(float((apart**2).sum()) - queries - seeds, 0.0) / (s - 1)
    return max(1 - rest / queries, 0.25) ** 0.5 if queries else 0.0


def _queries(values: np.ndarray, draws: int, random: np.random.Generator) -> np.ndarray:
    """(draws, l) means of (l, q) values over resampled queries."""
    losses, q = values.shape
    groups = min(q, GROUPS)
    group = np.arange(q) % groups
    if q > groups:
        group = random.permutation(group)
    sums = np.stack([np.bincount(group, row, groups) for row in values], 1)  # (groups, l)
    sizes = np.bincount(group, minlength=groups)
    found = np.empty((draws, losses))
    for start in range(0, draws, _CHUNK):
        n = min(_CHUNK, draws - start)
        at = random.integers(groups, size=(n, groups)) + groups * np.arange(n)[:, None]
        weights = np.bincount(at.ravel(), minlength=n * groups).reshape(n, groups).astype(float)
        found[start : start + n] = (weights @ sums) / (weights @ sizes)[:, None]
    return found


def _seeds(rows: np.ndarray, draws: int, random: np.random.Generator) -> np.ndarray:
    """(draws, l) what other seeds would add to the means of (l, s) values."""
    from scipy.special import chdtri

    s = rows.shape[1]
    deviations = rows - rows.mean(1, keepdims=True)
    normal = random.standard_normal((draws, s))
    chi = np.maximum(random.chisquare(s - 1, draws), chdtri(s - 1, 0.95))
    return np.asarray(normal @ deviations.T / (s * chi[:, None]) ** 0.5)
