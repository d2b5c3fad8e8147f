"""How many dimensions each space uses."""

from __future__ import annotations

import numpy as np

from metriscope.report import style
from metriscope.report.charts import Chart, Line, Plane
from metriscope.report.columns import Column
from metriscope.report.evidence import Evidence
from metriscope.report.panels import register
from metriscope.report.panels._views import count, value, which
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Cell, Row, Table
from metriscope.types import View

_LEAST = 1e-8  # of the largest: below, it is what float32 left


@register("spectra")
class Spectra(Panel):
    """Singular values of the centred test embeddings."""

    title = "Spectra: how many dimensions are in use"
    order = 74

    def caption(self, evidence: Evidence) -> str:
        """How to read the curves."""
        return (
            f"{which(evidence)} Singular values of the centred embeddings, as shares of their sum, "
            "largest first, on a logarithmic axis. A flat line uses all dimensions alike; a cliff "
            "is where dimensions end (dimensional collapse)."
        )

    def frame(self, evidence: Evidence) -> Table:
        """Numbers of dimensions, by three counts."""
        rows = [Row(loss, _cells(view)) for loss, (_, view) in evidence.shown.items()]
        heads = (
            Column(
                "Effective rank, centred",
                "rank.effective.centred",
                "how many dimensions the differences between embeddings use: e to the entropy of "
                "the singular values (Roy and Vetterli, 2007)",
                digits=1,
            ),
            Column("For 90 %", meaning="how many dimensions hold 90 % of the variance"),
            Column("For 99 %", meaning="how many dimensions hold 99 % of the variance"),
            Column("Largest", meaning="share of the variance that is along one direction"),
            Column(
                "Dimensions",
                meaning="of the embedding; rows span at most one fewer than there are of them",
            ),
        )
        return Table(self.title, which(evidence), heads, tuple(rows))

    def plot(self, evidence: Evidence) -> Chart | None:
        """A line a loss."""
        lines = []
        for loss, (_, view) in evidence.shown.items():
            there = view.spectrum > _LEAST * view.spectrum.max(initial=0)
            if there.any():
                at = (np.flatnonzero(there) + 1.0).tolist()
                line = Line(loss, tuple(at), tuple(view.spectrum[there].tolist()), style.look(loss))
                lines.append(line)
        if not lines:
            return None
        plane = Plane(
            tuple(lines),
            x_label="Dimension, in order",
            y_label="Share of the singular values",
            y_scale="log",
            whole=True,
        )
        legend = tuple((line.name, line.look) for line in lines)
        return Chart((plane,), columns=1, width=6.4, height=3.6, legend=legend)


def _cells(view: View) -> tuple[Cell, ...]:
    spectrum, dim = view.spectrum, view.settings.get("dim")
    dimensions = count(dim) if isinstance(dim, int) else value(None)
    total = spectrum.sum()
    if not total:
        return (*(value(None) for _ in range(4)), dimensions)
    shares = spectrum[spectrum > 0] / total
    variance = spectrum**2 / (spectrum**2).sum()
    held = variance.cumsum()
    return (
        value(float(np.exp(-(shares * np.log(shares)).sum())), 1),
        *(count(int(np.searchsorted(held, share * held[-1]) + 1)) for share in (0.9, 0.99)),
        value(float(variance[0])),
        dimensions,
    )
