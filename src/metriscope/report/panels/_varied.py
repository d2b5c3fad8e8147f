"""Shared by what shows sweeps: the runs of one setting at its values, gathered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metriscope.report.columns import GREEDINESS, RETRIEVAL, VARIANCE, Column
from metriscope.report.tables import Cell, cell, defined
from metriscope.types import Results, RunResult

SHOWN = ("recall@1", "active.terms", "grad_norm.head", "intra.pair_cos.mean")
COLUMNS: tuple[Column, ...] = tuple(
    c for score in SHOWN for c in (*RETRIEVAL, *GREEDINESS, *VARIANCE) if c.score == score
)


@dataclass(frozen=True)
class Point:
    """A loss at one value of a setting: a cell a column, in the order of :data:`COLUMNS`.

    ``compared``: whether the comparison itself uses this value. ``note``: what failed.
    """

    value: Any
    cells: tuple[Cell, ...]
    compared: bool
    note: str = ""


@dataclass(frozen=True)
class Sweep:
    """A setting and, of each loss that it varies, its points: by size, or in the order asked for.

    ``numeric``: whether the values have a size. ``log``: whether they span more than ten times.
    """

    name: str
    losses: Mapping[str, tuple[Point, ...]]

    @property
    def values(self) -> list[Any]:
        """Every value once."""
        found = list(dict.fromkeys(p.value for points in self.losses.values() for p in points))
        return sorted(found) if self.numeric else found

    @property
    def numeric(self) -> bool:
        """Whether the values have a size."""
        every = [point.value for points in self.losses.values() for point in points]
        return all(isinstance(v, int | float) and not isinstance(v, bool) for v in every)

    @property
    def log(self) -> bool:
        """Whether they span more than ten times."""
        return self.numeric and min(self.values) > 0 and max(self.values) > 10 * min(self.values)


def gather(results: Results) -> list[Sweep]:
    """Every sweep that left at least two values of a loss."""
    found = []
    for name in results.about.get("sweep") or ():
        losses = {}
        for loss, runs in results.by_loss().items():
            points = _points(results, loss, runs, str(name))
            if len(points) > 1:
                losses[loss] = points
        if losses:
            found.append(Sweep(str(name), losses))
    return found


def shown(value: Any) -> str:
    """``0.5``, ``semi_hard``, ``512 256``."""
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _points(results: Results, loss: str, compared: list[RunResult], name: str) -> tuple[Point, ...]:
    """Of the runs that differ from the comparison's in nothing but this setting."""
    base = dict(compared[0].spec.settings)
    full = next((n for n in (name, f"{loss}.{name}") if n in base), None)
    if full is None:
        return ()
    own = _key(base.pop(full))
    beside = [run for run in results.others.get("sweep", ()) if run.spec.loss == loss]
    values: dict[Any, dict[int, RunResult]] = {}
    for run in (*beside, *compared):
        settings = dict(run.spec.settings)
        value = _key(settings.pop(full, None))
        if settings == base:
            values.setdefault(value, {})[run.spec.seed] = run
    made = []
    for value, runs in values.items():
        done = [run for run in runs.values() if run.status == "done"]
        note = "" if len(done) == len(runs) else f"{len(done)} of {len(runs)} runs"
        cells = tuple(cell(defined(done, c.score), c, len(done)) for c in COLUMNS)
        made.append(Point(value, cells, value == own, note if done else "failed"))
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return tuple(sorted(made, key=lambda p: p.value) if numeric else made)


def _key(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
