"""Shared by the panels that draw a trace over epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metriscope.report import style
from metriscope.report.charts import Chart, Line, Plane
from metriscope.report.columns import Column
from metriscope.report.tables import Cell, Row, Table, number
from metriscope.types import Results, RunResult


@dataclass(frozen=True)
class Band:
    """A quantity at each epoch that has a value: mean, smallest and largest over seeds."""

    epochs: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def bands(results: Results, column: str, *, relative: bool = False) -> dict[str, Band]:
    """A band for each loss with a finished run that has the trace column.

    Args:
        results: the comparison.
        column: of the trace.
        relative: divide each run by its value at epoch 0; runs where that is 0 are left out.
    """
    found = {}
    for loss, runs in results.by_loss().items():
        values: dict[float, list[float]] = {}
        for run in runs:
            for epoch, value in _points(run, column, relative):
                values.setdefault(epoch, []).append(value)
        if values:
            epochs = tuple(sorted(values))
            found[loss] = Band(
                epochs,
                tuple(math.fsum(values[e]) / len(values[e]) for e in epochs),
                tuple(min(values[e]) for e in epochs),
                tuple(max(values[e]) for e in epochs),
            )
    return found


def frame(title: str, explanation: str, quantities: Mapping[str, Mapping[str, Band]]) -> Table:
    """One row a loss and epoch: mean, smallest and largest of each quantity."""
    losses = list(dict.fromkeys(loss for found in quantities.values() for loss in found))
    columns = [Column("Epoch")]
    for label in quantities:
        columns += [Column(f"{label}, {what}") for what in ("mean", "smallest", "largest")]
    rows = []
    for loss in losses:
        epochs = sorted(
            {e for found in quantities.values() if loss in found for e in found[loss].epochs}
        )
        for epoch in epochs:
            cells = [_cell(epoch, 0)]
            for found in quantities.values():
                cells += _at(found.get(loss), epoch)
            rows.append(Row(loss, tuple(cells)))
    return Table(title, explanation, tuple(columns), tuple(rows))


def draw(
    quantities: Mapping[str, Mapping[str, Band]], symlog: Sequence[bool], top: float | None = None
) -> Chart | None:
    """One plane a quantity, one line a loss with a band from smallest to largest seed.

    Args:
        quantities: label of the axis to bands.
        symlog: for each plane, whether y is symmetric-logarithmic, as in the paper's Fig. 2.
        top: upper end of the axes that are linear.
    """
    losses = list(dict.fromkeys(loss for found in quantities.values() for loss in found))
    if not losses:
        return None
    planes = [
        _plane(label, found, log, top)
        for (label, found), log in zip(quantities.items(), symlog, strict=True)
        if found
    ]
    legend = tuple((loss, style.look(loss)) for loss in losses)
    return Chart(tuple(planes), width=4.2 if len(planes) > 1 else 5.8, height=3.7, legend=legend)


def _plane(label: str, found: Mapping[str, Band], log: bool, top: float | None) -> Plane:
    sizes = [abs(v) for band in found.values() for v in (*band.low, *band.high) if v]
    symlog = log and bool(sizes)
    return Plane(
        tuple(_line(loss, band) for loss, band in found.items()),
        x_label="Epoch (0: before any update)",
        y_label=label + (" (symlog)" if log else ""),
        y_scale="symlog" if symlog else "linear",
        # Linear below a thousandth of the largest value, or the smallest value if that is larger.
        linear_below=max(min(sizes), max(sizes) * 1e-3) if symlog else 1.0,
        y_range=None if log or top is None else (-0.03 * top, 1.03 * top),
        whole=True,
    )


def _line(loss: str, band: Band) -> Line:
    marks = len(band.epochs) == 1
    look = style.look(loss)
    return Line(loss, band.epochs, band.mean, look, band.low, band.high, marks=marks)


def _points(run: RunResult, column: str, relative: bool) -> list[tuple[float, float]]:
    """(epoch, value) where both are defined and finite."""
    values = run.trace.get(column, [])
    epochs = run.trace.get("epoch") or [float(i) for i in range(len(values))]
    if not values:
        return []
    points = [
        (e, v)
        for e, v in zip(epochs, values, strict=True)
        if e is not None and v is not None and math.isfinite(v)
    ]
    if not relative:
        return points
    first = dict(points).get(0, 0)
    return [(e, v / first) for e, v in points] if first else []


def _at(band: Band | None, epoch: float) -> list[Cell]:
    if band is None or epoch not in band.epochs:
        return [Cell("–")] * 3
    i = band.epochs.index(epoch)
    return [_cell(band.mean[i]), _cell(band.low[i]), _cell(band.high[i])]


def _cell(value: float, digits: int = 3) -> Cell:
    return Cell(number(value, digits), value, n=1, of=1)
