"""What settings do, beside what losses do."""

from __future__ import annotations

from collections.abc import Mapping

from metriscope.report import style
from metriscope.report.charts import Chart, Dots, Line, Mark, Plane
from metriscope.report.columns import Column
from metriscope.report.evidence import Evidence
from metriscope.report.panels import _varied, register
from metriscope.report.panels._settings_or_losses import sentences
from metriscope.report.panels._varied import COLUMNS, Point, Sweep
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Cell, Row, Table

_APART = 0.14  # of losses at one value, where values are names


@register("sensitivity")
class Sensitivity(Panel):
    """Recall, activity, gradient and tightness against each setting that was varied."""

    title = "Sensitivity: what settings do, beside what losses do"
    order = 82

    def caption(self, evidence: Evidence) -> str:
        """Whether settings or losses make the difference, with numbers."""
        said = sentences(_varied.gather(evidence.results), evidence.results)
        return " ".join(
            [
                "One setting at a time is varied, all others and the seeds stay as they are in the "
                "comparison. A line or dot is the mean over seeds ± their SD. What seeds alone do "
                "is Tukey's 95 % limit for as many means.",
                *said,
            ]
        )

    def frame(self, evidence: Evidence) -> Table:
        """One row a setting, value and loss."""
        rows = [
            Row(loss, (*_named(sweep, point), *point.cells), point.note)
            for sweep in _varied.gather(evidence.results)
            for loss, points in sweep.losses.items()
            for point in points
        ]
        head = (Column("Setting", words=True), Column("Value", words=True))
        said = "Each cell is the mean over seeds ± their standard deviation."
        return Table(self.title, said, (*head, *COLUMNS), tuple(rows))

    def plot(self, evidence: Evidence) -> Chart | None:
        """A row of planes a setting, a plane a score, a line a loss."""
        sweeps = _varied.gather(evidence.results)
        planes = [
            (_lines if sweep.numeric else _dots)(sweep, place)
            for sweep in sweeps
            for place in range(len(COLUMNS))
        ]
        losses = dict.fromkeys(loss for sweep in sweeps for loss in sweep.losses)
        if not any(plane.marks for plane in planes):
            return None
        legend = tuple((loss, style.look(loss)) for loss in losses)
        return Chart(tuple(planes), columns=2, width=3.6, height=2.7, legend=legend)


def _named(sweep: Sweep, point: Point) -> tuple[Cell, Cell]:
    mine = " (as compared)" if point.compared else ""
    size = float(point.value) if sweep.numeric else None
    return Cell(sweep.name), Cell(_varied.shown(point.value) + mine, size)


def _known(points: tuple[Point, ...], place: int) -> list[tuple[Point, float, float]]:
    """Points with a mean, it, and its SD over seeds (0 of one)."""
    cells = [(point, point.cells[place]) for point in points]
    return [(point, c.mean, c.sd or 0.0) for point, c in cells if c.mean is not None]


def _lines(sweep: Sweep, place: int) -> Plane:
    """A score against a number."""
    marks: list[Mark] = []
    for loss, points in sweep.losses.items():
        found = _known(points, place)
        if found:
            x, y, sd = zip(*((float(p.value), mean, sd) for p, mean, sd in found), strict=True)
            low = tuple(m - s for m, s in zip(y, sd, strict=True)) if any(sd) else ()
            high = tuple(m + s for m, s in zip(y, sd, strict=True)) if any(sd) else ()
            marks.append(Line(loss, x, y, style.look(loss), low, high, marks=True))
    return Plane(
        tuple(marks),
        x_label=sweep.name,
        y_label=COLUMNS[place].label,
        x_scale="log" if sweep.log else "linear",
    )


def _dots(sweep: Sweep, place: int) -> Plane:
    """A score at each of several names."""
    rows: Mapping[object, int] = {value: i for i, value in enumerate(sweep.values)}
    marks: list[Mark] = []
    for k, (loss, points) in enumerate(sweep.losses.items()):
        found = _known(points, place)
        if found:
            shift = _APART * (k - (len(sweep.losses) - 1) / 2)
            y, x, sd = zip(*((rows[p.value] + shift, m, s) for p, m, s in found), strict=True)
            low = tuple(m - s for m, s in zip(x, sd, strict=True)) if any(sd) else ()
            high = tuple(m + s for m, s in zip(x, sd, strict=True)) if any(sd) else ()
            marks.append(Dots(loss, x, y, style.look(loss), x_low=low, x_high=high))
    return Plane(
        tuple(marks),
        x_label=COLUMNS[place].label,
        title=sweep.name,
        y_range=(len(rows) - 0.5, -0.5),
        y_names=tuple(_varied.shown(value) for value in rows),
    )
