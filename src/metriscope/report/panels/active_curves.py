"""The active shares over epochs."""

from __future__ import annotations

from metriscope.report.charts import Chart
from metriscope.report.evidence import Evidence
from metriscope.report.panels import _curves, register
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Table
from metriscope.types import Results


@register("active_curves")
class ActiveCurves(Panel):
    """The active shares over epochs."""

    title = "Active share over training"
    order = 64
    layout = "none"

    def frame(self, evidence: Evidence) -> Table:
        """Mean, smallest and largest over seeds, for each loss and epoch."""
        return _curves.frame(self.title, _CAPTION, _quantities(evidence.results))

    def plot(self, evidence: Evidence) -> Chart | None:
        """A line a loss, with a band over seeds."""
        return _curves.draw(_quantities(evidence.results), symlog=(False, False), top=1.0)


def _quantities(results: Results) -> dict[str, dict[str, _curves.Band]]:
    return {
        "Active terms (share)": _curves.bands(results, "active.terms"),
        "Active samples (share)": _curves.bands(results, "active.samples"),
    }


_CAPTION = (
    "How much of a batch still violates the rule of the loss: the share of its terms (pairs, "
    "triplets, class comparisons) and of its samples. A share that falls means that the loss is "
    "satisfied more and more; one that stays at 1 means that it never is."
)
