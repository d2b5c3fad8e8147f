"""Charts on paper: matplotlib figures, and the files made of them."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal

from metriscope.report.charts._axes import Axis, axes, stairs, tick_texts
from metriscope.report.charts._nouns import Chart, Dots, Line, Plane, Rule
from metriscope.report.style import INK, Look
from metriscope.report.words import short
from metriscope.text import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Format = Literal["pdf", "svg", "png"]

COLUMN, PAGE = 3.3, 6.9  # inches: one column of a two-column paper, and both
_NARROW = 4.5  # a chart up to this width goes into a column
_SMALL = 6.5  # points: names of rules and of points
_SHRUNK = 0.8  # points are smaller on paper than on a page
_LETTER = 0.062  # inches
_CAP = 12  # square points: the ends of error bars
_NOTHING = {  # what would make two files of the same figure differ, or name this program
    "pdf": dict.fromkeys(("CreationDate", "Creator", "Producer")),
    "svg": dict.fromkeys(("Date", "Creator", "Format", "Type")),
    "png": {"Software": None},
}


def to_figure(chart: Chart) -> Figure:
    """The chart as a matplotlib figure, as wide as a column or a page of a paper."""
    from matplotlib.figure import Figure

    columns = min(chart.columns, len(chart.planes))
    rows = math.ceil(len(chart.planes) / columns)
    width = COLUMN if columns * chart.width <= _NARROW else PAGE
    names = max((len(plane.y_names) for plane in chart.planes), default=0)
    height = max(chart.height * min(width / (columns * chart.width), 1), 0.14 * names + 0.6)
    legend = _legend_rows(chart, width)
    with drawing():
        size = (width, rows * height + 0.16 * len(legend))
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax in grid[len(chart.planes) :]:
            ax.remove()
        first = chart.planes[0]
        for i, (plane, (x, y)) in enumerate(zip(chart.planes, axes(chart), strict=True)):
            inner = chart.same_y and i % columns > 0 and plane.y_names == first.y_names
            _draw(grid[i], plane, x, y, inner=inner, size=(width / columns, height))
        if legend:
            _legend(figure, chart, len(legend[0]))
    return figure


def to_file(chart: Chart, kind: Format) -> bytes:
    """The chart as a file; the same bytes for the same chart. Text stays text."""
    out = io.BytesIO()
    figure = to_figure(chart)
    with drawing():
        figure.savefig(
            out, format=kind, dpi=200, transparent=kind == "svg", metadata=_NOTHING[kind]
        )
    return out.getvalue()


@contextmanager
def drawing() -> Iterator[None]:
    """Settings for every figure: no mathematics in names, text that stays text, no randomness."""
    import matplotlib as mpl

    settings: dict[str, Any] = {
        "text.parse_math": False,
        "svg.fonttype": "none",
        "svg.hashsalt": "metriscope",
        "pdf.fonttype": 42,
        "font.family": "DejaVu Sans",
        "font.size": 7.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.6,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.alpha": 0.15,
        "axes.titlesize": 8,
        "axes.titlelocation": "left",
        "axes.unicode_minus": True,
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
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        yield


def _draw(
    ax: Axes, plane: Plane, x: Axis, y: Axis, *, inner: bool, size: tuple[float, float]
) -> None:
    """One plane of ``size`` inches. ``inner``: the plane at its left has its y axis."""
    from matplotlib.ticker import NullLocator

    names = [short(name) for name in plane.y_names]
    beside = 0.0 if inner or plane.bare else 0.45 + _LETTER * max(map(len, names), default=0)
    wide = max(int((size[0] - beside) / _LETTER), 16)  # characters over and under the axes
    for axis, drawn in ((x, ax.xaxis), (y, ax.yaxis)):
        symlog = {"linthresh": axis.below} if axis.scale == "symlog" else {}
        (ax.set_xscale if axis is x else ax.set_yscale)(axis.scale, **symlog)
        drawn.set_minor_locator(NullLocator())
    ax.set(xlim=x.limits, ylim=y.limits, autoscale_on=False)
    above = 0
    for mark in plane.marks:
        if isinstance(mark, Line):
            _line(ax, stairs(mark))
        elif isinstance(mark, Dots):
            _dots(ax, mark, x)
        else:
            above += _rule(ax, mark, x, above)
    ax.set_xticks(x.ticks, tick_texts(x))
    ax.set_yticks(y.ticks, names or tick_texts(y))
    ax.set_xlabel(fill(plain(plane.x_label), wide))
    ax.set_ylabel("" if inner else fill(plain(plane.y_label), max(int(size[1] / _LETTER), 16)))
    ax.set_title(fill(short(plane.title, 2 * wide), wide) if plane.title else "", pad=4 + 7 * above)
    if inner:
        ax.tick_params(labelleft=False)
    if plane.bare:
        ax.set(xticks=(), yticks=())
        ax.spines[:].set_visible(False)
        ax.set_aspect("equal", adjustable="box")


def _line(ax: Axes, line: Line) -> None:
    colour = line.look.colour
    if line.low:
        ax.fill_between(line.x, line.low, line.high, color=colour, alpha=0.15, linewidth=0)
    if line.filled:
        ax.fill_between(line.x, line.y, color=colour, alpha=0.25, linewidth=0)
    ax.plot(
        line.x,
        line.y,
        color=colour,
        linestyle=line.look.line,
        linewidth=1.3,
        marker=line.look.marker if line.marks else "none",
        markersize=4,
    )


def _dots(ax: Axes, dots: Dots, across: Axis) -> None:
    style: dict[str, Any] = {"color": dots.look.colour, "alpha": dots.alpha}
    if dots.x_low:
        ax.hlines(dots.y, dots.x_low, dots.x_high, linewidth=1.2, **style)
        for end in (dots.x_low, dots.x_high):
            ax.scatter(end, dots.y, s=_CAP, marker="|", linewidths=1.2, **style)
    if dots.y_low:
        ax.vlines(dots.x, dots.y_low, dots.y_high, linewidth=1.2, **style)
        for end in (dots.y_low, dots.y_high):
            ax.scatter(dots.x, end, s=_CAP, marker="_", linewidths=1.2, **style)
    ax.scatter(
        dots.x,
        dots.y,
        s=(_SHRUNK * dots.size) ** 2,
        c=list(dots.colours) or dots.look.colour,
        marker=dots.look.marker,
        alpha=dots.alpha,
        linewidths=0,
        zorder=3,
    )
    if dots.labelled:
        for x, y, text in zip(dots.x, dots.y, dots.texts or [dots.name] * len(dots.x), strict=True):
            side, shift = ("right", -4) if across.third(x) == 2 else ("left", 4)
            place: dict[str, Any] = {"xytext": (shift, 3), "textcoords": "offset points"}
            ax.annotate(short(text), (x, y), ha=side, fontsize=_SMALL, **place)


def _rule(ax: Axes, rule: Rule, x: Axis, above: int) -> int:
    """A dashed line; its name over the plane, ``above`` names already there, or at its right.

    Returns:
        How many lines of text are over the plane because of it.
    """
    style: dict[str, Any] = {"color": INK, "linewidth": 0.8, "alpha": 0.6, "dashes": (4, 3)}
    text: dict[str, Any] = {"textcoords": "offset points", "va": "bottom", "fontsize": _SMALL}
    if rule.y is not None:
        ax.axhline(rule.y, **style)
        if rule.name:
            at = ax.get_yaxis_transform()
            ax.annotate(short(rule.name), (1, rule.y), (0, 1), xycoords=at, ha="right", **text)
    if rule.x is None:
        return 0
    ax.axvline(rule.x, **style)
    if not rule.name:
        return 0
    at = ax.get_xaxis_transform()
    side = ("left", "center", "right")[x.third(rule.x)]
    ax.annotate(short(rule.name), (rule.x, 1), (0, 1 + 7 * above), xycoords=at, ha=side, **text)
    return 1


def _legend_rows(chart: Chart, width: float) -> list[list[tuple[str, Look]]]:
    """The legend in as few rows as fit under a figure of ``width`` inches."""
    longest = max((len(short(name)) for name, _ in chart.legend), default=0)
    each = max(int(width / (0.6 + _LETTER * longest)), 1)
    items = list(chart.legend)
    return [items[i : i + each] for i in range(0, len(items), each)]


def _legend(figure: Figure, chart: Chart, columns: int) -> None:
    """One legend under the whole figure; names are text, whatever they begin with."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            color=look.colour,
            linestyle=look.line if chart.lines else "none",
            marker="none" if chart.lines else look.marker,
            linewidth=1.3,
            markersize=5,
        )
        for _, look in chart.legend
    ]
    numbers = [str(i) for i in range(len(handles))]
    box = figure.legend(
        handles, numbers, loc="outside lower center", ncols=columns, handlelength=3.2
    )
    for text, (name, _) in zip(box.get_texts(), chart.legend, strict=True):
        text.set_text(short(name))
