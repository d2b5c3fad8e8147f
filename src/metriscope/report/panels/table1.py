"""Table 1 of the paper, with our data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metriscope.report.columns import Column
from metriscope.report.evidence import Evidence
from metriscope.report.panels import register
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Cell, Row, Table


@register("table1")
class Table1(Panel):
    """The data sets in the layout of the paper's Table 1."""

    title = "Table 1: the data sets"
    order = 24
    about = "all"
    several = True

    def frame(self, evidence: Evidence) -> Table:
        """One row a data set."""
        rows = [
            Row(name, tuple(_cell(part.results.about, keys) for keys in _KEYS))
            for name, part in evidence.parts.items()
        ]
        known = tuple(row for row in rows if any(cell.mean is not None for cell in row.cells))
        said = (
            "As in the paper's Table 1. Training rows are those that losses are trained on; the "
            "validation rows were taken out of them."
        )
        return Table(self.title, said, _COLUMNS, known, "Data set")


_KEYS = (
    ("train_rows", "validation_rows", "test_rows"),
    ("classes",),
    ("train_rows",),
    ("validation_rows",),
    ("test_rows",),
)
_COLUMNS = tuple(
    Column(label, meaning=meaning, digits=0)
    for label, meaning in (
        ("Rows", "all of them"),
        ("Classes", "over all parts"),
        ("Training", "rows that losses are trained on"),
        ("Validation", "rows that losses are chosen by"),
        ("Test", "rows that are retrieved in the end"),
    )
)


def _cell(about: Mapping[str, Any], keys: tuple[str, ...]) -> Cell:
    """The sum of some counts; a dash where none, or not the first, is known."""
    found = [about.get(key) for key in keys]
    if found[0] is None:
        return Cell("–")
    total = sum(n for n in found if n is not None)
    return Cell(f"{total:,}", total, n=1, of=1)
