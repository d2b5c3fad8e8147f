"""Looks as small pictures in a line of text: colour, mark and dashes together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from metriscope.report.style import INK, Look

if TYPE_CHECKING:
    from markupsafe import Markup


def row(look: Look) -> Markup:
    """The mark, before a name in a table."""
    return _svg(12, _mark(look, 6))


def legend(look: Look, *, lines: bool = True) -> Markup:
    """The line with its dashes, or the mark."""
    if not lines:
        return row(look)
    dashes = f' stroke-dasharray="{" ".join(f"{2 * d:g}" for d in look.dashes)}"'
    line = f'<path d="M0 6H34" stroke-width="2.5"{dashes if look.dashes else ""}/>'
    return _svg(34, f'<g stroke="{_colour(look)}">{line}</g>')


def _svg(width: int, inside: str) -> Markup:
    from markupsafe import Markup

    return Markup(
        f'<svg class="swatch" width="{width}" height="12" viewBox="0 0 {width} 12" '
        f'aria-hidden="true">{inside}</svg>'
    )


def _mark(look: Look, x: float) -> str:
    points = " ".join(f"{x + 5 * a:.1f},{6 - 5 * b:.1f}" for a, b in _outline(look.marker))
    return f'<polygon fill="{_colour(look)}" points="{points}"/>'


def _colour(look: Look) -> str:
    return "currentColor" if look.colour == INK else look.colour


def _outline(marker: str) -> list[tuple[float, float]]:
    """Corners of a mark in the unit square around 0, the second coordinate up."""
    if marker in _CORNERS:
        return _CORNERS[marker]
    sides, start = _REGULAR.get(marker, (24, 0.0))
    turns = (math.radians(start + 360 * i / sides) for i in range(sides))
    return [(math.cos(turn), math.sin(turn)) for turn in turns]


# matplotlib's letters: corners, or sides and the direction of the first corner in degrees.
_PLUS = [(-1, 0.4), (-0.4, 0.4), (-0.4, 1), (0.4, 1), (0.4, 0.4), (1, 0.4)]
_PLUS = [*_PLUS, *((-x, -y) for x, y in _PLUS)]
_CORNERS: dict[str, list[tuple[float, float]]] = {
    "s": [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
    "d": [(0, 1), (0.6, 0), (0, -1), (-0.6, 0)],
    "P": _PLUS,
    "X": [((x - y) * 0.75, (x + y) * 0.75) for x, y in _PLUS],
}
_REGULAR = {
    "^": (3, 90.0),
    "v": (3, -90.0),
    "<": (3, 180.0),
    ">": (3, 0.0),
    "D": (4, 90.0),
    "p": (5, 90.0),
    "h": (6, 90.0),
}
