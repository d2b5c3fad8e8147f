"""Results of losses that never ran, with what their queries retrieved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from metriscope import kept
from metriscope.types import Queries, Results, RunResult, Scores
from tests.helpers import tiny_spec

PARTS = ("test", "validation")
QUERIED = ("recall@1", "recall@5", "recall@10", "r_precision", "map@r")


def queries(levels: np.ndarray) -> Queries:
    """The better a query's level, the earlier it finds its class; the last is not asked."""
    first = np.select([levels > 0, levels > -0.3], [1, 7], 0).astype(np.int64)
    first[-1] = -1
    shares = np.where(first < 0, np.nan, 1 / (1 + np.exp(-levels)))
    return Queries(np.arange(len(levels)), first, shares, shares**2)


def run(
    loss: str,
    seed: int,
    level: float,
    folder: Path | None,
    *,
    q: int = 400,
    failed: bool = False,
    validation: float = 0.1,
    **scores: float,
) -> RunResult:
    """A run whose Recall@1 grows with ``level``; its test part is that of another level."""
    spec = replace(tiny_spec("triplet", seed), loss=loss, epochs=4, validation=validation)
    if failed:
        left: Scores = {"recall@1": 1.0, "val.recall@1": 1.0, "val.density.pi_ratio": 0.0}
        trace: dict[str, Any] = {"val.recall@1": [1.0]}
        return RunResult(spec, "failed", left, trace, error="it diverged\nin epoch 3")
    rng = np.random.default_rng([seed, *loss.encode()])
    hard = np.random.default_rng(0).standard_normal(q)
    found = {
        part: queries(hard + sign * level + 0.3 * rng.standard_normal(q))
        for part, sign in zip(PARTS, (-1, 1), strict=True)
    }
    if not validation:
        del found["validation"]
    given: Scores = {}
    for part, of in found.items():
        for name in QUERIED:
            key = f"val.{name}" if part == "validation" else name
            given[key] = float(np.nanmean(of.values(name)))
    if validation:
        given["val.density.pi_ratio"] = 0.3 - 0.1 * level + 0.001 * rng.standard_normal()
        end = given["val.recall@1"] or 0.0
        curve = [0.3 * end, 0.6 * end, 0.9 * end, 0.995 * end, end]
    if folder is not None:
        kept.write_queries(folder / "runs" / spec.key / kept.QUERIES, found)
    trace = {"val.recall@1": curve} if validation else {}
    return RunResult(spec, "done", given | scores, trace)


def results(
    levels: Mapping[str, float],
    folder: Path | None = None,
    seeds: int = 3,
    failed: tuple[tuple[str, int], ...] = (),
    **settings: Any,
) -> Results:
    """Losses by level."""
    runs = tuple(
        run(loss, seed, level, folder, failed=(loss, seed) in failed, **settings)
        for loss, level in levels.items()
        for seed in range(seeds)
    )
    return Results(runs, about={"dataset": "tiny"})
