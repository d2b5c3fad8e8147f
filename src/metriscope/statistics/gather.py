"""From results to what statistics read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from metriscope import kept
from metriscope.statistics._nouns import Outcomes
from metriscope.text import plain
from metriscope.types import Queries, Results, RunResult

_LISTED = 10  # seeds and losses in a sentence
QUERIED = ("recall@1", "recall@5", "recall@10", "r_precision", "map@r")
VALIDATION = "val."

Value = Callable[[RunResult], float | None]


def gather(results: Results, folder: Path | None, score: str, part: str = "test") -> Outcomes:
    """A score of every loss of one dataset, paired by seed, and by query where that was kept.

    A run that failed, or whose score is undefined, is never used, and losses are compared on the
    seeds that all of them have: a seed that one of them lacks is left out, which ``notes`` says.
    Rather than to fall to one seed, or to none, losses are left out that lack the two seeds that
    most have, if more than half of the losses stay; they are in ``missing``, and ``why`` says why.

    Where a run's queries were not kept, or are others
    than those of the rest, every run is one number. Bounds are those of shares, for the scores in
    ``QUERIED``.

    Args:
        results: of one dataset.
        folder: where ``runs/`` is; None takes one number a run.
        score: ``recall@1``, ..., or any other score, which has one number a run. ``higher`` is
            True whatever it is.
        part: ``test``, or ``validation``: then nothing but ``val.`` scores and validation queries
            is read.
    """
    name = score.removeprefix(VALIDATION)
    stored = f"{VALIDATION}{name}" if part == "validation" else score
    outcomes, runs = paired(results, score, lambda run: run.scores.get(stored))
    if name in QUERIED:
        outcomes = replace(outcomes, lower=0.0, upper=1.0)
    if folder is None or name not in QUERIED or not runs:
        return outcomes
    found, why = _queries(folder, runs, name, part)
    if found is None:
        return replace(outcomes, notes=(*outcomes.notes, why))
    return replace(outcomes, values=found, per_query=True)


def paired(
    results: Results, score: str, value: Value, *, higher: bool = True, grain: float = 0.0
) -> tuple[Outcomes, dict[str, list[RunResult]]]:
    """One number a run, and the runs of each loss in the order of the seeds.

    Args:
        results: of one dataset.
        score: what the number is called.
        value: of a finished run; None or NaN where it has none.
        higher, grain: see :class:`Outcomes`.
    """
    runs: dict[str, dict[int, RunResult]] = {}
    for run in results.runs:
        kept_of = runs.setdefault(run.spec.loss, {})
        number = value(run) if run.status == "done" else None
        if number is not None and math.isfinite(number):
            kept_of.setdefault(run.spec.seed, run)
    seeds = _common({loss: frozenset(of) for loss, of in runs.items()})
    whole = {
        loss: [of[seed] for seed in seeds]
        for loss, of in runs.items()
        if seeds and all(seed in of for seed in seeds)
    }
    values = {
        loss: np.array([[value(run)] for run in of], dtype=np.float64) for loss, of in whole.items()
    }
    missing = {loss: len(of) for loss, of in runs.items() if loss not in whole}
    found = Outcomes(
        score,
        values,
        seeds,
        higher,
        False,
        missing,
        grain,
        _left_out(runs, seeds, whole),
        {loss: _why(tuple(runs[loss]), seeds) for loss in missing},
    )
    return found, whole


def _common(of: Mapping[str, frozenset[int]]) -> tuple[int, ...]:
    """The seeds to compare on: those that all losses have which have the two that most have.

    Of pairs of seeds that equally many have, the one with the most seeds in common. One seed, that
    most have, where no two are common to more than half of the losses.
    """
    sets = [seeds for seeds in of.values() if seeds]
    every = sorted(frozenset().union(*sets))

    def shared(seeds: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        having = [found for found in sets if found.issuperset(seeds)]
        return len(having), tuple(sorted(frozenset.intersection(*having))) if having else ()

    for size, least in ((2, len(sets) / 2), (1, 0)):
        # Of equals the first: max keeps it.
        most, common = max(
            map(shared, combinations(every, size)),
            key=lambda found: (found[0], len(found[1])),
            default=(0, ()),
        )
        if most > least:
            return common
    return ()


def _left_out(
    runs: Mapping[str, Mapping[int, RunResult]], seeds: tuple[int, ...], whole: Mapping[str, object]
) -> tuple[str, ...]:
    """Seeds that some of the compared losses have and others lack, and which lack them."""
    others = sorted({seed for loss in whole for seed in runs[loss]} - set(seeds))
    if not others:
        return ()
    lacking = [plain(loss)[:40] for loss in whole if not runs[loss].keys() >= set(others)]
    them = "it" if len(others) == 1 else "them"
    return (
        f"{_numbered(others)} left out of the comparison: not every loss finished {them} "
        f"(without: {', '.join(lacking[:_LISTED])}{', …' if len(lacking) > _LISTED else ''}).",
    )


def _why(own: tuple[int, ...], seeds: tuple[int, ...]) -> str:
    """A loss with those seeds is not compared."""
    if not own:
        return "no finished run has this score"
    common = "too few seeds" if set(own) & set(seeds) else "no seed"
    return (
        f"{common} in common with the others: it has {_numbered(sorted(own)).lower()}, and "
        f"{_numbered(seeds).lower()} {'is' if len(seeds) == 1 else 'are'} compared"
    )


def _numbered(seeds: Sequence[int]) -> str:
    """``Seed 1``, ``Seeds 1, 2``."""
    some = ", ".join(map(str, seeds[:_LISTED]))
    return f"Seed{'' if len(seeds) == 1 else 's'} {some}{', …' if len(seeds) > _LISTED else ''}"


def _queries(
    folder: Path, runs: Mapping[str, list[RunResult]], score: str, part: str
) -> tuple[dict[str, np.ndarray] | None, str]:
    """Loss to (s, q), or None and why not."""
    found = {
        loss: [kept.read_queries(folder, run.key, part) for run in of] for loss, of in runs.items()
    }
    every = [one for of in found.values() for one in of]
    known: list[Queries] = [one for one in every if one is not None]
    if len(known) < len(every):
        if not known:
            return None, "No run kept what its queries retrieved: one number a run is compared."
        return None, (
            f"{len(every) - len(known)} of {len(every)} runs did not keep what their queries "
            "retrieved: one number a run is compared."
        )
    if any(not np.array_equal(one.ids, known[0].ids) for one in known):
        return None, "Runs were asked different queries: one number a run is compared."
    values = {loss: np.stack([q.values(score) for q in found[loss] if q]) for loss in found}
    asked = np.logical_and.reduce([np.isfinite(of).all(0) for of in values.values()])
    if asked.sum() < 2:
        return None, "No two queries were asked in every run: one number a run is compared."
    return {loss: of[:, asked] for loss, of in values.items()}, ""
