"""A diagnosis in a terminal: what is wrong first, then the numbers it rests on.

Readable at any width and without colour.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from metriscope.report import diagnosis
from metriscope.report.console import (
    cut,
    line,
    print_cells,
    print_finding,
    print_table,
    wrapped,
)
from metriscope.report.tables import Table
from metriscope.report.words import short
from metriscope.text import plain
from metriscope.types import Examined, Item

if TYPE_CHECKING:
    from rich.console import Console

CLASSES = 10
CONFUSIONS = 10
ITEMS = 5  # of each kind


def render(examined: Examined, console: Console, report: Path | None = None) -> None:
    """Print the verdict, what fired, the scores, the worst classes, and what else was looked at.

    Args:
        examined: the space.
        console: decides width, colour and character set. Text of unknown origin is printed as
            text: no markup, no control characters.
        report: the written ``report.html``, if there is one.
    """
    wrapped(console, diagnosis.verdict(examined), "bold")
    name = cut(plain(diagnosis.name(examined)), max(console.width - 12, 20))
    wrapped(console, " · ".join([name, *diagnosis.facts(examined)]))
    line(console)
    for finding in examined.fired:
        print_finding(finding, console)
        line(console)
    _scores(examined, console)
    _table(diagnosis.classes(examined, CLASSES), console)
    _table(diagnosis.confusions(examined, CONFUSIONS), console)
    for kind, title in diagnosis.KINDS.items():
        _items(title, [item for item in examined.items if item.kind == kind], console)
    quiet = [finding for finding in examined.findings if not finding.fired]
    if quiet:
        line(console, "Other checks", "bold")
        for finding in quiet:
            print_finding(finding, console)
        line(console)
    sampled, notes = examined.about.get("sampled"), examined.about.get("notes") or ()
    for note in (*([sampled] if sampled else ()), *notes):
        wrapped(console, f"note: {note}", hang="      ")
    if report is not None:
        line(console, f"Report: {plain(report)}")


def _scores(examined: Examined, console: Console) -> None:
    lines = diagnosis.scored(examined)
    shown = [score for score in lines if score.main]
    for group, title in diagnosis.GROUPS.items():
        of_group = [score for score in shown if score.group == group]
        if not of_group:
            continue
        intervals = any(score.interval for score in of_group)
        brackets = f" [{diagnosis.confidence(examined)} interval]" if intervals else ""
        line(console, title + brackets, "bold")
        widest = max(len(score.label) for score in of_group)
        cells = [f"{s.label:<{widest}}  {s.value} {s.interval}".rstrip() for s in of_group]
        if max(map(len, cells)) + 2 < console.width:
            print_cells(cells, console)
        else:
            for score in of_group:
                words = f"{score.label}  {score.value} {score.interval}".rstrip()
                wrapped(console, words, indent="  ", hang="      ")
        line(console)
    hidden = len(lines) - len(shown)
    if hidden:
        wrapped(console, f"{hidden} more scores in the report (--out) and in --json.", "dim")
        line(console)


def _table(table: Table, console: Console) -> None:
    if table.rows:
        print_table(table, console)


def _items(title: str, items: list[Item], console: Console) -> None:
    if not items:
        return
    count = f"{len(items):,}" if len(items) <= ITEMS else f"{ITEMS} of {len(items):,}"
    line(console, f"{title}: {count}", "bold")
    for item in items[:ITEMS]:
        words = f"{_id(item.id, console)}  {_words(item, console)}"
        wrapped(console, words, indent="  ", hang="      ")
    line(console)


def _words(item: Item, console: Console) -> str:
    """``labelled cat, rather dog (probability 0.98)``."""
    label, value = _label(item.label), f"{item.value:.3g}"
    if item.kind == "mislabelled":
        return f"labelled {label}, rather {_label(item.other_label)} (probability {value})"
    other = "" if item.other is None else f" {_id(item.other, console)}"
    of_other = "" if item.other_label is None else f" of {_label(item.other_label)}"
    if item.kind == "outlier":
        return f"of {label}, {value} times as far as usual; nearest{other}{of_other}"
    where = "" if item.part == "same" else f" in {diagnosis.PARTS.get(item.part, item.part)}"
    return f"of {label}, the same as{other}{of_other}{where} (distance {value})"


def _id(id: str | int, console: Console) -> str:
    """Whole, so that it can be copied, unless it is longer than a line."""
    return cut(short(id, 200), max(console.width - 12, 20))


def _label(label: str | None) -> str:
    return "another class" if label is None else cut(short(label, 40), 40)
