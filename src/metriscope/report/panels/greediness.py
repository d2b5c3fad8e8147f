"""How each loss spends its gradients."""

from __future__ import annotations

from metriscope.report.evidence import Evidence
from metriscope.report.panels import register
from metriscope.report.panels._tables import pick
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Table


@register("greediness")
class Greediness(Panel):
    """The GREEDINESS table; its pictures are the curves below."""

    title = "GREEDINESS: how each loss spends its gradients"
    order = 60

    def frame(self, evidence: Evidence) -> Table:
        """The GREEDINESS table."""
        return pick(evidence.results, "GREEDINESS")
