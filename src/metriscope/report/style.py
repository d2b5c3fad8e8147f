"""Colours, marks and figures: a loss looks the same everywhere, on light and on dark pages."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from metriscope.report.words import short
from metriscope.text import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#010203"  # drawn as this, written into a page as currentColor: readable on light and dark


@dataclass(frozen=True)
class Look:
    """How a loss is drawn. Colour is never alone: the mark and the dashes differ too."""

    colour: str
    marker: str
    dashes: tuple[float, ...] = ()

    @property
    def line(self) -> Any:
        """Line style for matplotlib."""
        return (0, self.dashes) if self.dashes else "-"


# Contrast of 3:1 or more on white and on #14181f; neighbours in hue differ in dashes and mark.
_FIXED = {
    "contrastive": Look("#3b6fd4", "o"),
    "triplet": Look("#d55e00", "s"),
    "npair": Look("#c2649a", "^", (5, 1.5)),
    "infonce": Look("#009e73", "D", (3, 1.2)),
    "arcface": Look("#a87900", "v", (7, 1.5, 1.5, 1.5)),
    "scl": Look("#1f9bcf", "P", (1.2, 1.2)),
    "ccl": Look("#808080", "X", (4, 1, 1, 1, 1, 1)),
}
_OTHER = (
    Look("#8a63d2", "p", (6, 2)),
    Look("#c9524f", "h", (2, 2)),
    Look("#6b8e23", "<", (8, 2)),
    Look("#0f93a8", ">", (3, 3)),
    Look("#a0724b", "d", (5, 3)),
)


def look(loss: str) -> Look:
    """The look of a loss: fixed for the paper's seven, decided by the name for any other."""
    digest = hashlib.sha256(loss.encode("utf-8", "surrogatepass")).digest()
    return _FIXED.get(loss) or _OTHER[digest[0] % len(_OTHER)]


@contextmanager
def drawing() -> Iterator[None]:
    """Settings for every figure: no mathematics in names, text that stays text, no randomness."""
    import matplotlib as mpl

    settings: dict[str, Any] = {
        "text.parse_math": False,
        "svg.fonttype": "none",
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.alpha": 0.15,
        "axes.titlesize": 10.5,
        "axes.titlelocation": "left",
        "axes.formatter.use_mathtext": False,
        "legend.frameon": False,
        **dict.fromkeys(
            (
                "text.color",
                "axes.edgecolor",
                "axes.labelcolor",
                "axes.titlecolor",
                "xtick.color",
                "ytick.color",
                "grid.color",
            ),
            INK,
        ),
    }
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        for name, value in settings.items():
            mpl.rcParams[name] = value  # type: ignore[index]
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def figure(width: float, height: float, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    """A figure of ``width`` × ``height`` inches with axes side by side, on no canvas."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    drawn = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(wspace=0.06))
    return drawn, drawn.subplots(1, columns, squeeze=False, **options)[0]


def legend(drawn: Figure, losses: Sequence[str], *, lines: bool = True) -> None:
    """One legend under the whole figure; names are text, whatever they begin with."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            color=look(n).colour,
            linestyle=look(n).line if lines else "none",
            marker="none" if lines else look(n).marker,
            linewidth=1.8,
        )
        for n in losses
    ]
    box = drawn.legend(
        handles,
        [str(i) for i in range(len(losses))],
        loc="outside lower center",
        ncols=min(len(losses), 4),
        handlelength=3.2,
    )
    for text, name in zip(box.get_texts(), losses, strict=True):
        text.set_text(short(name))


def dots(ax: Axes, names: Sequence[str], means: Sequence[float], sds: Sequence[float]) -> None:
    """A dot for each name, from the top down, with its SD as a bar."""
    for i, (name, mean, sd) in enumerate(zip(names, means, sds, strict=True)):
        ax.errorbar(
            mean,
            i,
            xerr=sd or None,
            color=look(name).colour,
            marker=look(name).marker,
            markersize=7,
            capsize=3,
            elinewidth=1.6,
        )
    ax.set_yticks(range(len(names)), [short(name) for name in names])
    ax.set_ylim(len(names) - 0.5, -0.5)


def to_svg(drawn: Figure, name: str, label: str) -> str:
    """The figure as an ``<svg>`` element for a page.

    Args:
        drawn: the figure.
        name: unique on the page; prefixes every id. Letters, digits and hyphens.
        label: what a screen reader says in its place.

    Returns:
        The same text for the same figure: fixed ids, no date, ink as ``currentColor``.
    """
    import matplotlib as mpl
    from markupsafe import escape

    out = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with drawing(), mpl.rc_context({"svg.hashsalt": name}):
        drawn.savefig(out, format="svg", transparent=True, metadata=nothing)
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r'\b(id="|href="#|url\(#)', rf"\1{name}-", svg)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    width = f"max-width:{6.4 * drawn.get_figwidth():.1f}rem"
    return svg.replace(
        "<svg", f'<svg role="img" aria-label="{escape(plain(label))}" style="{width}"', 1
    )
