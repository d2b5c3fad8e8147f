"""Rows of the one table, and the bars they are held against."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from benchmarks.measure import median_ms, median_ratio


@dataclass(frozen=True)
class Row:
    """One thing measured.

    Attributes:
        what: was measured. value: of it, in ``unit``.
        against: what it is held against. other: the value of that, or words.
        ratio: as the bar means it: ``other / value`` where more is better, else ``value / other``.
        least, most: the bar: of the ratio, or of the value where there is no ratio.
    """

    what: str
    value: float
    unit: str = "ms"
    against: str = ""
    other: float | str | None = None
    ratio: float | None = None
    least: float | None = None
    most: float | None = None

    @property
    def holds(self) -> bool | None:
        """Whether the bar is met; None without one."""
        measured = self.value if self.ratio is None else self.ratio
        if self.least is not None:
            return measured >= self.least
        return None if self.most is None else measured <= self.most

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self) | {"holds": self.holds}


def compared(
    what: str,
    against: str,
    ours: list[float],
    other: list[float],
    *,
    way: Literal["times faster", "times the cost"],
    bar: float | None = None,
) -> Row:
    """A row of two works that took turns."""
    faster = way == "times faster"
    return Row(
        what,
        median_ms(ours),
        against=against,
        other=median_ms(other),
        ratio=median_ratio(other, ours) if faster else median_ratio(ours, other),
        least=bar if faster else None,
        most=None if faster else bar,
    )


def grown(what: str, before: str, above: list[float], below: list[float]) -> Row:
    """A row of one work at two sizes that took turns."""
    ratio = median_ratio(above, below)
    return Row(what, median_ms(above), against=before, other=median_ms(below), ratio=ratio)


def show(value: float | str | None) -> str:
    """Three digits."""
    if not isinstance(value, float | int):
        return value or ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def bar_of(row: Row) -> str:
    """``≥ 50 met``."""
    if row.holds is None:
        return ""
    limit = f"≥ {row.least:g}" if row.least is not None else f"≤ {row.most:g}"
    return f"{limit} {'met' if row.holds else 'NOT MET'}"


HEADS = ("what", "measured", "against", "its", "ratio", "bar")


def cells(row: Row) -> tuple[str, ...]:
    """A row as text."""
    value = f"{show(row.value)} {row.unit}"
    other = f"{show(row.other)} {row.unit}" if isinstance(row.other, float) else show(row.other)
    return (row.what, value, row.against, other, show(row.ratio), bar_of(row))


def print_section(title: str, rows: Sequence[Row]) -> None:
    """To the terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for head in HEADS:
        right = head in ("measured", "its", "ratio")
        table.add_column(head, justify="right" if right else "left")
    for row in rows:
        table.add_row(*cells(row))
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def markdown(title: str, rows: Sequence[Row]) -> str:
    """For docs/performance.md."""
    lines = [f"### {title}", "", "| " + " | ".join(HEADS) + " |", "|---|---:|---|---:|---:|---|"]
    return "\n".join([*lines, *("| " + " | ".join(cells(row)) + " |" for row in rows), ""])
