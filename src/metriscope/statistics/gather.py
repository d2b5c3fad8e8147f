"""From results to what statistics read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from metriscope import kept
from metriscope.statistics._nouns import Outcomes
from metriscope.types import Queries, Results, RunResult

QUERIED = ("recall@1", "recall@5", "recall@10", "r_precision", "map@r")
VALIDATION = "val."

Value = Callable[[RunResult], float | None]


def gather(results: Results, folder: Path | None, score: str, part: str = "test") -> Outcomes:
    """A score of every loss of one dataset, paired by seed, and by query where that was kept.

    A run that failed, or whose score is undefined, is never used. The seeds compared are those
    that keep the most runs of losses that have them all (of equals, the most seeds); a loss that
    lacks one of them is left out and named. Where a run's queries were not kept, or are others
    than those of the rest, every run is one number.

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
    seeds = _seeds({loss: frozenset(of) for loss, of in runs.items()})
    whole = {
        loss: [of[seed] for seed in seeds]
        for loss, of in runs.items()
        if seeds and all(seed in of for seed in seeds)
    }
    values = {
        loss: np.array([[value(run)] for run in of], dtype=np.float64) for loss, of in whole.items()
    }
    missing = {loss: len(of) for loss, of in runs.items() if loss not in whole}
    return (
        Outcomes(
            score,
            values,
            seeds,
            higher,
            False,
            missing,
            grain,
            _left_out(runs, seeds, whole),
        ),
        whole,
    )


def _seeds(of: Mapping[str, frozenset[int]]) -> tuple[int, ...]:
    """The set of seeds with the most runs of losses that have them all; of equals the largest."""
    sets = set(of.values())
    sets |= {a & b for a in sets for b in sets}

    ordered = sorted((tuple(sorted(seeds)) for seeds in sets), reverse=True)

    def worth(seeds: tuple[int, ...]) -> tuple[int, int]:
        return len(seeds) * sum(found.issuperset(seeds) for found in of.values()), len(seeds)

    return max(ordered, key=worth, default=())


def _left_out(
    runs: Mapping[str, Mapping[int, RunResult]], seeds: tuple[int, ...], whole: Mapping[str, object]
) -> tuple[str, ...]:
    """Seeds that some losses have and others lack."""
    others = sorted({seed for loss in whole for seed in runs[loss]} - set(seeds))
    if not others:
        return ()
    one = len(others) == 1
    return (
        f"{'Seed' if one else 'Seeds'} {', '.join(map(str, others))} left out: not every loss "
        f"finished {'it' if one else 'them'}.",
    )


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
