"""What a picture shows, without how it is drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from metriscope.report.style import INK, Look

Scale = Literal["linear", "log", "symlog"]
_PLAIN = Look(INK, "o")


@dataclass(frozen=True)
class Line:
    """Points joined by a line.

    Attributes:
        name: what it is called in the legend and under the pointer; text of unknown origin.
        x, y: (n,) finite numbers.
        look: colour, mark and dashes.
        low, high: (n,) of a band around it; empty for none.
        filled: fill the area between the line and 0.
        steps: horizontal steps: ``x`` has one more number than ``y``, the edges of bins.
        marks: whether the points are marked.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    look: Look = _PLAIN
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    filled: bool = False
    steps: bool = False
    marks: bool = False


@dataclass(frozen=True)
class Dots:
    """Points by themselves.

    Attributes:
        name, x, y, look: see :class:`Line`.
        x_low, x_high, y_low, y_high: (n,) ends of error bars; empty for none.
        colours: (n,) of each point, over that of ``look``; empty for one colour.
        texts: (n,) what each is, shown under the pointer with its numbers; empty for the name.
        size: of the marks, in points.
        alpha: opacity.
        labelled: write the texts beside the points.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    look: Look = _PLAIN
    x_low: tuple[float, ...] = ()
    x_high: tuple[float, ...] = ()
    y_low: tuple[float, ...] = ()
    y_high: tuple[float, ...] = ()
    colours: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    size: float = 7
    alpha: float = 1.0
    labelled: bool = False


@dataclass(frozen=True)
class Rule:
    """A dashed line across the plane, at ``x`` or at ``y``; ``name`` says what it is."""

    name: str
    x: float | None = None
    y: float | None = None


Mark = Line | Dots | Rule


@dataclass(frozen=True)
class Plane:
    """A pair of axes with what is drawn on them.

    Attributes:
        marks: drawn in this order.
        x_label, y_label: with units. title: over the plane.
        x_scale, y_scale: ``symlog`` is linear from -``linear_below`` to ``linear_below``.
        x_range, y_range: None fits them to the marks.
        y_names: names of y = 0, 1, ... from the top down; empty for a numeric axis.
        bare: without ticks and grid, both axes of one scale: a projection.
        whole: ticks of x at whole numbers only.
    """

    marks: tuple[Mark, ...]
    x_label: str = ""
    y_label: str = ""
    title: str = ""
    x_scale: Scale = "linear"
    y_scale: Scale = "linear"
    linear_below: float = 1.0
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    y_names: tuple[str, ...] = ()
    bare: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Chart:
    """Planes side by side, ``columns`` in a row.

    Attributes:
        planes: one or more.
        columns: how many in a row; fewer on a narrow screen.
        width, height: of a plane, in inches, on paper.
        legend: names and looks, once for all planes; empty for none.
        lines: whether the legend shows lines or marks.
        same_y: whether planes in a row have one y axis.
    """

    planes: tuple[Plane, ...]
    columns: int = 2
    width: float = 4.2
    height: float = 3.4
    legend: tuple[tuple[str, Look], ...] = field(default=())
    lines: bool = True
    same_y: bool = False
