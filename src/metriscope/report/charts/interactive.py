"""Charts on a page: what plotly.js is given, in plain JSON types."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from textwrap import wrap
from typing import Any

from metriscope.report.charts._axes import Axis, axes, tick_texts
from metriscope.report.charts._nouns import Chart, Plane, Rule
from metriscope.report.charts._traces import GREY, literal, places, traces
from metriscope.report.words import short
from metriscope.text import plain

CONFIG: dict[str, Any] = {
    "showSendToCloud": False,  # the button uploads the picture
    "plotlyServerURL": "",
    "displaylogo": False,
    "responsive": True,
    "showAxisDragHandles": False,  # a finger on the chart scrolls the page
    "showAxisRangeEntryBoxes": False,
    "modeBarButtons": [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
}
_INCH = 92  # pixels
_LINE = 44  # characters of a label in one line


def to_plotly(chart: Chart) -> list[dict[str, Any]]:
    """``{"data", "layout", "config"}`` of each plane, for ``Plotly.newPlot``.

    The layout has no colours but transparent backgrounds, and no width; marks that have no colour
    of their own have :data:`~metriscope.report.style.INK`, which the page replaces by its own ink.
    Points are where they are drawn, with 6 significant digits: on logarithmic and symlog axes that
    is not their value. ``customdata`` has the texts that the pointer shows. The legend is not in
    it: the page writes that once for all planes.
    """
    return [
        {
            "data": [trace for mark in plane.marks for trace in traces(mark, plane, x, y)],
            "layout": _layout(chart, plane, x, y),
            "config": CONFIG,
        }
        for plane, (x, y) in zip(chart.planes, axes(chart), strict=True)
    ]


def library() -> str:
    """The text of plotly.js, 4.8 MB."""
    spec = find_spec("plotly")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the report needs plotly: pip install plotly", name="plotly")
    folder = Path(spec.submodule_search_locations[0])
    return (folder / "package_data" / "plotly.min.js").read_text("utf-8")


def source(script: str) -> str:
    """A script as the ``script-src`` of a Content-Security-Policy names it: ``'sha256-…'``."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _wrapped(text: str) -> str:
    return "<br>".join(literal(line) for line in wrap(plain(text), _LINE))


def _layout(chart: Chart, plane: Plane, x: Axis, y: Axis) -> dict[str, Any]:
    rules = [mark for mark in plane.marks if isinstance(mark, Rule)]
    named = max(_named(other) for other in chart.planes)  # planes of a row are in line
    lines = max(_title(other).count("<br>") + 1 if other.title else 0 for other in chart.planes)
    title = _title(plane)
    top = 12 + 18 * lines + 14 * named
    bottom = 20 if plane.bare and not plane.x_label else 52
    inside = max(chart.height * _INCH - 64, 22 * len(plane.y_names))
    layout: dict[str, Any] = {
        "height": round(top + inside + bottom),
        "margin": {"l": 12 if plane.bare else 56, "r": 16, "t": top, "b": bottom},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"size": 12},
        "hovermode": "closest",
        "dragmode": False,
        "showlegend": False,
        "xaxis": _axis(plane, x, plane.x_label, ()),
        "yaxis": _axis(plane, y, plane.y_label, plane.y_names),
        "shapes": [_rule(rule, x, y) for rule in rules],
        "annotations": _names(rules, x, y),
    }
    if title:
        place = {"x": 0, "xref": "paper", "y": 1, "yref": "container", "yanchor": "top"}
        layout["title"] = {"text": title, "font": {"size": 13}, "pad": {"t": 4}, **place}
    if plane.bare:
        layout["yaxis"] |= {"scaleanchor": "x", "scaleratio": 1}
    return layout


def _title(plane: Plane) -> str:
    return _wrapped(short(plane.title, 2 * _LINE)) if plane.title else ""


def _named(plane: Plane) -> int:
    """How many names of rules stand over it."""
    return sum(
        isinstance(mark, Rule) and mark.x is not None and bool(mark.name) for mark in plane.marks
    )


def _axis(plane: Plane, axis: Axis, label: str, names: Sequence[str]) -> dict[str, Any]:
    texts = [short(name) for name in names] or tick_texts(axis)
    ticks: dict[str, Any] = {
        "tickmode": "array",
        "tickvals": places(axis, axis.ticks),
        "ticktext": [literal(text) for text in texts],
        "ticks": "outside",
        "ticklen": 4,
    }
    if plane.bare:
        ticks = {"showticklabels": False, "showgrid": False, "ticks": ""}
    return ticks | {
        "title": {"text": _wrapped(label), "standoff": 8},
        "type": "linear",
        "range": places(axis, axis.limits),
        "zeroline": False,
        "automargin": True,
    }


def _rule(rule: Rule, x: Axis, y: Axis) -> dict[str, Any]:
    """A dashed line across the plane."""
    across, at = ("x", x.place(rule.x)) if rule.x is not None else ("y", y.place(rule.y or 0.0))
    along = "y" if across == "x" else "x"
    return {
        "type": "line",
        f"{across}ref": across,
        f"{across}0": at,
        f"{across}1": at,
        f"{along}ref": "paper",
        f"{along}0": 0,
        f"{along}1": 1,
        "line": {"color": GREY, "width": 1.2, "dash": "5px,4px"},
        "layer": "between",  # the grid and the marks
    }


def _names(rules: Sequence[Rule], x: Axis, y: Axis) -> list[dict[str, Any]]:
    """What the lines are: over the plane, each a line of text higher, or at its right."""
    made: list[dict[str, Any]] = []
    for rule in rules:
        common = {"text": literal(short(rule.name)), "showarrow": False, "font": {"size": 10.5}}
        if not rule.name:
            continue
        if rule.x is not None:
            side = ("left", "center", "right")[x.third(rule.x)]
            above = 14 * sum(name["yref"] == "paper" for name in made)
            place = {"x": x.place(rule.x), "xref": "x", "y": 1, "yref": "paper", "yshift": above}
            made.append(common | place | {"xanchor": side, "yanchor": "bottom"})
        if rule.y is not None:
            place = {"x": 1, "xref": "paper", "y": y.place(rule.y), "yref": "y"}
            made.append(common | place | {"xanchor": "right", "yanchor": "bottom"})
    return made
