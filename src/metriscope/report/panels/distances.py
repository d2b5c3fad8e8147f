"""How far members of one class are from each other, and from the others."""

from __future__ import annotations

import math

import numpy as np

from metriscope.report import style
from metriscope.report.charts import Chart, Line, Plane
from metriscope.report.columns import Column
from metriscope.report.evidence import Evidence
from metriscope.report.panels import register
from metriscope.report.panels._views import count, value, which
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Row, Table
from metriscope.report.words import short
from metriscope.types import View

_WITHIN, _BETWEEN = "within a class", "between classes"


@register("distances")
class Distances(Panel):
    """Histograms of the cosine distance within and between classes."""

    title = "Distances within and between classes"
    order = 72

    def caption(self, evidence: Evidence) -> str:
        """How to read the histograms."""
        return (
            f"{which(evidence)} Cosine distances, from 0 to 2: filled, in the colour of the loss, "
            "of pairs of one class; the outline, of pairs of two. Where the two lie over each "
            "other, no threshold on the distance can tell same from other: that is the overlap."
        )

    def frame(self, evidence: Evidence) -> Table:
        """Medians and overlap."""
        rows = []
        for loss, (_, view) in evidence.shown.items():
            cells = [value(view.overlap), *(value(median) for median in view.medians)]
            rows.append(Row(loss, (*cells, count(int(str(view.settings.get("paired", 0)))))))
        heads = (
            Column(
                "Overlap",
                meaning="probability that a pair of one class is farther apart than a pair of two; "
                "0: a threshold tells all of them, 0.5: labels make no difference",
                better="lower",
            ),
            Column("Median within", meaning="cosine distance of two members of one class"),
            Column("Median between", meaning="cosine distance of members of two classes"),
            Column("Rows", meaning="a sample: all pairs of these rows were measured"),
        )
        return Table(self.title, which(evidence), heads, tuple(rows))

    def plot(self, evidence: Evidence) -> Chart | None:
        """A plane a loss, all over the same distances."""
        views = {loss: view for loss, (_, view) in evidence.shown.items()}
        if not views:
            return None
        end = max(_end(view) for view in views.values())
        planes = tuple(
            Plane(
                tuple(_lines(loss, view, end)),
                x_label="Cosine distance",
                y_label="Share of pairs",
                title=short(loss),
                x_range=(0, end),
            )
            for loss, view in views.items()
        )
        return Chart(planes, columns=min(4, len(planes)), width=2.6, height=2.1)


def _lines(loss: str, view: View, end: float) -> list[Line]:
    bins = int(np.searchsorted(view.edges, end, "left"))
    edges = tuple(view.edges[: bins + 1].round(6).tolist())
    within, between = (tuple(shares[:bins].tolist()) for shares in (view.within, view.between))
    lines = []
    if any(within):
        lines.append(Line(_WITHIN, edges, within, style.look(loss), filled=True, steps=True))
    if any(between):
        lines.append(Line(_BETWEEN, edges, between, style.Look(style.INK, "o"), steps=True))
    return lines


def _end(view: View) -> float:
    """The least tenth that no pair is beyond."""
    used = np.flatnonzero(view.within + view.between)
    last = float(view.edges[used[-1] + 1] if len(used) else view.edges[-1])
    return min(math.ceil(last * 10 - 1e-9) / 10, float(view.edges[-1]))
