"""The geometry each loss leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metriscope.report.panels import register
from metriscope.report.panels._tables import caption, dot_plot, pick
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Table
from metriscope.types import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@register("variance")
class Variance(Panel):
    """The VARIANCE table, and its main columns as dots."""

    title = "VARIANCE: the geometry each loss leaves"
    order = 40

    def caption(self, results: Results) -> str:
        """How to read the table and the picture."""
        return caption(self.frame(results))

    def frame(self, results: Results) -> Table:
        """The VARIANCE table."""
        return pick(results, "VARIANCE")

    def plot(self, results: Results) -> Figure | None:
        """Distance within classes, distance between them, and spread, mean ± SD."""
        scores = ("intra.pair_cos.mean", "inter.euclid.mean", "spread.total")
        return dot_plot(self.frame(results), scores, {"spread.total": (-0.03, 1.03)})
