"""The embeddings of each loss, projected."""

from __future__ import annotations

from collections import Counter

import numpy as np

from metriscope.report.charts import Chart, Dots, Plane
from metriscope.report.columns import Column
from metriscope.report.evidence import Evidence
from metriscope.report.panels import register
from metriscope.report.panels._views import count, value, which
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Row, Table
from metriscope.report.words import short
from metriscope.types import View

# More than half of the neighbours in the picture are then none in the space. Measured on 1,000
# rows: 0.85 of a surface, 0.66 of the digits' pixels, 0.23 of noise in 128 dimensions.
DISTORTED = 0.5

# Farthest from each other in OKLab of what has a contrast of 3:1 on white and on #14181f.
_COLOURS = (
    "#bc55c4 #1fa836 #f3680f #01729f #8d5e00 #6354f5 #a38b91 #c4284a #4c94ec #107823 "
    "#825979 #f83b8c #04a19b #969037 #a37aff #c1008c #8572bb #677a6d #b86652 #9731cf"
)
COLOURS = tuple(_COLOURS.split())
OTHERS = "#808080"


@register("tsne")
class Tsne(Panel):
    """t-SNE of the same test rows for each loss, side by side."""

    title = "The spaces: t-SNE of the test embeddings"
    order = 70

    def caption(self, evidence: Evidence) -> str:
        """How to read the pictures, and which to distrust."""
        views = {loss: view for loss, (_, view) in evidence.shown.items()}
        classes = max((len(set(view.labels)) for view in views.values()), default=0)
        said = (
            f"{which(evidence)} The same rows in every picture, classes in the same colours"
            + (f": the {len(COLOURS)} largest, all others grey" if classes > len(COLOURS) else "")
            + "; turned, mirrored and scaled to lie like the first. Distances between groups and "
            "their sizes mean little in t-SNE: the numbers tell how far to trust a picture."
        )
        bad = [short(loss) for loss, view in views.items() if distorted(view)]
        if bad:
            said += (
                f" Distorted: {', '.join(bad)}. There, fewer than half of the {_K} nearest rows of "
                "a row are still the nearest: trust the numbers, not the picture."
            )
        return said

    def frame(self, evidence: Evidence) -> Table:
        """How much of each space its picture preserves."""
        rows = [
            Row(
                loss,
                (
                    value(view.preserved),
                    value(view.trustworthiness),
                    count(len(view.labels)),
                    count(run.spec.seed),
                ),
                "distorted" if distorted(view) else "one point" if _collapsed(view) else "",
            )
            for loss, (run, view) in evidence.shown.items()
        ]
        heads = (
            Column(
                "Neighbours kept",
                meaning=f"share of the {_K} nearest rows of a row, among those drawn, that are "
                f"among its {_K} nearest in the picture; below {DISTORTED} it is called distorted",
                better="higher",
            ),
            Column(
                "Trustworthiness",
                meaning="how little rows that are far apart were drawn beside each other, from 0 "
                "to 1 (Venna and Kaski, 2001)",
                better="higher",
            ),
            Column("Rows drawn"),
            Column("Seed"),
        )
        return Table(self.title, which(evidence), heads, tuple(rows))

    def plot(self, evidence: Evidence) -> Chart | None:
        """A plane a loss."""
        views = {loss: view for loss, (_, view) in evidence.shown.items()}
        if not views:
            return None
        colours = _colours(next(iter(views.values())))
        first = next((view for view in views.values() if not _collapsed(view)), None)
        planes = tuple(
            Plane((_dots(loss, view, first, colours),), title=_title(loss, view), bare=True)
            for loss, view in views.items()
        )
        return Chart(planes, columns=min(4, len(planes)), width=2.5, height=2.5)


_K = 10


def distorted(view: View) -> bool:
    """Whether a picture misleads about who is near whom."""
    return view.preserved is not None and view.preserved < DISTORTED


def aligned(points: np.ndarray, to: np.ndarray) -> np.ndarray:
    """(n, 2) turned, mirrored, moved and scaled to lie like ``to``: no distance ratio changes.

    Orthogonal Procrustes (Schönemann, 1966); both have a root mean square of 1 from their middle.
    """
    from scipy.linalg import orthogonal_procrustes

    points, to = _standard(points), _standard(to)
    turn, _ = orthogonal_procrustes(points, to)
    return np.asarray(points @ turn)


def _standard(points: np.ndarray) -> np.ndarray:
    points = points - points.mean(0)
    size = float(np.sqrt((points**2).sum(1).mean()))
    return points / size if size else points


def _dots(loss: str, view: View, first: View | None, colours: dict[str, str]) -> Dots:
    points = _standard(view.points)
    if first is not None and first.ids == view.ids:
        points = aligned(view.points, first.points)
    shown = {label: short(label, 24) for label in set(view.labels)}
    rows = sorted(range(len(points)), key=lambda i: view.labels[i] in colours)  # grey ones below
    return Dots(
        loss,
        tuple(points[rows, 0].round(3).tolist()),
        tuple(points[rows, 1].round(3).tolist()),
        colours=tuple(colours.get(view.labels[i], OTHERS) for i in rows),
        texts=tuple(f"{shown[view.labels[i]]} · {short(view.ids[i], 24)}" for i in rows),
        size=3.5,
        alpha=0.75,
    )


def _colours(view: View) -> dict[str, str]:
    """Of the classes with most rows among those drawn; of several alike, of those met first."""
    largest = [label for label, _ in Counter(view.labels).most_common(len(COLOURS))]
    return dict(zip(largest, COLOURS, strict=False))


def _collapsed(view: View) -> bool:
    return bool(view.settings.get("collapsed"))


def _title(loss: str, view: View) -> str:
    if _collapsed(view):
        return f"{short(loss)}: one point"
    return f"{short(loss)}: distorted" if distorted(view) else short(loss)
