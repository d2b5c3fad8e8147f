"""Every loss with every other."""

from __future__ import annotations

from metriscope.report import style
from metriscope.report.charts import Chart, Dots, Mark, Plane, Rule
from metriscope.report.columns import Column
from metriscope.report.evidence import Evidence
from metriscope.report.panels import register
from metriscope.report.panels._tables import left_out
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Cell, Row, Table, number, signed
from metriscope.report.words import BY_ITSELF, CORRECTED, p_value
from metriscope.statistics import Pair

_SAME = style.Look(style.INK, "o")


@register("comparisons")
class Comparisons(Panel):
    """Every two losses: how far apart they are in Recall@1, and whether that may be chance."""

    title = "Comparisons: which differences are real?"
    order = 34

    def frame(self, evidence: Evidence) -> Table:
        """One row a pair, in the order of the losses."""
        pairs = evidence.pairs()
        rows = tuple(Row(_name(pair), _cells(pair)) for pair in pairs)
        return Table("Pairs of losses, Recall@1", self.caption(evidence), _COLUMNS, rows, "Pair")

    def plot(self, evidence: Evidence) -> Chart | None:
        """A forest plot: the difference of each pair with its interval, and the line of none."""
        pairs = evidence.pairs()
        if not pairs:
            return None
        marks: list[Mark] = [Rule("no difference", x=0.0)]
        marks += [_dot(pair, i) for i, pair in enumerate(pairs)]
        said = (
            " (bars: 95 % intervals, each by itself; coloured: different)"
            if _known(pairs)
            else " (one seed)"
        )
        plane = Plane(
            tuple(marks),
            x_label=f"Recall@1, first − second{said}",
            y_range=(len(pairs) - 0.5, -0.5),
            y_names=tuple(_name(pair) for pair in pairs),
        )
        return Chart((plane,), width=6.9, height=1.1 + 0.26 * len(pairs))

    def caption(self, evidence: Evidence) -> str:
        """How many of the pairs differ, and what that rests on."""
        pairs = evidence.pairs()
        if not pairs:
            return "Two losses with finished runs are needed for a comparison."
        if not _known(pairs):
            said = (
                f"{_count(len(pairs))}, one seed: another seed would give other numbers, so nobody "
                "can say which differences are real. Run more with --seeds."
            )
        else:
            differ = sum(pair.verdict == "different" for pair in pairs)
            rest = sum(pair.verdict == "no evidence of a difference" for pair in pairs)
            said = f"{differ} of {_count(len(pairs))} differ in Recall@1 on the test part"
            said += f"; for {rest} there is no evidence of a difference" if rest else ""
            said += f" ({_basis(pairs[0])}; p after Holm's correction over all pairs, 5 %)."
            said += " No evidence of a difference does not mean that two losses are equal."
            if len(pairs) > 1:
                said += (
                    f" Each interval is of its pair by itself; p is corrected for having looked at "
                    f"{len(pairs)} pairs: an interval may leave out 0 and p still show no evidence."
                )
        return said + left_out(evidence.outcomes("recall@1"))


_COLUMNS = (
    Column(
        "Difference",
        meaning=f"mean Recall@1 of the first minus that of the second; {BY_ITSELF}",
    ),
    Column("p", meaning=f"two-sided, {CORRECTED}"),
    Column(
        "d",
        meaning="Cohen's d: the mean over the SD of the seeds' differences",
        main=False,
        digits=2,
    ),
    Column("h", meaning="Cohen's h of the two shares; 0.2 is small, 0.5 medium", main=False),
    Column("First wins", meaning="share of the queries that the first answers better", main=False),
    Column("Second wins", meaning="share of the queries that the second does", main=False),
    Column("In words", words=True),
)


def _cells(pair: Pair) -> tuple[Cell, ...]:
    found = pair.difference
    n = found.seeds
    numbers = (found.d, found.h, found.wins, found.losses)
    return (
        Cell(signed(found.mean), found.mean, n=n, of=n, interval=found.interval),
        Cell("–")
        if pair.adjusted is None
        else Cell(p_value(pair.adjusted), pair.adjusted, n=n, of=n),
        *(
            Cell("–") if v is None else Cell(number(v, c.digits), v, n=n, of=n)
            for v, c in zip(numbers, _COLUMNS[2:6], strict=True)
        ),
        Cell(_words(pair)),
    )


def _words(pair: Pair) -> str:
    if pair.verdict != "different":
        return pair.verdict
    return f"{pair.first if pair.difference.mean > 0 else pair.second} is better"


def _name(pair: Pair) -> str:
    return f"{pair.first} − {pair.second}"


def _dot(pair: Pair, y: int) -> Dots:
    """In the colour of the better loss, where one is."""
    found = pair.difference
    better = pair.first if found.mean > 0 else pair.second
    look = style.look(better) if pair.verdict == "different" else _SAME
    text = (f"{_name(pair)}: {_words(pair)}",)
    if found.interval is None:
        return Dots(_name(pair), (found.mean,), (y,), look, texts=text)
    low, high = found.interval
    return Dots(_name(pair), (found.mean,), (y,), look, x_low=(low,), x_high=(high,), texts=text)


def _known(pairs: tuple[Pair, ...]) -> bool:
    return any(pair.difference.interval is not None for pair in pairs)


def _count(pairs: int) -> str:
    return "1 pair" if pairs == 1 else f"{pairs} pairs"


def _basis(pair: Pair) -> str:
    found = pair.difference
    queries = f"the same {found.queries:,} queries, " if found.queries > 1 else ""
    return f"{queries}{found.seeds} seeds"
