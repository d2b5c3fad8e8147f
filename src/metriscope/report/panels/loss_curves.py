"""The loss over epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metriscope.report.panels import _curves, register
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Table
from metriscope.types import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@register("loss_curves")
class LossCurves(Panel):
    """The loss over epochs."""

    title = "Loss over training"
    order = 60
    layout = "none"

    def frame(self, results: Results) -> Table:
        """Mean, smallest and largest over seeds, for each loss and epoch."""
        return _curves.frame(self.title, _CAPTION, _quantities(results))

    def plot(self, results: Results) -> Figure | None:
        """A line a loss, with a band over seeds."""
        return _curves.draw(_quantities(results), symlog=(True, False))


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
