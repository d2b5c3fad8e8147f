"""Table 3 of the paper, with our numbers."""

from __future__ import annotations

from metriscope.report.evidence import Evidence
from metriscope.report.panels import register
from metriscope.report.panels._paper_tables import Part, by_dataset
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Table


@register("table3")
class Table3(Panel):
    """Recall of every loss in the layout of the paper's Table 3."""

    title = "Table 3: recall"
    order = 26
    about = "all"
    several = True

    def frame(self, evidence: Evidence) -> Table:
        """One row a loss, three columns a data set."""
        said = (
            "As in the paper's Table 3: the share of test queries with a row of their class among "
            "the nearest 1, 5 and 10. Each cell is the mean over seeds ± their standard deviation; "
            "the best mean of each column is marked, which is no test."
        )
        return by_dataset(evidence, self.title, said, _PARTS)


_PARTS = tuple(
    Part(f"r@{k}", f"recall@{k}", f"share of queries with a hit among the nearest {k}", "higher")
    for k in (1, 5, 10)
)
