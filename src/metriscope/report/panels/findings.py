"""What the checks found."""

from __future__ import annotations

from metriscope.report.columns import Column
from metriscope.report.panels import register
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Cell, Row, Table
from metriscope.types import Finding, Results


@register("findings")
class Findings(Panel):
    """What is wrong, with the number it rests on, the likely cause and what to try."""

    title = "Findings"
    order = 20
    layout = "cards"

    def frame(self, results: Results) -> Table:
        """One row a finding."""
        labels = ("Severity", "Loss", "What", "Value", "Limit", "Likely cause", "Try")
        rows = tuple(Row(f.code, _cells(f)) for f in results.findings)
        found = "One row for each loss and check that found something; limits are explained in "
        nothing = "No check found anything wrong with these runs."
        return Table(
            self.title,
            found + "the description of each code." if rows else nothing,
            tuple(Column(label) for label in labels),
            rows,
            head="Code",
        )


def _cells(finding: Finding) -> tuple[Cell, ...]:
    return (
        Cell(finding.severity),
        Cell(finding.loss or "all"),
        Cell(f"{finding.title[:1].upper()}{finding.title[1:]}. {finding.message}"),
        *(
            Cell("–") if v is None else Cell(f"{v:.3g}", v, n=1, of=1)
            for v in (finding.value, finding.threshold)
        ),
        Cell(finding.cause),
        Cell(finding.next_step),
    )
