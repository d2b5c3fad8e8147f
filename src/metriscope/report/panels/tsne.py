"""The embeddings of each loss, projected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import product

import numpy as np

from metriscope.report.charts import Chart, Dots, Plane
from metriscope.report.columns import Column
from metriscope.report.evidence import Evidence
from metriscope.report.panels import register
from metriscope.report.panels._views import count, value, which
from metriscope.report.panels.base import Panel
from metriscope.report.style import Look
from metriscope.report.tables import Row, Table
from metriscope.report.words import short
from metriscope.types import View

# More than half of the neighbours in the picture are then none in the space. Measured on 1,000
# rows: 0.85 of a surface, 0.66 of the digits' pixels, 0.23 of noise in 128 dimensions.
DISTORTED = 0.5

# Farthest from each other and from the grey in CIELAB, of what has a contrast of 3:1 on white and
# on #14181f: 22 or more without red or green, 44 for others.
_COLOURS = ["#3c4bff", "#d27800", "#00a55a", "#c300c3", "#0096ff", "#d21e2d", "#c378c3"]
_MARKERS = "o", "^", "X"
MOST = 20  # classes with a look of their own
LOOKS = tuple(Look(c, m) for m, c in product(_MARKERS, _COLOURS))[:MOST]
OTHERS = Look("#808080", "o")


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
            f"{which(evidence)} The same rows in every picture, classes in the same colours and "
            "marks"
            + (f": the {MOST} largest, all others grey" if classes > MOST else "")
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
        looks = _looks(views.values())
        first = next((view for view in views.values() if not _collapsed(view)), None)
        planes = tuple(
            Plane(tuple(_dots(loss, view, first, looks)), title=_title(loss, view), bare=True)
            for loss, view in views.items()
        )
        several = len({label for view in views.values() for label in view.labels}) > len(looks)
        legend = () if several else tuple((short(name), look) for name, look in looks.items())
        columns = min(4, len(planes))
        return Chart(planes, columns, width=2.5, height=2.5, legend=legend, lines=False)


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


def _dots(loss: str, view: View, first: View | None, looks: Mapping[str, Look]) -> Iterator[Dots]:
    """Of each mark; the grey ones first, and so below the others."""
    points = _standard(view.points)
    if first is not None and first.ids == view.ids:
        points = aligned(view.points, first.points)
    shown = {label: short(label, 24) for label in set(view.labels)}
    own = [looks.get(label, OTHERS) for label in view.labels]
    for grey, marker in ((True, OTHERS.marker), *((False, marker) for marker in _MARKERS)):
        rows = [i for i, x in enumerate(own) if (x is OTHERS, x.marker) == (grey, marker)]
        if rows:
            yield Dots(
                loss,
                tuple(points[rows, 0].round(3).tolist()),
                tuple(points[rows, 1].round(3).tolist()),
                Look(OTHERS.colour, marker),
                colours=tuple(own[i].colour for i in rows),
                texts=tuple(f"{shown[view.labels[i]]} · {short(view.ids[i], 24)}" for i in rows),
                size=4,
                alpha=0.75,
            )


def _looks(views: Iterable[View]) -> dict[str, Look]:
    """Of the classes with most rows drawn, by name; of several alike, those met first."""
    rows = Counter(label for view in views for label in view.labels)
    largest = sorted(label for label, _ in rows.most_common(MOST))
    return dict(zip(largest, LOOKS, strict=False))


def _collapsed(view: View) -> bool:
    return bool(view.settings.get("collapsed"))


def _title(loss: str, view: View) -> str:
    if _collapsed(view):
        return f"{short(loss)}: one point"
    return f"{short(loss)}: distorted" if distorted(view) else short(loss)
