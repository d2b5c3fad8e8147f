"""Which classes each loss takes for which."""

from __future__ import annotations

from dataclasses import replace

from metriscope.report.columns import Column
from metriscope.report.evidence import Evidence
from metriscope.report.panels import register
from metriscope.report.panels._views import count, which
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Cell, Row, Table
from metriscope.report.words import short

SHOWN = 5  # of each loss
_PAIRS = 2  # examples of each
_NAMES = 40  # characters of a name


@register("confusions")
class Confusions(Panel):
    """The most frequent confusions of each loss, with examples."""

    title = "Confusions: which class is taken for which"
    order = 78

    def caption(self, evidence: Evidence) -> str:
        """How to read the table."""
        said = (
            f"{which(evidence)} Queries of the first class whose nearest neighbour is of the "
            f"second; the {SHOWN} most frequent pairs of each loss. The share is of all queries of "
            "the first class."
        )
        if any(column.label == "Examples" for column in self.frame(evidence).columns):
            said += " Examples: query → what it found."
        if evidence.thumbnails:
            said += " A picture that many losses get wrong may be labelled wrong."
        return said

    def frame(self, evidence: Evidence) -> Table:
        """A row a confusion."""
        rows = []
        for loss, (_, view) in evidence.shown.items():
            for place, found in enumerate(view.confusions[:SHOWN]):
                pairs = view.examples[place][:_PAIRS] if place < len(view.examples) else ()
                share = Cell(f"{100 * found.share:.1f} %", found.share, n=1, of=1)
                cells = (
                    Cell(short(found.label, _NAMES)),
                    Cell(short(found.found, _NAMES)),
                    count(found.queries),
                    share,
                    _examples(evidence, pairs),
                )
                rows.append(Row(loss, cells))
        heads = (
            Column("Class", words=True),
            Column("Finds", words=True),
            Column("Queries"),
            Column("Share of the class"),
            Column("Examples", words=True),
        )
        shown = len(heads) if any(row.cells[-1].text for row in rows) else len(heads) - 1
        rows = [replace(row, cells=row.cells[:shown]) for row in rows]
        return Table(self.title, which(evidence), heads[:shown], tuple(rows))


def _examples(evidence: Evidence, pairs: tuple[tuple[str, str], ...]) -> Cell:
    text = "; ".join(f"{short(query, _NAMES)} → {short(found, _NAMES)}" for query, found in pairs)
    ids = [id for pair in pairs for id in pair]
    pictures = [evidence.thumbnails[id] for id in ids if id in evidence.thumbnails]
    return Cell(text, pictures=tuple(pictures) if len(pictures) == len(ids) else ())
