"""Which loss retrieves best in these runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metriscope.report import style, tables
from metriscope.report.columns import Column
from metriscope.report.panels import register
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Cell, Row, Table, number
from metriscope.types import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@register("answer")
class Answer(Panel):
    """The losses in the order of their mean Recall@1, with every seed."""

    title = "In short"
    order = 10

    def frame(self, results: Results) -> Table:
        """Mean, SD, smallest and largest Recall@1 of each loss, best first."""
        rows = []
        for name, cell in _ranked(results):
            values = tables.defined(results.by_loss()[name], "recall@1")
            numbers = (cell.mean, cell.sd, min(values), max(values))
            cells = [Cell("–") if v is None else Cell(number(v), v, n=1, of=1) for v in numbers]
            rows.append(Row(name, (*cells, Cell(str(cell.n), cell.n, n=1, of=1))))
        labels = ("Recall@1, mean", "SD", "Smallest", "Largest", "Seeds")
        return Table(
            "Losses by Recall@1",
            tables.answer(results),
            tuple(Column(label) for label in labels),
            tuple(rows),
        )

    def plot(self, results: Results) -> Figure | None:
        """Every seed as a small dot, the mean ± SD as a large one."""
        ranked = _ranked(results)
        if not ranked:
            return None
        with style.drawing():
            drawn, (ax,) = style.figure(7, 1.1 + 0.34 * len(ranked))
            means = [cell.mean or 0.0 for _, cell in ranked]
            style.dots(ax, [n for n, _ in ranked], means, [cell.sd or 0.0 for _, cell in ranked])
            for i, (name, _) in enumerate(ranked):
                values = tables.defined(results.by_loss()[name], "recall@1")
                ax.plot(
                    values,
                    [i + 0.24] * len(values),
                    linestyle="none",
                    marker=".",
                    markersize=4,
                    color=style.look(name).colour,
                )
            before = (results.about.get("baseline") or {}).get("recall@1")
            if before is not None:
                ax.axvline(before, color=style.INK, linestyle="--", linewidth=1, alpha=0.6)
            ax.set_xlabel("Recall@1 on the test set (mean ± SD; small dots: seeds)")
            ax.grid(axis="y", visible=False)
        return drawn

    def caption(self, results: Results) -> str:
        """The answer, and how to read the picture."""
        dashed = (
            " The dashed line is the untrained features." if results.about.get("baseline") else ""
        )
        return tables.answer(results) + dashed


def _ranked(results: Results) -> list[tuple[str, Cell]]:
    return sorted(tables.summary(results).items(), key=lambda item: -(item[1].mean or 0.0))
