"""Table 2 of the paper, with our numbers."""

from __future__ import annotations

from metriscope.report.evidence import Evidence
from metriscope.report.panels import register
from metriscope.report.panels._paper_tables import Part, by_dataset
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Table


@register("table2")
class Table2(Panel):
    """The geometry of every loss in the layout of the paper's Table 2."""

    title = "Table 2: variance within and between classes"
    order = 28
    about = "all"
    several = True

    def frame(self, evidence: Evidence) -> Table:
        """One row a loss, four columns a data set."""
        said = (
            "As in the paper's Table 2, in the one reading that its numbers allow: within classes "
            "the mean cosine distance of two members, between them the mean Euclidean distance of "
            "two class means; beside each its SD, over classes and over pairs of them, which the "
            "paper prints as σ². Each cell is the mean over seeds ± their standard deviation."
        )
        return by_dataset(evidence, self.title, said, _PARTS)


_PARTS = (
    Part("intra μ", "intra.pair_cos.mean", "mean cosine distance of two members of a class"),
    Part("intra SD", "intra.pair_cos.sd", "SD over classes of that distance"),
    Part("inter μ", "inter.euclid.mean", "mean Euclidean distance of two class means"),
    Part("inter SD", "inter.euclid.sd", "SD over pairs of classes of that distance"),
)
