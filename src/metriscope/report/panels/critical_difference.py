"""Losses over several datasets."""

from __future__ import annotations

from metriscope import statistics
from metriscope.report import style
from metriscope.report.charts import Chart, Dots, Line, Mark, Plane
from metriscope.report.columns import Column
from metriscope.report.evidence import Evidence
from metriscope.report.panels import register
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Cell, Row, Table, number
from metriscope.report.words import listed, p_value
from metriscope.statistics import CriticalDifference

_BAR = style.Look(style.INK, "o")


@register("critical_difference")
class CriticalDifferences(Panel):
    """Mean ranks over datasets, and which of them cannot be told apart (Demsar 2006)."""

    title = "Over all data sets: the critical difference"
    order = 38
    about = "all"
    several = True

    def frame(self, evidence: Evidence) -> Table:
        """One row a loss, best mean rank first."""
        found = mean_ranks(evidence)
        rows = _rows(found) if found else ()
        return Table("Mean ranks by Recall@1", self.caption(evidence), _COLUMNS, rows)

    def plot(self, evidence: Evidence) -> Chart | None:
        """Ranks on a line, with a bar over those that cannot be told apart."""
        found = mean_ranks(evidence)
        if found is None:
            return None
        heads = ("critical difference", *("not told apart" for _ in found.groups))
        names = (*heads, *found.losses)
        marks: list[Mark] = [_bar("critical difference", 1.0, 1.0 + found.critical, 0)]
        for y, (first, last) in enumerate(found.groups, 1):
            said = f"not told apart: {listed(found.losses[first : last + 1], 20)}"
            marks.append(_bar(said, found.ranks[first], found.ranks[last], y))
        for y, (loss, rank) in enumerate(zip(found.losses, found.ranks, strict=True), len(heads)):
            look = style.look(loss)
            marks.append(Line(loss, (rank, rank), (0.5, y), look))
            marks.append(Dots(loss, (rank,), (y,), look))
        plane = Plane(
            tuple(marks),
            x_label=f"Mean rank by Recall@1 over {found.datasets} data sets (1: the best)",
            x_range=(0.8, max(len(found.losses), 1 + found.critical) + 0.2),
            y_range=(len(names) - 0.5, -0.5),
            y_names=names,
        )
        return Chart((plane,), width=6.9, height=1.1 + 0.3 * len(names))

    def caption(self, evidence: Evidence) -> str:
        """What the test says, and how little so few data sets can show."""
        found = mean_ranks(evidence)
        if found is None:
            return "Two data sets with the same losses are needed."
        test = "" if found.p is None else f"Friedman's test over all losses: p {_is(found.p)}. "
        return f"{test}By Nemenyi's test at 5 %: {found.power}"


_COLUMNS = (
    Column("Mean rank", meaning="over the data sets; 1 is the best", digits=2),
    Column("Cannot be told apart from", words=True),
)


def mean_ranks(evidence: Evidence) -> CriticalDifference | None:
    """By Recall@1 over the data sets; None where no two of them have the same losses."""
    means = {
        name: {
            loss: float(values.mean()) for loss, values in part.outcomes("recall@1").values.items()
        }
        for name, part in evidence.parts.items()
    }
    return statistics.critical_difference(means)


def _rows(found: CriticalDifference) -> tuple[Row, ...]:
    rows = []
    for i, (loss, rank) in enumerate(zip(found.losses, found.ranks, strict=True)):
        near = {
            j for first, last in found.groups if first <= i <= last for j in range(first, last + 1)
        }
        others = [found.losses[j] for j in sorted(near - {i})]
        said = listed(others, 20) if others else "–"
        rows.append(Row(loss, (Cell(number(rank, 2), rank, n=1, of=1), Cell(said))))
    return tuple(rows)


def _bar(name: str, low: float, high: float, y: float) -> Line:
    return Line(name, (low, high), (y, y), _BAR, marks=True)


def _is(p: float) -> str:
    return p_value(p) if p < 0.001 else f"= {p_value(p)}"
