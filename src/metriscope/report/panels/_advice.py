"""The losses of a recommendation as rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from metriscope import recommendation
from metriscope.report import advice, columns, tables
from metriscope.report.advice import Advice, Ranked
from metriscope.report.columns import Column
from metriscope.report.tables import Cell, Row, number, signed, with_sd
from metriscope.report.words import BY_ITSELF, CORRECTED, chance, p_value
from metriscope.types import Results


def heads(said: Iterable[Advice]) -> tuple[Column, ...]:
    """The columns of :func:`rows`."""
    said = list(said)
    scores = {score(one) for one in said}
    label = scores.pop() if len(scores) == 1 else "Score"
    digits = max((_digits(one) for one in said), default=3)
    return (
        Column(f"{label}, validation", "", "mean over queries and seeds; its interval", digits),
        Column("In words", words=True),
        Column("Difference", "", f"from the recommended loss; {BY_ITSELF}", digits),
        Column("p", meaning=f"of that difference, {CORRECTED}"),
        Column("Place", "", "by the mean; in brackets the places that are as plausible", 0),
        Column("Chance", meaning="how often it is the best when seeds and queries are drawn anew"),
        Column(
            "Expected cost", meaning="how far it lies behind the best of each such draw, on average"
        ),
        Column("Seeds", digits=0),
    )


def score(said: Advice) -> str:
    """What the recommendation goes by, in words."""
    name = columns.label(said.score)
    return name[:1].upper() + name[1:]


def rows(said: Advice) -> list[Row]:
    """A row a loss that was ranked, and one for each that could not be."""
    dashes = tuple(Cell("–") for _ in heads([said]))
    missing = (Row(loss, dashes, why) for loss, why in said.missing)
    return [*(Row(row.loss, _cells(row, said)) for row in said.rows), *missing]


def seeds_of(results: Results, loss: str) -> Sequence[float]:
    """What each finished run of a loss has of the number that the recommendation goes by."""
    said, runs = advice.read(results), results.by_loss().get(loss, [])
    if said is None or said.goal != "fast":
        return tables.defined(runs, said.score) if said else []
    never = max((run.spec.epochs for run in runs), default=0) + 1
    reached = recommendation.epochs_to_target(results).get(loss, ())
    return [float(never if epoch is None else epoch) for epoch in reached]


def _cells(row: Ranked, said: Advice) -> tuple[Cell, ...]:
    first = row.loss == said.loss
    digits = _digits(said)
    n = row.seeds
    apart = Cell("–")
    if row.difference is not None and not first:
        text = signed(row.difference, digits)
        apart = Cell(text, row.difference, n=n, of=n, interval=row.apart)
    return (
        Cell(with_sd(row.mean, row.sd, digits), row.mean, row.sd, n, n, interval=row.interval),
        Cell(_words(row, first)),
        apart,
        Cell("–") if first else _one(row.p, p_value),
        Cell(str(row.rank), row.rank, n=1, of=1, interval=row.places),
        _one(row.best, chance),
        _one(row.regret, lambda v: number(v, digits)),
        Cell(str(n), n, n=1, of=1),
    )


def _digits(said: Advice) -> int:
    """Decimals: of epochs one, of shares three."""
    return 1 if said.goal == "fast" else 3


def _words(row: Ranked, first: bool) -> str:
    if first:
        return "recommended"
    if row.p is None:
        return "cannot say: one seed" if row.seeds < 2 else "cannot say"
    return "cannot be told apart" if row.alike else "worse"


def _one(value: float | None, shown: Callable[[float], str]) -> Cell:
    return Cell("–") if value is None else Cell(shown(value), value, n=1, of=1)
