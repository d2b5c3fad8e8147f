"""Marks as the traces of plotly.js, and texts and numbers as it takes them.

plotly reads a small HTML and ``%{}`` in the texts it is given, and ``$...$`` as mathematics: every
text goes through :func:`literal`, and is shown as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from metriscope.report.charts._axes import Axis, stairs
from metriscope.report.charts._nouns import Dots, Line, Mark, Plane
from metriscope.report.style import INK, Look
from metriscope.report.words import short
from metriscope.text import plain

GREY = "#808080"  # seen on light and on dark pages
_HOVER = 60  # characters of a name under the pointer
_WIDTH = 2  # pixels of a line
_POINT = 1.25  # pixels for a point of paper
_SYMBOLS = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "D": "diamond",
    "v": "triangle-down",
    "P": "cross",
    "X": "x",
    "p": "pentagon",
    "h": "hexagon",
    "<": "triangle-left",
    ">": "triangle-right",
    "d": "diamond-tall",
}
_SPECIAL = str.maketrans(
    {c: f"&#{ord(c)};" for c in "%$"} | {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
)


def traces(mark: Mark, plane: Plane, x: Axis, y: Axis) -> list[dict[str, Any]]:
    """What is drawn for a mark; nothing for a rule, which is part of the layout."""
    if isinstance(mark, Line):
        return _line(mark, plane, x, y)
    return [_dots(mark, plane, x, y)] if isinstance(mark, Dots) else []


def literal(text: str) -> str:
    """Text that plotly shows as it is."""
    return plain(text).translate(_SPECIAL)


def places(axis: Axis, values: Sequence[float]) -> list[float | None]:
    """Where values are drawn, with 6 significant digits; None where they are nowhere."""
    return _rounded(axis.place(v) for v in values)


def _rounded(values: Iterable[float | None]) -> list[float | None]:
    return [None if v is None else float(f"{v:.6g}") for v in values]


def _number(value: float) -> str:
    """A stored number as the pointer shows it: 6 significant digits."""
    return f"{value:.6g}".replace("-", "−") if math.isfinite(value) else "–"


def _line(line: Line, plane: Plane, x: Axis, y: Axis) -> list[dict[str, Any]]:
    drawn = stairs(line)
    across, along = places(x, drawn.x), places(y, drawn.y)
    shown = [_number(v) for v in drawn.x]
    if line.steps:
        shown = [f"{_number(a)} to {_number(b)}" for a, b in pairwise(line.x) for _ in (0, 1)]
    values = _values(drawn.y, drawn.low, drawn.high)
    columns = [(plane.x_label or "x", shown), (plane.y_label or "y", values)]
    found = []
    if line.low:
        found.append(_area(across, drawn.low, drawn.high, y, _pale(line.look.colour, 0.16)))
    if line.filled:
        zero = (0.0,) * len(along)
        found.append(_area(across, zero, drawn.y, y, _pale(line.look.colour, 0.25)))
    found.append(
        {
            "type": "scatter",
            "showlegend": False,
            "name": literal(short(line.name)),
            "x": across,
            "y": along,
            "mode": "lines+markers" if line.marks else "lines",
            **_look(line.look),
            **_hover(literal(short(line.name, _HOVER)), columns),
        }
    )
    return found


def _area(
    across: Sequence[float | None],
    low: Sequence[float],
    high: Sequence[float],
    y: Axis,
    colour: str,
) -> dict[str, Any]:
    """What lies between two lines; down to the end of the axis where a value has no place on it."""
    floor = y.place(min(y.limits))
    around = [*places(y, high), *reversed(places(y, low))]
    return {
        "type": "scatter",
        "showlegend": False,
        "x": [*across, *reversed(across)],
        "y": [floor if v is None else v for v in around],
        "mode": "lines",
        "line": {"width": 0},
        "fill": "toself",
        "fillcolor": colour,
        "hoverinfo": "skip",
    }


def _dots(dots: Dots, plane: Plane, x: Axis, y: Axis) -> dict[str, Any]:
    across, along = places(x, dots.x), places(y, dots.y)
    texts = list(dots.texts) or [dots.name] * len(dots.x)
    columns = []
    if dots.texts:
        columns.append(("", [literal(short(text, _HOVER)) for text in texts]))
    rows = [_row(plane.y_names, at) for at in dots.y]
    if plane.y_names and rows != texts:
        columns.append(("", [literal(short(row, _HOVER)) for row in rows]))
    if not plane.bare:
        columns.append((plane.x_label or "x", _values(dots.x, dots.x_low, dots.x_high)))
    if not plane.bare and not plane.y_names:
        columns.append((plane.y_label or "y", _values(dots.y, dots.y_low, dots.y_high)))
    look = _look(dots.look)["marker"]
    if dots.colours:
        look["color"] = list(dots.colours)
    trace: dict[str, Any] = {
        "type": "scatter",
        "showlegend": False,
        "name": literal(short(dots.name)),
        "x": across,
        "y": along,
        "mode": "markers+text" if dots.labelled else "markers",
        "marker": look | {"size": dots.size * _POINT, "opacity": dots.alpha},
        **_hover("" if dots.texts else literal(short(dots.name, _HOVER)), columns),
    }
    if dots.labelled:
        sides = ["top left" if x.third(v) == 2 else "top right" for v in dots.x]
        trace |= {"text": [literal(short(text)) for text in texts], "textposition": sides}
        trace["cliponaxis"] = False
    for name, axis, at, low, high in (
        ("error_x", x, across, dots.x_low, dots.x_high),
        ("error_y", y, along, dots.y_low, dots.y_high),
    ):
        if low:
            trace[name] = {
                "type": "data",
                "symmetric": False,
                "array": _lengths(at, places(axis, high)),
                "arrayminus": _lengths(places(axis, low), at),
                "color": dots.look.colour,
                "thickness": 1.6,
                "width": 3,
            }
    return trace


def _pale(colour: str, alpha: float) -> str:
    """The colour of an area; grey for ink, as areas keep their colour when the page changes its."""
    if colour == INK:
        colour = GREY
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def _look(look: Look) -> dict[str, Any]:
    dash = ",".join(f"{_WIDTH * d:g}px" for d in look.dashes) or "solid"
    return {
        "line": {"color": look.colour, "width": _WIDTH, "dash": dash},
        "marker": {"color": look.colour, "symbol": _SYMBOLS[look.marker], "size": 7},
    }


def _hover(name: str, columns: Sequence[tuple[str, Sequence[str]]]) -> dict[str, Any]:
    """What the pointer shows: the name, then a line a column; labels and texts, ready to show."""
    lines = [name] if name else []
    for i, (label, _) in enumerate(columns):
        lines.append((f"{literal(label)}: " if label else "") + f"%{{customdata[{i}]}}")
    template = {"hovertemplate": "<br>".join(lines) + "<extra></extra>"}
    if not columns:
        return template
    return template | {
        "customdata": [list(row) for row in zip(*(c for _, c in columns), strict=True)]
    }


def _values(
    values: Sequence[float], low: Sequence[float] = (), high: Sequence[float] = ()
) -> list[str]:
    """Stored numbers as they are shown, with the ends of their bars where they have some."""
    shown = [_number(v) for v in values]
    if not low:
        return shown
    ends = [
        f" ({_number(a)} to {_number(b)})" if math.isfinite(a) and math.isfinite(b) else ""
        for a, b in zip(low, high, strict=True)
    ]
    return [v + end for v, end in zip(shown, ends, strict=True)]


def _row(names: Sequence[str], y: float) -> str:
    at = round(y)
    return names[at] if 0 <= at < len(names) else ""


def _lengths(low: Sequence[float | None], high: Sequence[float | None]) -> list[float | None]:
    pairs = zip(low, high, strict=True)
    return _rounded(None if a is None or b is None else b - a for a, b in pairs)
