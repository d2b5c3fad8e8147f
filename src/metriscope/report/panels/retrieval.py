"""How well each loss retrieves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metriscope.report.panels import register
from metriscope.report.panels._tables import caption, dot_plot, pick
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Table
from metriscope.types import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@register("retrieval")
class Retrieval(Panel):
    """The retrieval table, and its first columns as dots."""

    title = "Retrieval: does a query find its own class?"
    order = 30

    def caption(self, results: Results) -> str:
        """How to read the table and the picture."""
        return caption(self.frame(results))

    def frame(self, results: Results) -> Table:
        """The Retrieval table."""
        return pick(results, "Retrieval")

    def plot(self, results: Results) -> Figure | None:
        """Recall@1, MAP@R and kNN accuracy, mean ± SD."""
        return dot_plot(self.frame(results), ("recall@1", "map@r", "knn_accuracy@5"), {})
