"""Results in a terminal: three tables, what went wrong, where the report is.

Readable at any width and without colour: a table shows as many columns as fit, the main ones in
blocks below each other if they must be, and no number is ever cut.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from metriscope.report import tables
from metriscope.report.tables import BASELINE, Row, Table
from metriscope.text import plain
from metriscope.types import Finding, Results

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_ASCII = str.maketrans(
    {
        "±": "+-",
        "–": "-",
        "−": "-",
        "↑": "^",
        "↓": "v",
        "·": "-",
        "²": "^2",
        "σ": "sigma",
        "…": "...",
    }
)
_GAP = 1  # beside the place of the star
_STYLES = {"problem": "bold red", "warning": "yellow", "ok": "green"}
_MARKS = {"problem": "[PROBLEM]", "warning": "[WARNING]", "ok": "[ok]"}


def render(results: Results, console: Console, report: Path | None = None) -> None:
    """Print the tables, the findings and where the report is.

    Args:
        results: the comparison.
        console: decides width, colour and character set. Text of unknown origin is printed as
            text: no markup, no control characters.
        report: the written ``report.html``, if there is one.
    """
    for table in tables.build(results):
        if table.columns:
            _table(table, console)
    _wrapped(console, tables.answer(results))
    _line(console)
    _findings(results, console)
    if report is not None:
        _line(console, f"Report: {plain(report)}")


def _table(table: Table, console: Console) -> None:
    longest = max(
        (_width(plain(row.name)) for row in table.rows if row.name != BASELINE), default=0
    )
    limit = max(min(longest, console.width // 3), console.width // 6, 13)
    folded = [_name(row, limit) for row in table.rows]
    first = max([len(table.head), *(_width(part) for name in folded for part in name)])
    texts = [
        [_fit(cell.text, console) + ("*" if cell.best else " ") for cell in row.cells]
        for row in table.rows
    ]
    heads = [_fit(column.heading, console) + " " for column in table.columns]
    widths = [
        max(len(line[j]) for line in [heads, *texts]) + _GAP for j in range(len(table.columns))
    ]
    blocks, hidden = _blocks(table, widths, console.width - first)
    _wrapped(console, table.title, "bold")
    for block in blocks:
        cells = "".join(heads[j].rjust(widths[j]) for j in block)
        _line(console, (table.head.ljust(first) + cells).rstrip(), "dim")
        for name, row, line in zip(folded, table.rows, texts, strict=True):
            _row(
                console, name, first, [(line[j].rjust(widths[j]), row.cells[j].best) for j in block]
            )
        _line(console)
    legend = _legend(table, hidden)
    if legend:
        _wrapped(console, legend, "dim")
        _line(console)


def _blocks(table: Table, widths: Sequence[int], room: int) -> tuple[list[list[int]], int]:
    """Columns to print together, and how many are left for the report.

    All that fit beside each other, the main ones first; else the main ones, block after block.
    """
    order = sorted(range(len(widths)), key=lambda j: not table.columns[j].main)
    main = [j for j in order if table.columns[j].main] or order[:1]
    if sum(widths[j] for j in main) <= room:
        chosen: list[int] = []
        for j in order:
            if sum(widths[i] for i in chosen) + widths[j] > room:
                break
            chosen.append(j)
        return [sorted(chosen)], len(widths) - len(chosen)
    blocks: list[list[int]] = [[]]
    for j in main:
        if blocks[-1] and sum(widths[i] for i in blocks[-1]) + widths[j] > room:
            blocks.append([])
        blocks[-1].append(j)
    return blocks, len(widths) - len(main)


def _row(
    console: Console, name: Sequence[str], first: int, cells: Sequence[tuple[str, bool]]
) -> None:
    from rich.text import Text

    text = Text(_fit(name[0], console) + " " * (first - _width(name[0])))
    for cell, best in cells:
        text.append(cell, "bold" if best else "")
    text.rstrip()
    _print(console, text)
    for part in name[1:]:
        _line(console, part)


def _legend(table: Table, hidden: int) -> str:
    cells = [cell for row in table.rows for cell in row.cells]
    parts = []
    if any(cell.sd is not None for cell in cells):
        parts.append("mean ± SD over seeds")
    if any(column.better for column in table.columns):
        parts.append("↑ higher is better, ↓ lower is better")
    if any(cell.best for cell in cells):
        parts.append("* best mean")
    if hidden:
        parts.append(
            f"{hidden} more columns in the report" if hidden > 1 else "1 more in the report"
        )
    return " · ".join(parts)


def _findings(results: Results, console: Console) -> None:
    from rich.text import Text

    if not results.findings:
        _line(console, "Findings: none. No check found anything wrong.")
        return
    _line(console, "Findings", "bold")
    for finding in results.findings:
        mark = _MARKS[finding.severity]
        lines = _wrap(f"{mark} {finding.code} {headline(finding)}", console, hang="    ")
        first = Text(_fit(lines[0], console), "bold")
        first.stylize(_STYLES[finding.severity], 0, len(mark))
        _print(console, first)
        for line in lines[1:]:
            _line(console, line, "bold")
        for label, text in (
            ("", finding.message),
            ("why: ", finding.cause),
            ("try: ", finding.next_step),
        ):
            if text:
                _wrapped(console, label + text, indent="    ")
    _line(console)


def headline(finding: Finding) -> str:
    """A finding in a line: ``triplet: almost no spread (7.6e-05, limit 0.01)``."""
    number = "" if finding.value is None else f"{finding.value:.3g}"
    if number and finding.threshold is not None:
        number += f", limit {finding.threshold:.3g}"
    text = f"{finding.loss}: {finding.title}" if finding.loss else finding.title
    return f"{text} ({number})" if number else text


def _name(row: Row, limit: int) -> list[str]:
    """The name with its note, in lines of at most ``limit``; the note is kept together."""
    name, note = plain(row.name), f"({plain(row.note)})" if row.note else ""
    if note and len(name) + 1 + len(note) <= limit:
        return [f"{name} {note}"]
    return [*textwrap.wrap(name, limit), *textwrap.wrap(note, limit)] or [""]


def _wrapped(console: Console, text: str, style: str = "", indent: str = "") -> None:
    for line in _wrap(text, console, indent, indent):
        _line(console, line, style)


def _wrap(text: str, console: Console, indent: str = "", hang: str = "") -> list[str]:
    """``text`` in lines that fit, without cutting a word or a path."""
    return textwrap.wrap(
        plain(text),
        max(console.width - 1, 20),
        initial_indent=indent,
        subsequent_indent=hang,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _line(console: Console, text: str = "", style: str = "") -> None:
    from rich.text import Text

    _print(console, Text(_fit(text, console), style))


def _print(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True, highlight=False)


def _fit(text: str, console: Console) -> str:
    """``text`` in the characters that the console's encoding has."""
    encoding = console.encoding
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(_ASCII)
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)
