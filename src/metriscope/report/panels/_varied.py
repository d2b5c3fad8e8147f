"""Shared by what shows sweeps: the runs of one setting at its values, gathered."""

from __future__ import annotations

import math
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


# ------------------------------------------------------------------------------------------ words


def sentence(sweep: Sweep, results: Results) -> str:
    """Is the difference between settings larger than that between losses?"""
    recalls = {
        loss: {p.value: p.cells[0] for p in points if p.cells[0].mean is not None}
        for loss, points in sweep.losses.items()
    }
    spans = {loss: _span(c.mean for c in found.values()) for loss, found in recalls.items()}
    moved = {loss: span for loss, span in spans.items() if span}
    if not moved:
        return ""
    ends = f"from {shown(sweep.values[0])} to {shown(sweep.values[-1])}"
    over = f" {ends}" if sweep.numeric else f" ({', '.join(map(shown, sweep.values))})"
    most = max(moved, key=lambda loss: moved[loss][1] - moved[loss][0])
    low, high = moved[most]
    of = "" if sweep.name.startswith(f"{most}.") else f" of {most}"
    text = (
        f"{sweep.name}{over} moves Recall@1{of} by {high - low:.3f} ({low:.3f} to {high:.3f}"
        f"{_noise(recalls[most].values())})"
    )
    if len(moved) > 1:
        least = min(moved, key=lambda loss: moved[loss][1] - moved[loss][0])
        text += f", and of {least} by {moved[least][1] - moved[least][0]:.3f}"
    return f"{text}. {_against_losses(high - low, results)}{_leaders(recalls, sweep)}"


def _against_losses(moved: float, results: Results) -> str:
    means = {
        loss: math.fsum(values) / len(values)
        for loss, runs in results.by_loss().items()
        if (values := defined(runs, "recall@1"))
    }
    span = _span(means.values()) if len(means) > 1 else None
    if span is None:
        return "There is no second loss to hold that against."
    between = span[1] - span[0]
    verdict = (
        "the setting matters more than the choice of loss"
        if moved > between
        else "the choice of loss matters more than this setting"
    )
    return (
        f"The {len(means)} compared losses, each at its own settings, lie {between:.3f} apart: "
        f"{verdict}."
    )


def _leaders(recalls: Mapping[str, Mapping[Any, Cell]], sweep: Sweep) -> str:
    """Which loss is the best at which value, where that changes."""
    best: dict[str, list[str]] = {}
    for value in sweep.values:
        there = {
            loss: found[value].mean or 0.0 for loss, found in recalls.items() if value in found
        }
        if len(there) > 1:
            best.setdefault(max(there, key=lambda loss: there[loss]), []).append(shown(value))
    if len(best) < 2:
        return ""
    named = "; ".join(f"{loss} at {', '.join(values)}" for loss, values in best.items())
    return f" Which loss has the highest mean depends on it: {named}."


def _noise(cells: Any) -> str:
    """Their SD over seeds, pooled."""
    known = [c.sd for c in cells if c.sd is not None]
    if not known:
        return "; one seed: some of that is chance"
    return f"; SD over seeds {math.sqrt(math.fsum(sd**2 for sd in known) / len(known)):.3f}"


def _span(values: Any) -> tuple[float, float] | None:
    found = [value for value in values if value is not None]
    return (min(found), max(found)) if found else None
