"""Which place each loss takes, and how sure that is."""

from __future__ import annotations

from metriscope.report.charts import Chart, Plane
from metriscope.report.columns import Column
from metriscope.report.evidence import Evidence
from metriscope.report.panels import register
from metriscope.report.panels._tables import dot, left_out
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Cell, Row, Table, number
from metriscope.report.words import chance
from metriscope.statistics import Rank
from metriscope.types import Interval


@register("ranks")
class Ranks(Panel):
    """The place of each loss by Recall@1, with its interval and its chance of being the best."""

    title = "Ranks: how sure is the order?"
    order = 36

    def frame(self, evidence: Evidence) -> Table:
        """One row a loss, best first; at the end those that could not be compared."""
        rows = [Row(rank.loss, _cells(rank)) for rank in evidence.ranks()]
        missing = evidence.outcomes("recall@1").missing or {}
        dashes = tuple(Cell("–") for _ in _COLUMNS)
        for loss, done in missing.items():
            rows.append(Row(loss, dashes, f"left out: {done} finished" if done else "failed"))
        return Table("Losses by Recall@1", self.caption(evidence), _COLUMNS, tuple(rows))

    def plot(self, evidence: Evidence) -> Chart | None:
        """A dot a loss at its place, with the places that are as plausible; not of one seed."""
        ranks = evidence.ranks()
        if len(ranks) < 2 or all(rank.interval is None for rank in ranks):
            return None
        plane = Plane(
            tuple(dot(r.loss, r.rank, i, *(r.interval or ())) for i, r in enumerate(ranks)),
            x_label="Place by Recall@1 (bars: 95 % intervals)",
            x_range=(0.7, len(ranks) + 0.3),
            y_range=(len(ranks) - 0.5, -0.5),
            y_names=tuple(rank.loss for rank in ranks),
            whole=True,
        )
        return Chart((plane,), width=5.2, height=1.1 + 0.3 * len(ranks))

    def caption(self, evidence: Evidence) -> str:
        """What the places mean."""
        ranks = evidence.ranks()
        if not ranks:
            return "No loss has a finished run."
        if all(rank.interval is None for rank in ranks):
            said = "One seed: the order is what was seen, and nobody can say how sure it is."
        else:
            said = (
                "By the mean Recall@1 on the test part. Every two losses are tested, with Holm's "
                "correction over all pairs: the interval holds the places that the tests leave a "
                "loss, after those that are told to be better and before those that are told to "
                "be worse, all losses together in 95 % of repeats. For the chance and the cost, "
                "seeds and queries are drawn anew many times: the chance is how often a loss is "
                "the best then, the cost how far it lies behind the best on average."
            )
        return said + left_out(evidence.outcomes("recall@1"))


_COLUMNS = (
    Column("Recall@1", "recall@1", "mean over queries and seeds"),
    Column("Place", meaning="by the mean; in brackets the interval", digits=0),
    Column("Chance of being best", meaning="share of the draws in which no other loss is better"),
    Column("Expected cost", meaning="how far behind the best of a draw it lies, on average"),
)


def _cells(rank: Rank) -> tuple[Cell, ...]:
    between = rank.interval
    return (
        Cell(number(rank.mean), rank.mean, n=1, of=1),
        Cell(
            str(rank.rank), rank.rank, n=1, of=1, interval=Interval(*between) if between else None
        ),
        Cell("–") if rank.best is None else Cell(chance(rank.best), rank.best, n=1, of=1),
        Cell("–") if rank.regret is None else Cell(number(rank.regret), rank.regret, n=1, of=1),
    )
