"""The losses of a recommendation as rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from metriscope import recommendation
from metriscope.report import columns, tables
from metriscope.report.columns import Column
from metriscope.report.tables import Cell, Row, number, signed, with_sd
from metriscope.report.words import p_value
from metriscope.types import Interval, Results


def ranked(results: Results) -> list[Mapping[str, Any]]:
    """What the recommendation says of each loss, best first; nothing without one."""
    return list((results.recommendation or {}).get("rows") or ())


def score(results: Iterable[Results]) -> str:
    """What the recommendations go by, in words; ``Score`` where they differ."""
    names = {str(found.recommendation.get("score")) for found in results if found.recommendation}
    name = columns.label(names.pop()) if len(names) == 1 else "score"
    return name[:1].upper() + name[1:]


def heads(results: Iterable[Results]) -> tuple[Column, ...]:
    """The columns of :func:`rows`."""
    return (
        Column(
            f"{score(results)}, validation",
            meaning="mean over queries and seeds, with its interval",
        ),
        Column("Place", meaning="by the mean, and in brackets the places that are as plausible"),
        Column("Chance", meaning="how often it is the best when seeds and queries are drawn anew"),
        Column(
            "Expected cost", meaning="how far it lies behind the best of each such draw, on average"
        ),
        Column("Difference", meaning="from the recommended loss"),
        Column("p", meaning="that there is no such difference, after Holm's correction"),
        Column("In words", words=True),
        Column("Seeds", digits=0),
    )


def rows(results: Results) -> list[Row]:
    """A row a loss that was ranked, and one for each that could not be."""
    advice = results.recommendation or {}
    made = [Row(str(row["loss"]), _cells(row, advice)) for row in ranked(results)]
    dashes = tuple(Cell("–") for _ in heads(()))
    missing = advice.get("missing") or {}
    return [*made, *(Row(str(loss), dashes, str(why)) for loss, why in missing.items())]


def seeds_of(results: Results, loss: str) -> Sequence[float]:
    """What each finished run of a loss has of the number that the recommendation goes by."""
    advice, runs = results.recommendation or {}, results.by_loss().get(loss, [])
    if advice.get("goal") != "fast":
        return tables.defined(runs, str(advice.get("score")))
    never = max((run.spec.epochs for run in runs), default=0) + 1
    reached = recommendation.epochs_to_target(results).get(loss, ())
    return [float(never if epoch is None else epoch) for epoch in reached]


def _cells(row: Mapping[str, Any], advice: Mapping[str, Any]) -> tuple[Cell, ...]:
    first = row["loss"] == advice.get("loss")
    digits = 1 if advice.get("goal") == "fast" else 3
    n, mean, sd = int(row.get("seeds") or 0), row["mean"], row.get("sd")
    low, high = row.get("rank_low"), row.get("rank_high")
    place = str(row["rank"]) + ("" if low is None or high is None else f" ({low} to {high})")
    return (
        Cell(with_sd(mean, sd, digits), mean, sd, n, n, interval=_interval(row, "low", "high")),
        Cell(place, row["rank"], n=1, of=1, interval=_interval(row, "rank_low", "rank_high")),
        _one(row.get("best"), lambda v: f"{100 * v:.0f} %"),
        _one(row.get("regret"), lambda v: number(v, digits)),
        Cell("–") if first else _difference(row, digits),
        Cell("–") if first else _one(row.get("p"), p_value),
        Cell(_words(row, advice)),
        Cell(str(n), n, n=1, of=1),
    )


def _difference(row: Mapping[str, Any], digits: int) -> Cell:
    value = row.get("difference")
    if value is None:
        return Cell("–")
    between = _interval(row, "difference_low", "difference_high")
    return Cell(signed(value, digits), value, n=1, of=1, interval=between)


def _words(row: Mapping[str, Any], advice: Mapping[str, Any]) -> str:
    if row["loss"] == advice.get("loss"):
        return "recommended"
    if row.get("p") is None:
        return "cannot say: one seed" if (row.get("seeds") or 0) < 2 else "cannot say"
    return "cannot be told apart from it" if row.get("alike") else "worse"


def _interval(row: Mapping[str, Any], low: str, high: str) -> Interval | None:
    if row.get(low) is None or row.get(high) is None:
        return None
    return Interval(row[low], row[high])


def _one(value: float | None, shown: Callable[[float], str]) -> Cell:
    return Cell("–") if value is None else Cell(shown(value), value, n=1, of=1)
