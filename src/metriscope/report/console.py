"""Printing that fits any terminal: tables, findings and sentences, in any width and encoding."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from metriscope.report.columns import Column
from metriscope.report.tables import BASELINE, Row, Table
from metriscope.report.words import headline, listed
from metriscope.text import plain
from metriscope.types import Finding

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_ASCII = str.maketrans(
    {
        "±": "+-",
        "–": "-",
        "−": "-",
        "×": "x",
        "↑": "^",
        "↓": "v",
        "·": "-",
        "²": "^2",
        "σ": "sigma",
        "μ": "mu",
        "…": "...",
    }
)
_GAP = 1  # beside the place of the star
_STYLES = {"problem": "bold red", "warning": "yellow", "ok": "green", "not applicable": "dim"}
_MARKS = {"problem": "[PROBLEM]", "warning": "[WARNING]", "ok": "[ok]", "not applicable": "[n/a]"}


def print_table(table: Table, console: Console) -> None:
    """A table in as many columns as fit, the main ones in blocks below each other if they must be.

    No number is ever cut.
    """
    longest = max(
        (_width(plain(row.name)) for row in table.rows if row.name != BASELINE), default=0
    )
    limit = max(min(longest, console.width // 3), console.width // 6, 13)
    folded = [_name(row, limit) for row in table.rows]
    first = max([len(table.head), *(_width(part) for name in folded for part in name)])
    room = max(console.width - first - 6, 20)
    texts = [
        [_fit(cut(plain(c.text), room), console) + ("*" if c.best else " ") for c in row.cells]
        for row in table.rows
    ]
    heads = [_fit(plain(column.heading), console) + " " for column in table.columns]
    widths = [
        max(_width(line[j]) for line in [heads, *texts]) + _GAP for j in range(len(table.columns))
    ]
    blocks, hidden = _blocks(table, widths, console.width - first)
    wrapped(console, table.title, "bold")
    for block in blocks:
        cells = "".join(_justify(heads[j], widths[j], table.columns[j]) for j in block)
        line(console, (table.head.ljust(first) + cells).rstrip(), "dim")
        for name, row, texts_of_row in zip(folded, table.rows, texts, strict=True):
            shown = [(_justify(texts_of_row[j], widths[j], table.columns[j]), j) for j in block]
            _row(console, name, first, [(text, row.cells[j].best) for text, j in shown])
        line(console)
    legend = _legend(table, hidden)
    if legend:
        wrapped(console, legend, "dim")
        line(console)


def print_finding(finding: Finding, console: Console) -> None:
    """A check that fired, with what to do about it; any other one in a line."""
    from rich.text import Text

    mark = _MARKS[finding.severity]
    brief = "" if finding.fired or not finding.message else f": {finding.message}"
    head = f"{mark} {finding.code} {headline(finding)}{brief}"
    style = "bold" if finding.fired else ""
    lines = wrap(head, console, hang="    ")
    first = Text(_fit(lines[0], console), style)
    first.stylize(_STYLES[finding.severity], 0, len(mark))
    _print(console, first)
    for text in lines[1:]:
        line(console, text, style)
    if not finding.fired:
        return
    for label, text in (
        ("", finding.message),
        ("classes: ", listed(finding.classes, 5)),
        ("why: ", finding.cause),
        ("try: ", finding.next_step),
        ("verify: ", finding.verify),
    ):
        if text:
            wrapped(console, label + text, indent="    ", hang="    ")


def print_cells(texts: Sequence[str], console: Console) -> None:
    """Short texts beside each other, in as many columns of one width as fit."""
    fitted = [_fit(plain(text), console) for text in texts]
    wide = max(map(_width, fitted), default=0) + 3
    columns = max(1, (console.width - 2 + 3) // wide)
    for start in range(0, len(fitted), columns):
        cells = fitted[start : start + columns]
        line(console, "".join("  " + _pad(cell, wide - 2) for cell in cells).rstrip())


def wrapped(
    console: Console, text: str, style: str = "", indent: str = "", hang: str | None = None
) -> None:
    """A sentence in lines that fit."""
    for part in wrap(text, console, indent, indent if hang is None else hang):
        line(console, part, style)


def wrap(text: str, console: Console, indent: str = "", hang: str = "") -> list[str]:
    """``text`` in lines that fit, without cutting a word or a path."""
    room = max(console.width - 1, 20)
    first, *words = plain(text).split(" ")
    lines = [indent + first]
    for word in words:
        longer = f"{lines[-1]} {word}"
        if _width(longer) <= room:
            lines[-1] = longer
        else:
            lines.append(hang + word)
    return [line.rstrip() for line in lines]


def cut(text: str, room: int) -> str:
    """``text`` in ``room`` columns of a terminal, cut in the middle if it must be."""
    from rich.cells import set_cell_size

    if _width(text) <= room:
        return text
    half = max((room - 1) // 2, 1)
    return f"{set_cell_size(text, half)}…{set_cell_size(text[::-1], half)[::-1]}"


def line(console: Console, text: str = "", style: str = "") -> None:
    """A line as it is, but for what the encoding lacks."""
    from rich.text import Text

    _print(console, Text(_fit(text, console), style))


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
        line(console, part)


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


def _name(row: Row, limit: int) -> list[str]:
    """The name with its note, in lines of at most ``limit``; the note is kept together."""
    from rich.cells import chop_cells

    name, note = plain(row.name), f"({plain(row.note)})" if row.note else ""
    if note and _width(name) + 1 + len(note) <= limit:
        return [f"{name} {note}"]
    parts = [*textwrap.wrap(name, limit), *textwrap.wrap(note, limit)]
    return [chopped for part in parts for chopped in chop_cells(part, limit)] or [""]


def _justify(text: str, wide: int, column: Column) -> str:
    """Numbers to the right, words to the left."""
    return "  " + _pad(text, wide - 2) if column.words else " " * (wide - _width(text)) + text


def _pad(text: str, wide: int) -> str:
    return text + " " * (wide - _width(text))


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
