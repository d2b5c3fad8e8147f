"""Shared by the panels of the three tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from metriscope.report import style, tables
from metriscope.report.tables import BASELINE, Table
from metriscope.types import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def pick(results: Results, title: str) -> Table:
    """The table whose title begins with ``title``."""
    return next(t for t in tables.build(results) if t.title.startswith(title))


def caption(table: Table) -> str:
    """The table's explanation, and what the dashed line is where there is one."""
    drawn = any(row.name == BASELINE for row in table.rows)
    return table.explanation + (" Dashed lines: the untrained features." if drawn else "")


def dot_plot(
    table: Table, scores: Sequence[str], limits: dict[str, tuple[float, float]]
) -> Figure | None:
    """Mean ± SD of some scores beside each other; None where no row has any of them.

    A dashed line is the untrained features. ``limits`` fixes an axis; the others fit the values.
    """
    shown = [j for j, c in enumerate(table.columns) if c.score in scores]
    rows = [r for r in table.rows if r.name != BASELINE]
    shown = [j for j in shown if any(r.cells[j].mean is not None for r in rows)]
    if not shown:
        return None
    base = next((r for r in table.rows if r.name == BASELINE), None)
    with style.drawing():
        height = 1.1 + 0.32 * len(rows)
        drawn, axes = style.figure(2.7 * len(shown) + 1.1, height, len(shown), sharey=True)
        for ax, j in zip(axes, shown, strict=True):
            column = table.columns[j]
            cells = [row.cells[j] for row in rows]
            style.dots(
                ax,
                [row.name for row in rows],
                [float("nan") if c.mean is None else c.mean for c in cells],
                [c.sd or 0.0 for c in cells],
            )
            before = base.cells[j].mean if base else None
            if before is not None:
                ax.axvline(before, color=style.INK, linestyle="--", linewidth=1, alpha=0.6)
            if column.score in limits:
                ax.set_xlim(*limits[column.score])
            ax.locator_params(axis="x", nbins=5)
            ax.set_xlabel(column.heading)
            ax.grid(axis="y", visible=False)
    return drawn
