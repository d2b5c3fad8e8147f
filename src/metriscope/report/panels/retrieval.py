"""How well each loss retrieves."""

from __future__ import annotations

from dataclasses import replace

from metriscope.report.charts import Chart
from metriscope.report.evidence import Evidence
from metriscope.report.panels import register
from metriscope.report.panels._tables import caption, dot_chart, pick, unequal
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Cell, Table

_BY_QUERY = ("recall@1", "recall@5", "recall@10", "r_precision", "map@r")


@register("retrieval")
class Retrieval(Panel):
    """The retrieval table with intervals, and its main columns as dots."""

    title = "Retrieval: does a query find its own class?"
    order = 30

    def caption(self, evidence: Evidence) -> str:
        """How to read the table and the picture."""
        table = self.frame(evidence)
        seeds = len({run.spec.seed for run in evidence.results.runs})
        if any(cell.interval for row in table.rows for cell in row.cells):
            said = (
                " Intervals (95 %) say where the mean could as well lie with other seeds and other "
                "queries; two that overlap may still differ: see the comparisons."
            )
        elif seeds == 1:
            said = " One seed: no interval can be given, because nobody knows what another does."
        else:
            said = " What each query retrieved was not kept, so there are no intervals."
        return caption(table) + said + unequal(evidence.results)

    def frame(self, evidence: Evidence) -> Table:
        """The Retrieval table, with intervals where queries and two seeds or more are known."""
        table = pick(evidence.results, "Retrieval")
        shown = [c.score if c.score in _BY_QUERY else "" for c in table.columns]
        rows = tuple(
            replace(
                row,
                cells=tuple(
                    _with_interval(evidence, row.name, cell, score)
                    for cell, score in zip(row.cells, shown, strict=True)
                ),
            )
            for row in table.rows
        )
        return replace(table, rows=rows)

    def plot(self, evidence: Evidence) -> Chart | None:
        """Recall@1, MAP@R and kNN accuracy, with their intervals, or ± SD."""
        return dot_chart(self.frame(evidence), ("recall@1", "map@r", "knn_accuracy@5"))


def _with_interval(evidence: Evidence, loss: str, cell: Cell, score: str) -> Cell:
    """Of the same runs as the mean: not where seeds were left out to compare with others."""
    if not score or cell.n < 2 or not evidence.outcomes(score).per_query:
        return cell
    found = evidence.estimates(score).get(loss)
    if found is None or found.seeds != cell.n:
        return cell
    return replace(cell, interval=found.interval)
