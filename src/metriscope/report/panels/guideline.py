"""What the paper would have advised, held against these data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metriscope.report.columns import Column
from metriscope.report.evidence import Evidence
from metriscope.report.panels import register
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Cell, Row, Table
from metriscope.report.words import listed


@register("guideline")
class Guideline(Panel):
    """What the paper's guideline would have said, and the evidence for and against it here."""

    title = "The paper's guideline, on these data"
    order = 12
    about = "all"
    sortable = False

    def frame(self, evidence: Evidence) -> Table:
        """What it says, each sentence for and against it, and the verdict."""
        several = len(evidence.parts) > 1
        rows = []
        for name, part in evidence.parts.items():
            found = (part.results.recommendation or {}).get("guideline")
            for label, said in _sentences(found) if found else ():
                where = (Cell(name),) if several else ()
                rows.append(Row(label, (*where, Cell(said))))
        heads = (Column("Data set", words=True),) if several else ()
        columns = (*heads, Column("In words", words=True))
        return Table(self.title, _CAPTION, columns, tuple(rows), "Evidence")


_CAPTION = (
    "The paper advises by the kind of task. What it would have said for this goal is tested here "
    "like any other claim, on the validation part."
)


def _sentences(guideline: Mapping[str, Any]) -> list[tuple[str, str]]:
    losses = guideline.get("losses") or ()
    return [
        ("It says", str(guideline.get("says") or listed(losses, 10))),
        *(("For it", str(said)) for said in guideline.get("for") or ()),
        *(("Against it", str(said)) for said in guideline.get("against") or ()),
        ("Verdict", str(guideline.get("verdict") or "cannot be told")),
    ]
