"""The loss over epochs."""

from __future__ import annotations

from metriscope.report.charts import Chart
from metriscope.report.evidence import Evidence
from metriscope.report.panels import _curves, register
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Table
from metriscope.types import Results


@register("loss_curves")
class LossCurves(Panel):
    """The loss over epochs."""

    title = "Loss over training"
    order = 62
    layout = "none"

    def frame(self, evidence: Evidence) -> Table:
        """Mean, smallest and largest over seeds, for each loss and epoch."""
        return _curves.frame(self.title, _CAPTION, _quantities(evidence.results))

    def plot(self, evidence: Evidence) -> Chart | None:
        """A line a loss, with a band over seeds."""
        return _curves.draw(_quantities(evidence.results), symlog=(True, False))


def _quantities(results: Results) -> dict[str, dict[str, _curves.Band]]:
    return {
        "Loss": _curves.bands(results, "loss"),
        "Loss / loss before training": _curves.bands(results, "loss", relative=True),
    }


_CAPTION = (
    "Left: the mean loss of each epoch; losses are on different scales. Right: the same, relative "
    "to the loss before any update, which shows how fast each one falls. Some losses cannot reach "
    "0. Lines are means over seeds, bands run from the smallest to the largest seed."
)
