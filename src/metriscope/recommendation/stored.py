"""Whether a recommendation that was stored is the one that its runs give."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from metriscope.recommendation.choice import recommend
from metriscope.recommendation.goals import GOALS
from metriscope.types import Results

_NOTE = (
    "This was made anew from the runs: another recommendation was stored, edited or by another "
    "version."
)
_CLOSE = 1e-6  # relative: another machine rounds otherwise


def anew(results: Results, folder: Path) -> tuple[Results, tuple[str, ...]]:
    """With each stored recommendation made again, for its goal.

    One whose goal is none, or whose queries are no longer there, stays as it is.

    Args:
        results: of one dataset or of several.
        folder: where ``runs/`` is.

    Returns:
        The results, and the datasets of which something else had been stored.
    """
    several = "datasets" in results.about
    stored = {
        name: said
        for name in results.datasets
        if isinstance(said := results.of(name).recommendation, Mapping)
    }
    made = {name: _again(results.of(name), said, folder) for name, said in stored.items()}
    changed = tuple(name for name in stored if not _same(stored[name], made[name]))
    if not changed:
        return results, ()
    for name in changed:
        made[name] = {**made[name], "notes": [_NOTE, *made[name]["notes"]]}
    every = {**(results.recommendation or {}), **made} if several else made[changed[0]]
    return replace(results, recommendation=every), changed


def _again(results: Results, said: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    goal, level = said.get("goal"), said.get("level", 0.05)
    if goal not in GOALS or not isinstance(level, float) or not 0 < level < 1:
        return said
    made = recommend(results, folder, goal, level=level)
    return said if said.get("queries") and not made["queries"] else made


def _same(first: Any, second: Any) -> bool:
    """Equal but for how numbers were rounded."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return first.keys() == second.keys() and all(_same(first[k], second[k]) for k in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(_same, first, second))
    numbers = [isinstance(v, int | float) and not isinstance(v, bool) for v in (first, second)]
    if all(numbers):
        return math.isclose(first, second, rel_tol=_CLOSE, abs_tol=1e-9)
    return bool(first == second)
