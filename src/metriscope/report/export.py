"""A table for a paper, a page of notes or a spreadsheet: LaTeX, Markdown, CSV."""

from __future__ import annotations

from collections.abc import Callable

from metriscope.report import spreadsheets
from metriscope.report.columns import Column
from metriscope.report.intervals import beside
from metriscope.report.latex import to_latex
from metriscope.report.tables import Cell, Table
from metriscope.text import plain

__all__ = ["to_csv", "to_latex", "to_markdown"]

_MARKDOWN = "\\`*_{}<>[]|#&$~"
_Field = tuple[str, Callable[[Cell], object]]


def to_markdown(table: Table) -> str:
    """GitHub Markdown, the best means bold, intervals beside them; names are shown as they are."""
    lines = [
        [_markdown(table.head), *(_markdown(c.heading) for c in table.columns)],
        ["---", *("---" if c.words else "---:" for c in table.columns)],
    ]
    for row in table.rows:
        name = _markdown(row.name) + (f" ({_markdown(row.note)})" if row.note else "")
        lines.append([name, *map(_cell, row.cells, table.columns)])
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def to_csv(table: Table) -> str:
    """A line a row, with the stored numbers in full precision.

    A column of numbers becomes its mean under the score's name, or under the column's where that
    would not be unique, and after it ``sd``, ``low``, ``high`` and ``n`` where any row has them.
    Undefined is empty; text that a spreadsheet would take for a formula has a quote before it.
    """
    scores = [column.score for column in table.columns]
    fields: list[list[_Field]] = []
    for j, column in enumerate(table.columns):
        name = column.score if scores.count(column.score) == 1 else ""
        fields.append(_fields(name or column.label, column, [row.cells[j] for row in table.rows]))
    noted = any(row.note for row in table.rows)
    heads = [
        table.head,
        *(["note"] if noted else []),
        *(name for part in fields for name, _ in part),
    ]
    rows = (
        [
            row.name,
            *([row.note] if noted else []),
            *(read(cell) for cell, part in zip(row.cells, fields, strict=True) for _, read in part),
        ]
        for row in table.rows
    )
    return spreadsheets.written(heads, rows)


def _fields(name: str, column: Column, cells: list[Cell]) -> list[_Field]:
    """What a column is in a spreadsheet: heads, and what stands under each."""
    text: list[_Field] = [(name, lambda cell: cell.text)]
    if all(cell.mean is None for cell in cells):
        return text
    found: list[_Field] = [(name, lambda cell: cell.mean)]
    if any(cell.sd is not None for cell in cells):
        found.append((f"{name} sd", lambda cell: cell.sd))
    if any(cell.interval for cell in cells):
        found.append((f"{name} low", lambda cell: cell.interval and cell.interval.low))
        found.append((f"{name} high", lambda cell: cell.interval and cell.interval.high))
    if any(cell.n for cell in cells):
        found.append((f"{name} n", lambda cell: cell.n))
    if column.words:
        found.append((f"{name} text", lambda cell: cell.text))
    return found


def _cell(cell: Cell, column: Column) -> str:
    text = _markdown(cell.text)
    return (f"**{text}**" if cell.best else text) + _markdown(beside(cell, column))


def _markdown(text: str) -> str:
    return "".join(f"\\{c}" if c in _MARKDOWN else c for c in plain(text))
