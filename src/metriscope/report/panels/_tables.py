"""Shared by the panels of the three tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from metriscope.report import style, tables
from metriscope.report.charts import Chart, Dots, Mark, Plane, Rule
from metriscope.report.tables import BASELINE, Cell, Table
from metriscope.report.words import listed
from metriscope.statistics import Outcomes
from metriscope.types import Results

Range = tuple[float, float]


def pick(results: Results, title: str) -> Table:
    """The table whose title begins with ``title``."""
    return next(t for t in tables.build(results) if t.title.startswith(title))


def caption(table: Table) -> str:
    """The table's explanation, and what the dashed line is where there is one."""
    drawn = any(row.name == BASELINE for row in table.rows)
    return table.explanation + (" Dashed lines: the untrained features." if drawn else "")


def dot_chart(
    table: Table, scores: Sequence[str], limits: Mapping[str, Range] | None = None
) -> Chart | None:
    """Some columns beside each other, a dot a row; None where no row has any of them.

    The bar of a dot is the interval of its cell, or its SD where that has none; a dashed line is
    the untrained features. ``limits`` fixes an axis; the others fit the values.
    """
    rows = [row for row in table.rows if row.name != BASELINE]
    base = next((row for row in table.rows if row.name == BASELINE), None)
    planes = []
    for j, column in enumerate(table.columns):
        cells = [(row.name, row.cells[j]) for row in rows]
        if column.score not in scores or all(cell.mean is None for _, cell in cells):
            continue
        marks: list[Mark] = [*dots(cells)]
        if base and (before := base.cells[j].mean) is not None:
            marks.append(Rule("untrained features", x=before))
        planes.append(
            Plane(
                tuple(marks),
                x_label=column.heading + _bars([cell for _, cell in cells]),
                x_range=(limits or {}).get(column.score),
                y_range=(len(rows) - 0.5, -0.5),
                y_names=tuple(row.name for row in rows),
            )
        )
    if not planes:
        return None
    height = 1.1 + 0.32 * len(rows)
    return Chart(tuple(planes), columns=3, width=2.9, height=height, same_y=True)


def dots(cells: Iterable[tuple[str, Cell]], start: int = 0) -> list[Dots]:
    """A dot for each name with a mean, from the top down, with its interval or else its SD."""
    return [
        dot(name, cell.mean, i, *(cell.interval or _around(cell)))
        for i, (name, cell) in enumerate(cells, start)
        if cell.mean is not None
    ]


def dot(name: str, x: float, y: float, low: float | None = None, high: float | None = None) -> Dots:
    """A loss at one place, with a bar if it has one."""
    if low is None or high is None:
        return Dots(name, (x,), (y,), style.look(name))
    return Dots(name, (x,), (y,), style.look(name), x_low=(low,), x_high=(high,))


def seeds(name: str, values: Sequence[float], y: float) -> Dots:
    """Every seed as a small dot, a little below its loss."""
    return Dots(name, tuple(values), (y + 0.24,) * len(values), style.look(name), size=3)


def _bars(cells: Sequence[Cell]) -> str:
    """What the bars of a plane are."""
    if any(cell.interval for cell in cells):
        return " (95 % intervals)"
    return " (± SD)" if any(cell.sd is not None for cell in cells) else ""


def _around(cell: Cell) -> tuple[float | None, float | None]:
    if cell.mean is None or cell.sd is None:
        return None, None
    return cell.mean - cell.sd, cell.mean + cell.sd


def left_out(outcomes: Outcomes) -> str:
    """Sentences about what could not be compared; nothing if all could."""
    why, missing = outcomes.why or {}, outcomes.missing or {}
    named = [f"{loss} ({why.get(loss) or f'{n} finished'})" for loss, n in missing.items()]
    said = [f"Left out: {listed(named, 10)}."] if named else []
    return "".join(f" {sentence}" for sentence in [*said, *outcomes.notes])


def unequal(results: Results) -> str:
    """A sentence about losses that have fewer finished runs than were asked for."""
    counts = {
        loss: (sum(run.status == "done" for run in runs), len(runs))
        for loss, runs in results.by_loss().items()
    }
    named = [f"{loss} ({done} of {n})" for loss, (done, n) in counts.items() if done < n]
    return (
        f" Fewer runs finished: {listed(named, 10)}; failed runs are in no mean." if named else ""
    )
