"""Charts on paper: matplotlib figures, and the files made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metriscope.report.charts._nouns import Chart

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def to_figure(chart: Chart) -> Figure:
    """The chart as a matplotlib figure."""
    raise NotImplementedError
