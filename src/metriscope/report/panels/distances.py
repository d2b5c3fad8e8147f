"""How far members of one class are from each other, and from the others."""

from __future__ import annotations

from collections.abc import Mapping

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
_NARROW = 0.2  # of the widest: below, a loss has an axis of its own


@register("distances")
class Distances(Panel):
    """Histograms of the cosine distance within and between classes."""

    title = "Distances within and between classes"
    order = 72

    def caption(self, evidence: Evidence) -> str:
        """How to read the histograms."""
        views = {loss: view for loss, (_, view) in evidence.shown.items()}
        said = (
            f"{which(evidence)} Cosine distances (of 2 at most), in bins of equal width up to the "
            "largest of each loss: filled, in the colour of the loss, of pairs of one class; the "
            "outline, of pairs of two. Where the two lie over each other, no threshold on the "
            "distance can tell same from other: that is the overlap."
        )
        narrow = [short(loss) for loss, end in _ends(views).items() if end < _end(views)]
        return said + (
            f" Far narrower than the widest, and so each on an axis of its own: {', '.join(narrow)}"
            "."
            if narrow
            else ""
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
        """A plane a loss, over the same distances where they are of one size."""
        views = {loss: view for loss, (_, view) in evidence.shown.items()}
        if not views:
            return None
        ends = _ends(views)
        planes = tuple(
            Plane(
                tuple(_lines(loss, view)),
                x_label="Cosine distance",
                y_label="Share of pairs",
                title=short(loss),
                x_range=(0, ends[loss]),
            )
            for loss, view in views.items()
        )
        return Chart(planes, columns=min(4, len(planes)), width=2.6, height=2.1)


def _lines(loss: str, view: View) -> list[Line]:
    edges, within, between = (tuple(x.tolist()) for x in (view.edges, view.within, view.between))
    lines = []
    if any(within):
        lines.append(Line(_WITHIN, edges, within, style.look(loss), filled=True, steps=True))
    if any(between):
        lines.append(Line(_BETWEEN, edges, between, style.Look(style.INK, "o"), steps=True))
    return lines


def _ends(views: Mapping[str, View]) -> dict[str, float]:
    """Where the axis of each loss ends: with that of the widest, or its own if far narrower."""
    widest = _end(views)
    own = {loss: float(view.edges[-1]) for loss, view in views.items()}
    return {loss: end if end < _NARROW * widest else widest for loss, end in own.items()}


def _end(views: Mapping[str, View]) -> float:
    """The largest distance of all that are not one point, whose axis would say nothing."""
    ends = [float(v.edges[-1]) for v in views.values() if not v.settings.get("collapsed")]
    return max(ends, default=2.0)
