"""The paper held against itself."""

from __future__ import annotations

from collections import Counter

from metriscope.paper.audit import Item, audit
from metriscope.paper.tables import canonical
from metriscope.report.columns import Column
from metriscope.report.evidence import Evidence
from metriscope.report.panels import register
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Cell, Row, Table

_COLUMNS = (
    Column("Verdict", words=True),
    Column("What was checked", words=True),
    Column("The paper's numbers", words=True),
    Column("In its words", words=True),
    Column("How it was computed", words=True),
)


@register("audit")
class Audit(Panel):
    """Where the paper's tables and text contradict each other, computed from what it printed."""

    title = "The paper against itself"
    order = 88
    about = "all"
    layout = "folded"

    def frame(self, evidence: Evidence) -> Table:
        """One row an item, beside results on a dataset of the paper."""
        shown = any(canonical(name) is not None for name in evidence.parts)
        items = audit() if shown else ()
        rows = tuple(Row(item.code, _cells(item)) for item in items)
        return Table(self.title, _said(items), _COLUMNS, rows, head="Code")


def _cells(item: Item) -> tuple[Cell, ...]:
    words = f"“{item.words}” ({item.where})" if item.words else item.where
    return tuple(map(Cell, (item.verdict, item.title, item.sentence, words, item.how)))


def _said(items: tuple[Item, ...]) -> str:
    if not items:
        return ""
    counts = Counter(item.verdict for item in items)
    return (
        f"{counts['inconsistent']} of {len(items)} checks of the published tables and text find "
        f"an inconsistency, {counts['note']} something to know before the numbers are used. None "
        "of it depends on the results of this report."
    )
