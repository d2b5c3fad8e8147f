"""Where a mean could as well lie, in words."""

from __future__ import annotations

from metriscope.report.columns import Column
from metriscope.report.tables import Cell, number


def interval(cell: Cell, column: Column) -> str:
    """``[0.905, 0.918]``; empty without one."""
    if cell.interval is None:
        return ""
    low, high = _ends(cell, column)
    return f"[{low}, {high}]"


def beside(cell: Cell, column: Column) -> str:
    """What stands after the text of a cell: its interval, unless the text says it."""
    found = interval(cell, column)
    if not found or all(end in cell.text for end in _ends(cell, column)):
        return ""
    return f" {found}"


def _ends(cell: Cell, column: Column) -> tuple[str, ...]:
    return tuple(number(end, column.digits) for end in cell.interval or ())
