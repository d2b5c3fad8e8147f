"""Which loss to take, and how sure that is."""

from __future__ import annotations

from dataclasses import replace

from metriscope.report import advice, tables
from metriscope.report.advice import Advice
from metriscope.report.charts import Chart, Mark, Plane, Rule
from metriscope.report.columns import Column
from metriscope.report.evidence import Evidence
from metriscope.report.panels import _advice, register
from metriscope.report.panels._tables import dots, seeds
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Cell, Row, Table, number
from metriscope.types import Results


@register("answer")
class Answer(Panel):
    """The recommendation with what it rests on; without one, the losses by their mean."""

    title = "In short"
    order = 10
    about = "all"
    sortable = False

    def frame(self, evidence: Evidence) -> Table:
        """The losses on the validation part, best first; on the test part where none was made."""
        parts = evidence.parts
        made = {name: _ranking(part.results) for name, part in parts.items()}
        advised = [said for said in made.values() if said]
        several = len(parts) > 1
        rows = [
            replace(row, cells=(Cell(name), *row.cells)) if several else row
            for name, said in made.items()
            for row in (_advice.rows(said) if said else _described(parts[name].results))
            if said or not advised
        ]
        heads = _advice.heads(advised) if advised else _DESCRIBED
        return Table(
            "Losses on the validation part, best first" if advised else "Losses by Recall@1",
            " ".join(filter(None, (tables.answer(evidence.results), self.caption(evidence)))),
            (Column("Data set", words=True), *heads) if several else heads,
            tuple(rows),
        )

    def plot(self, evidence: Evidence) -> Chart | None:
        """The mean of every loss with its interval, and every seed as a small dot."""
        made = {name: _plane(part.results) for name, part in evidence.parts.items()}
        planes = [
            replace(plane, title=name if len(made) > 1 else "")
            for name, plane in made.items()
            if plane
        ]
        if not planes:
            return None
        most = max(len(plane.y_names) for plane in planes)
        width = 6.9 if len(planes) == 1 else 4.2
        return Chart(tuple(planes), width=width, height=1.1 + 0.34 * most)

    def caption(self, evidence: Evidence) -> str:
        """What is to be said about the answer, which stands at the head of the page."""
        parts = evidence.parts
        told = {name: _notes(part.results) for name, part in parts.items()}
        return " ".join(
            (f"{name}: " if len(parts) > 1 else "") + " ".join(notes)
            for name, notes in told.items()
            if notes
        )


def _notes(results: Results) -> list[str]:
    said = advice.read(results)
    if said is None:
        return []
    return [*advice.against(said), *said.notes]


def _ranking(results: Results) -> Advice | None:
    """A recommendation that compares losses; None without one."""
    said = advice.read(results)
    return said if said and said.rows else None


_DESCRIBED = (
    *(Column(label) for label in ("Recall@1, mean", "SD", "Smallest", "Largest")),
    Column("Seeds", digits=0),
)


def _described(results: Results) -> list[Row]:
    """Mean, SD, smallest and largest Recall@1 of each loss, best first."""
    rows = []
    for name, cell in _ranked(results):
        values = tables.defined(results.by_loss()[name], "recall@1")
        numbers = (cell.mean, cell.sd, min(values), max(values))
        cells = [Cell("–") if v is None else Cell(number(v), v, n=1, of=1) for v in numbers]
        rows.append(Row(name, (*cells, Cell(str(cell.n), cell.n, n=1, of=1))))
    return rows


def _ranked(results: Results) -> list[tuple[str, Cell]]:
    return sorted(tables.summary(results).items(), key=lambda item: -(item[1].mean or 0.0))


def _plane(results: Results) -> Plane | None:
    """Of the validation part, where a recommendation was made of it; else of the test part."""
    if said := _ranking(results):
        cells = [(row.name, row.cells[0]) for row in _advice.rows(said) if not row.note]
        values = {name: _advice.seeds_of(results, name) for name, _ in cells}
        bars = "bars: intervals, " if any(cell.interval for _, cell in cells) else ""
        label = f"{_advice.score(said)}, validation part ({bars}small: seeds)"
        before = said.untrained
    else:
        cells = _ranked(results)
        values = {n: tables.defined(results.by_loss()[n], "recall@1") for n, _ in cells}
        bars = "bars: ± SD, " if any(cell.sd is not None for _, cell in cells) else ""
        label = f"Recall@1, test part ({bars}small: seeds)"
        before = tables.finite(results.about.get("baseline") or {}).get("recall@1")
    if not cells:
        return None
    marks: list[Mark] = [*dots(cells)]
    marks += [seeds(name, values[name], i) for i, (name, _) in enumerate(cells) if values[name]]
    if before is not None:
        marks.append(Rule("untrained features", x=before))
    names = tuple(name for name, _ in cells)
    return Plane(tuple(marks), x_label=label, y_range=(len(names) - 0.5, -0.5), y_names=names)
