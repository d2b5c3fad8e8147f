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
        labels = ("Severity", "Loss", "What", "Because", "Value", "Limit", "Likely cause", "Try")
        rows = tuple(Row(f.code, _cells(f)) for f in results.findings)
        found = (
            "What is wrong, the number that it rests on, the likely cause and what to try; one for "
            "each check and loss. The documentation of each code explains its limit."
        )
        nothing = "No check found anything wrong with these runs."
        return Table(
            self.title,
            found if rows else nothing,
            tuple(Column(label) for label in labels),
            rows,
            head="Code",
        )


def _cells(finding: Finding) -> tuple[Cell, ...]:
    return (
        Cell(finding.severity),
        Cell(finding.loss),
        Cell(finding.title),
        Cell(finding.message),
        *(
            Cell("–") if v is None else Cell(f"{v:.3g}", v, n=1, of=1)
            for v in (finding.value, finding.threshold)
        ),
        Cell(finding.cause),
        Cell(finding.next_step),
    )
