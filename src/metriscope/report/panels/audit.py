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

_COLUMN = Column("The numbers, the paper's words, and how it was computed", words=True)


@register("audit")
class Audit(Panel):
    """Where the paper's tables and text contradict each other, computed from what it printed."""

    title = "The paper against itself"
    order = 88
    about = "all"
    layout = "folded"
    sortable = False

    def frame(self, evidence: Evidence) -> Table:
        """One row an item, beside results on a dataset of the paper."""
        shown = any(canonical(name) is not None for name in evidence.parts)
        items = audit() if shown else ()
        rows = tuple(Row(f"{item.code} {item.title}", (_evidence(item),)) for item in items)
        return Table(self.title, _said(items), (_COLUMN,), rows, head="Check")


def _evidence(item: Item) -> Cell:
    words = f"“{item.words}” ({item.where})" if item.words else item.where
    verdict = item.verdict.capitalize()
    return Cell(f"{verdict}. {item.sentence} In the paper: {words}. Computed: {item.how}")


def _said(items: tuple[Item, ...]) -> str:
    if not items:
        return ""
    counts = Counter(item.verdict for item in items)
    return (
        f"{counts['inconsistent']} of {len(items)} checks of the published tables and text find "
        f"an inconsistency, {counts['note']} something to know before the numbers are used. None "
        "of it depends on the results of this report."
    )
