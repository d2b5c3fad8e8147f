"""What the paper would have advised, held against these data."""

from __future__ import annotations

from collections.abc import Sequence

from metriscope.report import advice
from metriscope.report.advice import Guideline
from metriscope.report.columns import Column
from metriscope.report.evidence import Evidence
from metriscope.report.panels import register
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Cell, Row, Table
from metriscope.report.words import listed


@register("guideline")
class PaperGuideline(Panel):
    """What the paper's guideline would have said, and the evidence for and against it here."""

    title = "The paper's guideline, on these data"
    order = 12
    about = "all"
    sortable = False

    def frame(self, evidence: Evidence) -> Table:
        """What it says, each sentence for and against it, and the verdict."""
        parts = evidence.parts
        where: dict[tuple[str, str], list[str]] = {}  # the same sentence once, however many say it
        for name, part in parts.items():
            found = advice.read(part.results)
            for sentence in _sentences(found.guideline) if found and found.guideline else ():
                where.setdefault(sentence, []).append(name)
        order = sorted(where, key=lambda sentence: _ORDER.index(sentence[0]))
        several = len(parts) > 1
        rows = []
        for label, said in order:
            named = (Cell(_named(where[label, said], len(parts))),) if several else ()
            rows.append(Row(label, (*named, Cell(said))))
        heads = (Column("Data set", words=True),) if several else ()
        columns = (*heads, Column("In words", words=True))
        return Table(self.title, _CAPTION, columns, tuple(rows), "Evidence")


_CAPTION = (
    "The paper advises by the kind of task. What it would have said for this goal is tested here "
    "like any other claim, on the validation part."
)
_ORDER = ("It says", "For it", "Against it", "Verdict")


def _sentences(guideline: Guideline) -> list[tuple[str, str]]:
    return [
        ("It says", guideline.says),
        *(("For it", said) for said in guideline.supports),
        *(("Against it", said) for said in guideline.opposes),
        ("Verdict", guideline.verdict),
    ]


def _named(datasets: Sequence[str], of: int) -> str:
    return "all" if len(datasets) == of else listed(datasets, 10)
