"""What the paper claims, held against the results at hand."""

from __future__ import annotations

from collections import Counter

from metriscope.paper.testing import Judged, judge
from metriscope.report.columns import Column
from metriscope.report.evidence import Evidence
from metriscope.report.panels import register
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Cell, Row, Table

_COLUMN = Column("Evidence here, and the paper's words", words=True)


@register("claims")
class Claims(Panel):
    """Each claim of the paper: supported, not supported or contradicted, with the statistic."""

    title = "The paper's claims, on these data"
    order = 86
    about = "all"
    sortable = False

    def frame(self, evidence: Evidence) -> Table:
        """One row a claim that these results can be held against."""
        judged = verdicts(evidence)
        rows = tuple(
            Row(f"{found.claim.code} {found.claim.statement}", (_evidence(found),))
            for found in judged
        )
        return Table(self.title, _said(judged), (_COLUMN,), rows, head="Claim")


def verdicts(evidence: Evidence) -> tuple[Judged, ...]:
    """Every claim that these results can be held against."""
    parts = evidence.parts
    return judge(
        {name: part.results for name, part in parts.items()},
        lambda dataset, score: parts[dataset].outcomes(score),
    )


def _evidence(found: Judged) -> Cell:
    several = len(found.on) > 1
    said = [
        f"{one.dataset} ({one.verdict}): {one.sentence}" if several else one.sentence
        for one in found.on
    ]
    words = f"Claimed: “{found.claim.words}” ({found.claim.where})."
    return Cell(f"{found.verdict.capitalize()}. {' '.join(said)} {words}")


def _said(judged: tuple[Judged, ...]) -> str:
    if not judged:
        return ""
    counts = Counter(found.verdict for found in judged)
    shown = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    return (
        f"Of {len(judged)} claims: {shown}. A claim is supported where every comparison in it "
        "comes out as claimed on every data set, contradicted where one comes out the other way on "
        "any; else there is no evidence either way. p after Holm over the claims on a data set, "
        "5 % level; differences are paired by seed and query, with 95 % intervals."
    )
