"""Whether intervals hold, tests find and recommendations are right, where the truth is known.

Losses are simulated: every value is a grand mean + seed + query + the rest on a hidden scale, cut
to 0 or 1 (as Recall@1) or squeezed into [0, 1] (as an average precision). The true mean is exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product
from statistics import NormalDist

import numpy as np

from benchmarks.tables import Row
from metriscope.statistics import Outcomes, compare, compare_all, difference, estimate, rank_all

SEEDS = (2, 3, 5, 10)
# Shares of simulations are off by 0.4 points (SD) themselves, and each row is the worst of 12.
LEAST, MOST = 92.5, 97.5


@dataclass(frozen=True)
class World:
    """What makes values differ: SDs on the hidden scale.

    Attributes:
        name: which of them dominates.
        seeds: of a loss's seeds; times √(S/Q) where ``scaled``, so that the variance of a mean has
            as much of it as of the queries.
        common: of queries, the same for all losses. queries: of a loss's own.
        rest: of what is left.
        share: mean of the first loss. binary: whether values are 0 or 1.
    """

    name: str
    seeds: float
    common: float
    queries: float
    rest: float
    share: float = 0.9
    binary: bool = True
    scaled: bool = False

    def draw(
        self, random: np.random.Generator, s: int, q: int, gaps: tuple[float, ...] = (0.0, 0.01)
    ) -> tuple[np.ndarray, np.ndarray]:
        """(l, s, q) values of l losses and their (l,) true means, ``share`` − each gap."""
        losses, seeds = len(gaps), self.seeds * (math.sqrt(s / q) if self.scaled else 1.0)
        spread = math.sqrt(
            seeds**2 + self.common**2 + self.queries**2 + self.rest**2 + (not self.binary)
        )
        true = np.array([self.share - gap for gap in gaps])
        middle = np.array([NormalDist().inv_cdf(share) * spread for share in true])
        hidden = random.standard_normal((losses, s, q)) * self.rest + middle[:, None, None]
        hidden += random.standard_normal((losses, s, 1)) * seeds
        hidden += random.standard_normal((1, 1, q)) * self.common
        hidden += random.standard_normal((losses, 1, q)) * self.queries
        if self.binary:
            return (hidden > 0).astype(np.float64), true
        from scipy.special import ndtr

        return ndtr(hidden), true


DOMINANT = (
    World("queries", seeds=0.0, common=1.0, queries=1.0, rest=0.02),
    World("the rest", seeds=0.0, common=0.1, queries=0.1, rest=1.0),
    World("seeds", seeds=0.2, common=1.0, queries=0.5, rest=0.5),
    World("all alike", seeds=1.0, common=1.0, queries=0.7, rest=0.7, scaled=True),
)


USUAL = ((0.5, True), (0.9, True), (0.7, False))
NEAR_1 = ((0.98, True),)  # with few queries, few of them differ: intervals are wide on purpose


def held(world: World, s: int, q: int, trials: int, seed: int = 0) -> tuple[float, float]:
    """Shares of the intervals of a mean, and of a difference, that hold the truth."""
    random = np.random.default_rng(seed)
    mean = apart = 0
    for _ in range(trials):
        (first, second), true = world.draw(random, s, q)
        found, between = estimate(first, resamples=0).interval, difference(first, second).interval
        mean += found is not None and found.low <= true[0] <= found.high
        apart += between is not None and between.low <= true[0] - true[1] <= between.high
    return float(mean) / trials, float(apart) / trials


def width(world: World, s: int, q: int, trials: int, seed: int = 0) -> float:
    """Median width of the interval of a mean."""
    random = np.random.default_rng(seed)
    seen = [
        estimate(world.draw(random, s, q, (0.0,))[0][0], resamples=0).interval
        for _ in range(trials)
    ]
    return float(np.median([one.high - one.low for one in seen if one is not None]))


def found(
    world: World, s: int, q: int, trials: int, gaps: tuple[float, ...], seed: int = 0
) -> float:
    """Share of the repeats in which any pair is called different."""
    random = np.random.default_rng(seed)
    hits = 0
    for _ in range(trials):
        hits += any(
            pair.verdict == "different"
            for pair in compare_all(_outcomes(world, random, s, q, gaps))
        )
    return hits / trials


def planted(errors: float, s: int, q: int, trials: int, seed: int = 0) -> tuple[float, float]:
    """Of a true difference of so many true standard errors, queries dominating: share found, and
    share found of those repeats whose observed difference is as many estimated ones."""
    world = replace(DOMINANT[0], share=0.7)
    random = np.random.default_rng(seed)
    # The truth, from one draw so large that its own error does not matter.
    wide = world.draw(random, s, 200_000, (0.0, 0.0))[0]
    error = float((wide[0] - wide[1]).mean(0).std()) / math.sqrt(q)
    hits = seen = both = 0
    for _ in range(trials):
        (first, second), _ = world.draw(random, s, q, (0.0, errors * error))
        one = difference(first, second)
        hit = one.p is not None and one.p < 0.05
        large = one.error is not None and abs(one.mean) >= errors * one.error
        hits, seen, both = hits + hit, seen + large, both + (hit and large)
    return hits / trials, both / max(seen, 1)


def best_kept(world: World, s: int, q: int, trials: int, seed: int = 0) -> tuple[float, float]:
    """Shares of the repeats whose set of best losses, and whose ranks' intervals, hold the truth.

    The set: the loss with the best mean, and those that cannot be told apart from it.
    """
    gaps = (0.0, 0.004, 0.008, 0.02, 0.05)
    random = np.random.default_rng(seed)
    kept = ranks = 0
    for _ in range(trials):
        order = tuple(random.permutation(gaps).tolist())
        outcomes = _outcomes(world, random, s, q, order)
        placed = rank_all(outcomes, draws=300)
        first, best = placed[0].loss, str(order.index(0.0))
        pairs = compare(outcomes, [(rank.loss, first) for rank in placed[1:]])
        alike = {pair.first for pair in pairs if pair.verdict != "different"}
        kept += best in alike | {first}
        for rank in placed:
            true = 1 + sum(gap < order[int(rank.loss)] for gap in order)
            low, high = rank.interval or (0, 0)
            ranks += (low <= true <= high) / len(order)
    return float(kept) / trials, float(ranks) / trials


def _outcomes(
    world: World, random: np.random.Generator, s: int, q: int, gaps: tuple[float, ...]
) -> Outcomes:
    values, _ = world.draw(random, s, q, gaps)
    return Outcomes("recall@1", {str(i): of for i, of in enumerate(values)}, tuple(range(s)))


def _percent(what: str, share: float, least: float | None = None, most: float | None = None) -> Row:
    return Row(what, 100 * share, "%", least=least, most=most)


def _coverage(quick: bool) -> list[Row]:
    """The lowest and the highest coverage of all worlds, over all numbers of queries."""
    trials = {100: 400, 1_000: 200} if quick else {100: 1_500, 1_000: 800, 10_000: 100}
    rows = []
    for s, kinds in product(SEEDS, (USUAL, NEAR_1)):
        held_by: dict[str, list[tuple[float, float]]] = {"a mean": [], "a difference": []}
        for (share, binary), world in product(kinds, DOMINANT):
            here = replace(world, share=share, binary=binary)
            shares = [held(here, s, q, n, seed=q) for q, n in trials.items()]
            for at, into in enumerate(held_by.values()):
                hits = sum(one[at] * n for one, n in zip(shares, trials.values(), strict=True))
                into.append(hits / sum(trials.values()))
        what = "shares of 0.98" if kinds is NEAR_1 else "0/1 and continuous values"
        for name, found_ in held_by.items():
            low = LEAST if kinds is USUAL and not quick else None
            high = MOST if kinds is USUAL and not quick else None
            said = f"95 % intervals of {name}, {s} seeds, {what}"
            rows.append(_percent(f"{said}: lowest coverage", min(found_), least=low))
            rows.append(_percent(f"{said}: highest coverage", max(found_), most=high))
    return rows


def run(*, quick: bool) -> list[Row]:
    """The section."""
    rows = _coverage(quick)
    n = 200 if quick else 1_000
    for (names, s), world in product(((2, 3), (7, 2), (7, 3), (7, 5)), DOMINANT):
        said = f"one loss under {names} names, {s} seeds, {world.name} dominating"
        none = 1 - found(world, s, 1_000, n if names == 2 else n // 2, (0.0,) * names)
        rows.append(_percent(f"{said}: no difference found", none, least=93.0))
    for s, share in product((2, 3, 5), (0.9, 0.97, 0.995)):
        wide = width(replace(DOMINANT[0], share=share), s, 574, n // 4)
        said = f"95 % intervals of shares of {share}, {s} seeds, 574 queries: median width"
        rows.append(Row(said, 100 * wide, "points"))
    for s, errors in product((2, 3, 5), (2.0, 3.0, 4.0)):
        power, observed = planted(errors, s, 2_000, n)
        said = f"true difference of {errors:g} standard errors, {s} seeds, queries dominating"
        rows.append(_percent(f"{said}: found", power))
        rows.append(_percent(f"{said}: found where as many are observed", observed, least=98.0))
    for world in DOMINANT:
        kept, ranks = best_kept(world, 3, 2_000, n // 4)
        said = f"five losses, 3 seeds, {world.name} dominating"
        rows.append(_percent(f"{said}: the best is among those recommended", kept, least=95.0))
        rows.append(_percent(f"{said}: intervals of ranks hold the true rank", ranks, least=93.0))
    return rows
