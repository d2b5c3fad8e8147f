"""How each loss spends its gradients."""

from __future__ import annotations

from metriscope.report.panels import register
from metriscope.report.panels._tables import pick
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Table
from metriscope.types import Results


@register("greediness")
class Greediness(Panel):
    """The GREEDINESS table; its pictures are the curves below."""

    title = "GREEDINESS: how each loss spends its gradients"
    order = 50

    def frame(self, results: Results) -> Table:
        """The GREEDINESS table."""
        return pick(results, "GREEDINESS")
