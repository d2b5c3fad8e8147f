"""How each class fares under each loss."""

from __future__ import annotations

import math

from metriscope.report import style
from metriscope.report.charts import Chart, Dots, Plane
from metriscope.report.columns import Column
from metriscope.report.evidence import Evidence
from metriscope.report.panels import register
from metriscope.report.panels._views import count, value, which
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Cell, Row, Table
from metriscope.report.words import short
from metriscope.types import ClassRow

MOST = 500
_NAMES = 60  # characters of a name


@register("classes")
class Classes(Panel):
    """Recall@1 and spread of every class, worst first."""

    title = "Classes: recall and spread of each"
    order = 76

    def caption(self, evidence: Evidence) -> str:
        """How to read the table and the picture."""
        found = _by_class(evidence)
        said = (
            f"{which(evidence)} Recall@1 of the queries of a class, and its spread, the mean "
            "squared distance to its centre, from 0 to 1; the class that all losses together "
            "retrieve worst comes first. In the pictures a point is a class. Classes of few "
            "queries vary by chance."
        )
        asked = {
            (view.settings.get("queries"), view.settings.get("rows"))
            for _, view in evidence.shown.values()
        }
        queries, rows = max(asked, key=str, default=(None, None))
        if isinstance(queries, int) and isinstance(rows, int) and 0 < queries < rows:
            said += f" From {queries:,} queries drawn at random, of {rows:,}."
        if len(found) > MOST:
            said += f" The {MOST} worst of {len(found):,} classes."
        return said

    def frame(self, evidence: Evidence) -> Table:
        """A row a class: its rows and queries, then recall and spread under each loss."""
        losses = list(evidence.shown)
        heads = [Column("Rows"), Column("Queries")]
        for loss in losses:
            heads += [
                Column(f"{short(loss)}: Recall@1"),
                Column(f"{short(loss)}: spread"),
            ]
        rows = []
        for name, by_loss in _worst(evidence):
            some = next(iter(by_loss.values()))
            cells = [count(some.rows), count(some.queries)]
            for loss in losses:
                cells += _pair(by_loss.get(loss))
            rows.append(Row(short(name, _NAMES), tuple(cells)))
        return Table(self.title, which(evidence), tuple(heads), tuple(rows), head="Class")

    def plot(self, evidence: Evidence) -> Chart | None:
        """A plane a loss: recall over spread, a dot a class."""
        shown = _worst(evidence)
        spreads = [row.spread for _, by_loss in shown for row in by_loss.values()]
        end = 1.05 * max((s for s in spreads if math.isfinite(s)), default=0) or 1.0
        planes = []
        for loss in evidence.shown:
            dots = [
                (row.spread, row.recall, f"{short(name, 40)} ({row.queries:,} queries)")
                for name, by_loss in shown
                if (row := by_loss.get(loss)) and row.recall is not None
            ]
            if dots:
                x, y, texts = zip(*dots, strict=True)
                mark = Dots(loss, x, y, style.look(loss), texts=texts, size=4.5, alpha=0.75)
                planes.append(
                    Plane(
                        (mark,),
                        x_label="Spread",
                        y_label="Recall@1",
                        title=short(loss),
                        x_range=(0, end),
                        y_range=(-0.03, 1.03),
                    )
                )
        if not planes:
            return None
        return Chart(tuple(planes), columns=min(4, len(planes)), width=2.6, height=2.3)


def _by_class(evidence: Evidence) -> dict[str, dict[str, ClassRow]]:
    """Class to loss to how it fares."""
    found: dict[str, dict[str, ClassRow]] = {}
    for loss, (_, view) in evidence.shown.items():
        for row in view.classes:
            found.setdefault(row.name, {})[loss] = row
    return found


def _worst(evidence: Evidence) -> list[tuple[str, dict[str, ClassRow]]]:
    """The classes that losses retrieve worst on average; those without queries come last."""

    def place(item: tuple[str, dict[str, ClassRow]]) -> tuple[bool, float]:
        recalls = [row.recall for row in item[1].values() if row.recall is not None]
        return not recalls, math.fsum(recalls) / max(len(recalls), 1)

    return sorted(_by_class(evidence).items(), key=place)[:MOST]


def _pair(row: ClassRow | None) -> list[Cell]:
    if row is None:
        return [Cell("–"), Cell("–")]
    recall, spread = value(row.recall), value(None if math.isnan(row.spread) else row.spread)
    if row.recall is not None and row.interval is not None:
        recall = Cell(recall.text, row.recall, n=1, of=1, interval=row.interval)
    return [recall, spread]
