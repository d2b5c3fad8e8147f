"""A comparison in a terminal: three tables, what went wrong, where the report is.

Readable at any width and without colour.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from metriscope.report import tables
from metriscope.report.console import line, print_finding, print_table, wrapped
from metriscope.text import plain
from metriscope.types import Results

if TYPE_CHECKING:
    from rich.console import Console


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
            print_table(table, console)
    wrapped(console, tables.answer(results))
    line(console)
    if results.findings:
        line(console, "Findings", "bold")
        for finding in results.findings:
            print_finding(finding, console)
        line(console)
    else:
        line(console, "Findings: none. No check found anything wrong.")
    if report is not None:
        line(console, f"Report: {plain(report)}")
