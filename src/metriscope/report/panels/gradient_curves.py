"""The gradient norm of the head over epochs."""

from __future__ import annotations

from metriscope.report.charts import Chart
from metriscope.report.evidence import Evidence
from metriscope.report.panels import _curves, register
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Table
from metriscope.types import Results


@register("gradient_curves")
class GradientCurves(Panel):
    """The gradient norm of the head over epochs."""

    title = "Gradient norm over training"
    order = 66
    layout = "none"

    def frame(self, evidence: Evidence) -> Table:
        """Mean, smallest and largest over seeds, for each loss and epoch."""
        return _curves.frame(self.title, _CAPTION, _quantities(evidence.results))

    def plot(self, evidence: Evidence) -> Chart | None:
        """A line a loss, with a band over seeds."""
        return _curves.draw(_quantities(evidence.results), symlog=(True,))


def _quantities(results: Results) -> dict[str, dict[str, _curves.Band]]:
    return {
        "Gradient norm of the head": _curves.bands(results, "grad_norm.head"),
    }


_CAPTION = (
    "The length of the gradient that moves the head, mean over the steps of an epoch. It depends "
    "on the scale of the loss and on its reduction: compare how it changes, rather than how large "
    "it is. Near 0 from the start: nothing is learned."
)
