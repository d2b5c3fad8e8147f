"""The geometry each loss leaves."""

from __future__ import annotations

from metriscope.report.charts import Chart
from metriscope.report.evidence import Evidence
from metriscope.report.panels import register
from metriscope.report.panels._tables import caption, dot_chart, pick
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Table


@register("variance")
class Variance(Panel):
    """The VARIANCE table, and its main columns as dots."""

    title = "VARIANCE: the geometry each loss leaves"
    order = 40

    def caption(self, evidence: Evidence) -> str:
        """How to read the table, the picture, and Table 2 of the paper."""
        table = self.frame(evidence)
        both = {"inter.cos.mean", "inter.euclid.mean"} <= {c.score for c in table.columns}
        return caption(table) + (f" {_READINGS}" if both else "")

    def frame(self, evidence: Evidence) -> Table:
        """The VARIANCE table."""
        return pick(evidence.results, "VARIANCE")

    def plot(self, evidence: Evidence) -> Chart | None:
        """Distance within classes, distance between them, and spread, mean ± SD."""
        scores = ("intra.pair_cos.mean", "inter.euclid.mean", "spread.total")
        return dot_chart(self.frame(evidence), scores, {"spread.total": (-0.03, 1.03)})


_READINGS = (
    "The paper's Table 2 in both readings: its text calls the distance between classes a cosine "
    "distance, Between (cosine), but its numbers fit only the Euclidean one, Between classes, with "
    "the SD beside it that it prints as σ²."
)
