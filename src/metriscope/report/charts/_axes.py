"""Where things are on a plane: limits, ticks and scales, the same on paper and on a page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from metriscope.report.charts._nouns import Chart, Dots, Line, Plane, Rule, Scale

_PAD = 0.05  # of the span, on either side
_MOST = 7  # ticks on an axis; fewer on a short one
_HUGE = 1e200  # an axis goes no further


@dataclass(frozen=True)
class Axis:
    """One axis of a plane.

    Attributes:
        scale, below: that of the plane; ``log`` only where something is above 0.
        limits: first and last value that is seen; the larger first on an axis of names.
        ticks: values that are written at the axis.
    """

    scale: Scale
    below: float
    limits: tuple[float, float]
    ticks: tuple[float, ...]

    def place(self, value: float) -> float | None:
        """Where a value is, in units in which the axis is even; None if it is nowhere."""
        return _place(value, self.scale, self.below)

    def third(self, value: float) -> int:
        """Whether a value is in the first (0), the middle (1) or the last third (2) of the axis."""
        start, end, at = (self.place(v) or 0.0 for v in (*self.limits, value))
        return min(max(int(3 * (at - start) / (end - start)), 0), 2) if start != end else 1


def axes(chart: Chart) -> list[tuple[Axis, Axis]]:
    """x and y of every plane; with ``same_y``, the y axes of all numeric planes agree."""
    most = [min(max(int(1.9 * side), 3), _MOST) for side in (chart.width, chart.height)]
    found = [_both(plane, *most) for plane in chart.planes]
    if not chart.same_y or any(plane.y_names for plane in chart.planes):
        return found
    ends = [end for _, y in found for end in y.limits]
    low, high = min(ends), max(ends)
    shared = [
        replace(y, limits=(low, high), ticks=_ticks(low, high, y.scale, y.below, most[1]))
        for _, y in found
    ]
    return [(x, y) for (x, _), y in zip(found, shared, strict=True)]


def stairs(line: Line) -> Line:
    """A line of steps as one whose points are the corners of the steps."""
    if not line.steps:
        return line
    twice = [tuple(v for v in side for _ in (0, 1)) for side in (line.y, line.low, line.high)]
    edges = tuple(v for edge in line.x for v in (edge, edge))[1:-1]
    return replace(line, x=edges, y=twice[0], low=twice[1], high=twice[2], steps=False)


def tick_texts(axis: Axis) -> list[str]:
    """The ticks as they are written; on an even axis with as many decimals each."""
    texts = [f"{value:g}" for value in axis.ticks]
    if axis.scale == "linear" and not any("e" in text for text in texts):
        decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
        texts = [f"{value:.{decimals}f}" for value in axis.ticks]
    return [text.replace("-", "−") for text in texts]


def _both(plane: Plane, x_most: int, y_most: int) -> tuple[Axis, Axis]:
    """x and y; where one scale is theirs, both are as long as the longer."""
    x, y = _axis(plane, "x", x_most), _axis(plane, "y", y_most)
    if not plane.bare:
        return x, y
    half = max(abs(end - start) for start, end in (x.limits, y.limits)) / 2
    middles = [(start + end) / 2 for start, end in (x.limits, y.limits)]
    square = [(middle - half, middle + half) for middle in middles]
    return replace(x, limits=square[0]), replace(y, limits=square[1])


def _place(value: float, scale: Scale, below: float) -> float | None:
    if not math.isfinite(value):
        return None
    if scale == "log":
        return math.log10(value) if value > 0 else None
    if scale == "symlog":  # as matplotlib's, in units of ``below``
        size = abs(value) / below
        return math.copysign(size / 0.9 if size <= 1 else 1 / 0.9 + math.log10(size), value)
    return value


def _axis(plane: Plane, which: Literal["x", "y"], most: int) -> Axis:
    below = plane.linear_below if plane.linear_below > 0 else 1.0
    if which == "y" and plane.y_names:
        n = len(plane.y_names)
        return Axis("linear", below, plane.y_range or (n - 0.5, -0.5), tuple(range(n)))
    scale, given = (
        (plane.x_scale, plane.x_range) if which == "x" else (plane.y_scale, plane.y_range)
    )
    values = [max(min(v, _HUGE), -_HUGE) for v in _values(plane, which) if math.isfinite(v)]
    if scale == "log" and not any(v > 0 for v in (*values, *(given or ()))):
        scale = "linear"
    low, high = given or _limits(values, scale, below)
    if given is None and which == "y" and min(values, default=0) >= 0 > low:
        low = 0.0 if any(isinstance(m, Line) and m.filled for m in plane.marks) else low
    ticks = _ticks(low, high, scale, below, most, whole=plane.whole and which == "x")
    return Axis(scale, below, (low, high), ticks)


def _values(plane: Plane, which: Literal["x", "y"]) -> Iterator[float]:
    for mark in plane.marks:
        if isinstance(mark, Rule):
            at = mark.x if which == "x" else mark.y
            yield from () if at is None else (at,)
        elif isinstance(mark, Dots):
            yield from (mark.x if which == "x" else mark.y)
            ends = (mark.x_low, mark.x_high) if which == "x" else (mark.y_low, mark.y_high)
            yield from (*ends[0], *ends[1])
        elif which == "x":
            yield from mark.x
        else:
            yield from (*mark.y, *mark.low, *mark.high, *((0.0,) if mark.filled else ()))


def _limits(values: Sequence[float], scale: Scale, below: float) -> tuple[float, float]:
    """The reach of the values and a little more."""
    if scale == "log":
        values = [v for v in values if v > 0]
    if not values:
        return (0.1, 1.0) if scale == "log" else (0.0, 1.0)
    low, high = min(values), max(values)
    if low == high:
        if scale == "log":
            return low / 2, high * 2
        half = abs(low) / 10 or 0.5
        return low - half, high + half
    start, end = (_place(v, scale, below) or 0.0 for v in (low, high))
    pad = _PAD * (end - start)
    return _value(start - pad, scale, below), _value(end + pad, scale, below)


def _value(place: float, scale: Scale, below: float) -> float:
    """The inverse of :func:`_place`."""
    if scale == "log":
        return float(10 ** max(place, -300))
    if scale == "symlog":
        size = abs(place) * 0.9
        size = size if size <= 1 else float(10 ** (abs(place) - 1 / 0.9))
        return math.copysign(size * below, place)
    return place


def _ticks(
    low: float, high: float, scale: Scale, below: float, most: int, *, whole: bool = False
) -> tuple[float, ...]:
    low, high = min(low, high), max(low, high)
    if scale == "linear" or (scale == "symlog" and max(-low, high) <= below):
        return _even(low, high, most, whole=whole)
    found = _decades(low, high, scale, below, most, (1,))
    if len(found) < 3:
        found = _decades(low, high, scale, below, most, (1, 2, 5))
    return found if len(found) > 2 else _even(low, high, most)


def _even(low: float, high: float, most: int, *, whole: bool = False) -> tuple[float, ...]:
    """Multiples of 1, 2 or 5 times a power of ten."""
    span = high - low
    if not 0 < span < math.inf:
        return (low,)
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(m * power for m in (1, 2, 5, 10) if span / (m * power) <= most)
    if whole:
        step = max(round(step), 1)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return tuple(float(f"{k * step:.12g}") for k in range(first, last + 1))


def _decades(
    low: float, high: float, scale: Scale, below: float, most: int, multiples: Iterable[int]
) -> tuple[float, ...]:
    """Powers of ten and multiples of them, on both sides of 0, every second or third if many."""
    smallest = below if scale == "symlog" else low
    largest = max(abs(low), abs(high))
    exponents = range(math.floor(math.log10(smallest)), math.floor(math.log10(largest)) + 1)
    sizes = [float(f"{m}e{k}") for k in exponents for m in multiples]
    sizes = [size for size in sizes if size >= smallest * (1 - 1e-9)]
    sides = 2 if sizes and low <= -sizes[0] and sizes[0] <= high else 1
    stride = max(math.ceil(len(sizes) * sides / most), 1)
    sizes = sizes[::-1][::stride][::-1]
    both = (*(-size for size in reversed(sizes)), 0.0, *sizes)
    return tuple(v for v in both if low <= v <= high and (v or scale == "symlog"))
