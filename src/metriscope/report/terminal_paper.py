"""The paper in a terminal: its audit, and its claims and numbers beside ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from metriscope.paper.audit import Item
from metriscope.report.console import line, print_table, wrap, wrapped
from metriscope.report.evidence import Evidence
from metriscope.report.panels.claims import verdicts
from metriscope.report.panels.paper import Paper, left_out
from metriscope.report.tables import Row

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {
    "inconsistent": "bold red",
    "note": "yellow",
    "consistent": "green",
    "contradicted": "bold red",
    "not supported": "yellow",
    "supported": "green",
    "cannot say": "dim",
}


def render_audit(items: Sequence[Item], console: Console) -> None:
    """Print every item with its numbers, the paper's words, and how it was computed."""
    counts = Counter(item.verdict for item in items)
    wrapped(
        console,
        f"The paper's tables and text against themselves: {counts['inconsistent']} of "
        f"{len(items)} checks find an inconsistency, {counts['note']} something to know.",
        "bold",
    )
    line(console)
    for item in items:
        _headed(item.verdict, f"{item.code} {item.title}", console)
        wrapped(console, item.sentence, indent="    ", hang="    ")
        for label, text in (
            ("cells: ", "; ".join(item.cells)),
            ("paper: ", f'"{item.words}" ({item.where})' if item.words else item.where),
            ("how: ", item.how),
        ):
            if text:
                wrapped(console, label + text, "dim", "    ", "    ")
        line(console)


def render_beside(evidence: Evidence, console: Console) -> None:
    """Print Recall@1 beside the paper's, and what the results say to its claims."""
    table = Paper().frame(evidence)
    rows = [row for row in table.rows if row.cells[1].text == "Recall@1"]
    for dataset in dict.fromkeys(row.cells[0].text for row in rows):
        shown = replace(
            table,
            title=f"Recall@1 on {dataset}, beside the paper's",
            columns=table.columns[2:],
            rows=tuple(_without_names(row) for row in rows if row.cells[0].text == dataset),
        )
        print_table(shown, console)
    judged = verdicts(evidence)
    if judged:
        line(console, "The paper's claims, on these data", "bold")
    for found in judged:
        _headed(found.verdict, f"{found.claim.code} {found.claim.statement}", console)
        for one in found.on:
            where = f"{one.dataset} ({one.verdict}): " if len(found.on) > 1 else ""
            wrapped(console, where + one.sentence, indent="    ", hang="    ")
    missing = left_out(evidence)
    if missing:
        line(console)
        wrapped(console, f"Left out, because they cannot be had: {', '.join(missing)}.")


def _without_names(row: Row) -> Row:
    return replace(row, cells=row.cells[2:])


def _headed(verdict: str, title: str, console: Console) -> None:
    mark = f"[{verdict}]"
    first, *rest = wrap(f"{mark} {title}", console, hang="    ")
    if first.startswith(mark):
        console.print(mark, end="", style=_STYLES[verdict], markup=False, highlight=False)
        line(console, first[len(mark) :], "bold")
    else:
        line(console, first, "bold")
    for text in rest:
        line(console, text, "bold")
