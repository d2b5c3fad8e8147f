"""Findings as rows of a table that a page prints as cards."""

from __future__ import annotations

from collections.abc import Iterable

from metriscope.report.columns import Column
from metriscope.report.tables import Cell, Row
from metriscope.report.words import listed
from metriscope.types import Finding

_LABELS = (
    "Severity",
    "Loss",
    "What",
    "Because",
    "Value",
    "Limit",
    "Likely cause",
    "Try",
    "Verify",
    "Classes",
)
COLUMNS = tuple(Column(label) for label in _LABELS)
_CLASSES = 20


def cards(findings: Iterable[Finding]) -> tuple[Row, ...]:
    """A row a finding, with a cell for each of :data:`COLUMNS`."""
    return tuple(Row(finding.code, _cells(finding)) for finding in findings)


def _cells(finding: Finding) -> tuple[Cell, ...]:
    return (
        Cell(finding.severity),
        Cell(finding.loss),
        Cell(finding.title),
        Cell(finding.message),
        *(
            Cell("–") if v is None else Cell(f"{v:.3g}", v, n=1, of=1)
            for v in (finding.value, finding.threshold)
        ),
        Cell(finding.cause),
        Cell(finding.next_step),
        Cell(finding.verify),
        Cell(listed(finding.classes, _CLASSES)),
    )
