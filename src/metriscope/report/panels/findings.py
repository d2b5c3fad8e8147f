"""What the checks found."""

from __future__ import annotations

from metriscope.report.cards import COLUMNS, cards
from metriscope.report.evidence import Evidence
from metriscope.report.panels import register
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Table


@register("findings")
class Findings(Panel):
    """What is wrong, with the number it rests on, the likely cause and what to try."""

    title = "Findings"
    order = 20
    layout = "cards"

    def frame(self, evidence: Evidence) -> Table:
        """One row a finding."""
        found = (
            "What is wrong, the number that it rests on, the likely cause and what to try; one for "
            "each check and loss. The documentation of each code explains its limit."
        )
        nothing = "No check found anything wrong with these runs."
        rows = cards(evidence.results.findings)
        return Table(self.title, found if rows else nothing, COLUMNS, rows, head="Code")
