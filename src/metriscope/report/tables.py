"""Results as tables: one structure that the terminal, the report, Markdown and CSV all print.

A cell is the mean over seeds ± their standard deviation (ddof 1). With one seed there is no
standard deviation, and none is shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from metriscope.report import advice, columns
from metriscope.report.columns import Column
from metriscope.types import Interval, Results, RunResult

BASELINE = "untrained features"
_SEEDS = "Each cell is the mean over seeds ± their standard deviation"


@dataclass(frozen=True)
class Cell:
    """What a table shows at one place.

    Attributes:
        text: as shown. mean, sd: the numbers behind it; None where there is none.
        n: how many runs have a value. of: how many could have one.
        best: whether no mean of this column is better.
        interval: where the mean could as well lie; None where nobody can say.
        pictures: JPEG files, shown beside the text on a page.
    """

    text: str
    mean: float | None = None
    sd: float | None = None
    n: int = 0
    of: int = 0
    best: bool = False
    interval: Interval | None = None
    pictures: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Row:
    """A named row. ``note`` says what went wrong: ``failed``, ``2 of 3 runs``."""

    name: str
    cells: tuple[Cell, ...]
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table with its explanation. ``head`` is the heading of the column of row names."""

    title: str
    explanation: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    head: str = "Loss"


def build(results: Results) -> list[Table]:
    """The three tables: Retrieval, VARIANCE and GREEDINESS.

    One row a loss, in the order the runs were asked for. A table shows the columns that at least
    one row has; every score keeps its direction from the diagnostic that computes it.

    Args:
        results: a comparison, or any part of one: no finished run, no baseline, few scores.
    """
    return [
        _table(
            results,
            "Retrieval",
            f"Does a query find its own class among its neighbours? {_SEEDS}. The last row "
            "is the input itself, before any training.",
            columns.RETRIEVAL,
            baseline=True,
        ),
        _table(
            results,
            "VARIANCE: the geometry each loss leaves",
            "How tight are the classes, and how far apart? Neither direction is good by itself: "
            "very tight classes lose the differences within a class, very wide ones overlap. "
            f"{_SEEDS}.",
            columns.VARIANCE,
            baseline=True,
        ),
        _table(
            results,
            "GREEDINESS: how each loss spends its gradients",
            "Does a loss take many small steps on nearly everything (high active share, small "
            "gradients), or few large ones on the hard cases? Losses are on different scales: "
            f"compare their fall, not their value. {_SEEDS}.",
            columns.GREEDINESS,
            baseline=False,
        ),
    ]


def cell(values: Sequence[float], column: Column, runs: int | None = None) -> Cell:
    """Mean ± SD (ddof 1) of the defined values of ``runs`` runs.

    Where some runs have no value, the text says so: ``31.0 ± 1.4 (2/3)``.
    """
    runs = len(values) if runs is None else runs
    if not values:
        return Cell(column.undefined, of=runs)
    mean, sd = math.fsum(values) / len(values), None
    if len(values) > 1:
        sd = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))
    text = with_sd(mean, sd, column.digits)
    if len(values) < runs:
        text += f" ({len(values)}/{runs})"
    return Cell(text, mean, sd, len(values), runs)


def number(value: float, digits: int = 3) -> str:
    """A number with fixed decimals, or with an exponent where those would hide it."""
    if (value and abs(value) < 0.5 * 10**-digits) or abs(value) >= 1e5:
        return f"{value:.1e}"
    return f"{value:.{digits}f}"


def signed(value: float, digits: int = 3) -> str:
    """A difference, with its sign; 0 has none."""
    text = number(value, digits)
    return f"+{text}" if value > 0 else text


def with_sd(mean: float, sd: float | None, digits: int = 3) -> str:
    """``0.912 ± 0.003``; the SD has the decimals of its mean, so that it claims no more precision.

    Without an SD, the mean alone.
    """
    text = number(mean, digits)
    if sd is None:
        return text
    beside = f"{sd:.0e}" if "e" in text and sd else "0" if "e" in text else f"{sd:.{digits}f}"
    return f"{text} ± {beside}"


def defined(runs: Iterable[RunResult], score: str) -> list[float]:
    """The values of a score over the finished runs that have one."""
    found = (run.scores.get(score) for run in runs if run.status == "done")
    return [v for v in found if v is not None and math.isfinite(v)]


def summary(results: Results, score: str = "recall@1") -> dict[str, Cell]:
    """A score's cell for each loss that has it, in order."""
    column = next(c for c in columns.RETRIEVAL if c.score == score)
    values = {name: defined(runs, score) for name, runs in results.by_loss().items()}
    return {name: cell(v, column) for name, v in values.items() if v}


def answer(results: Results) -> str:
    """The recommendation; without one, which mean is best in these runs, which is no test."""
    if "datasets" in results.about:
        return " ".join(f"{name}: {answer(results.of(name))}" for name in results.datasets)
    said = advice.read(results)
    if said and (said.rows or not summary(results)):
        return said.answer
    return f"{said.answer} {_best_mean(results)}" if said else _best_mean(results)


def _best_mean(results: Results) -> str:
    """Which loss retrieves best in these runs, without pretending to be a test."""
    cells = summary(results)
    ranked = sorted(cells, key=lambda name: -(cells[name].mean or 0))
    if not ranked:
        return "No run finished with a Recall@1, so there is nothing to compare."
    seeds = cells[ranked[0]].n
    text = f"{ranked[0]} has the highest mean Recall@1: {cells[ranked[0]].text}"
    text += f" (mean ± SD over {seeds} seeds)." if seeds > 1 else " (one seed)."
    if len(ranked) > 1:
        text += f" Next: {ranked[1]}, {cells[ranked[1]].text}."
    before = finite(results.about.get("baseline") or {}).get("recall@1")
    if before is not None:
        text += f" The untrained features reach {number(before)}."
    return text + (
        " This describes these runs; it is not a tested recommendation: differences of the size "
        "of the ± may be chance."
        if seeds > 1
        else " One seed shows no spread: this is not a recommendation; run more with --seeds."
    )


def _table(
    results: Results,
    title: str,
    explanation: str,
    wanted: Sequence[Column],
    *,
    baseline: bool,
) -> Table:
    from metriscope.diagnostics.base import all_scores

    known = all_scores()
    base: Mapping[str, Any] = (results.about.get("baseline") or {}) if baseline else {}
    present = {name for run in results.runs for name in run.scores} | set(base)
    shown = tuple(
        replace(c, better=known[c.score].better if c.directed and c.score in known else None)
        for c in wanted
        if c.score in present
    )
    rows = [_row(name, runs, shown) for name, runs in results.by_loss().items()]
    rows = mark_best(rows, shown)
    if any(c.best for row in rows for c in row.cells):
        explanation += " * marks the best mean of a column: a mean alone, read it with its ±."
    if base:
        values = finite(base)
        cells = (cell([values[c.score]] if c.score in values else [], c) for c in shown)
        rows.append(Row(BASELINE, tuple(cells)))
    return Table(title, explanation, shown, tuple(rows))


def _row(name: str, runs: Sequence[RunResult], shown: Sequence[Column]) -> Row:
    done = [run for run in runs if run.status == "done"]
    note = "" if len(done) == len(runs) else f"{len(done)} of {len(runs)} runs"
    cells = []
    for column in shown:
        computed = any(column.score in run.scores for run in done)
        values = defined(done, column.score)
        cells.append(cell(values, column, len(done)) if computed else Cell("–"))
    return Row(name, tuple(cells), note if done else "failed")


def mark_best(rows: Sequence[Row], shown: Sequence[Column]) -> list[Row]:
    """Mark every cell that prints the same mean as the best one, where two rows or more compete.

    A cell that lacks some of its runs does not compete: its mean leaves out what went worst.
    """
    marked = [list(row.cells) for row in rows]
    for j, column in enumerate(shown):
        full = {i: c.mean for i, row in enumerate(rows) if (c := row.cells[j]).n == c.of}
        means = {i: mean for i, mean in full.items() if mean is not None}
        if column.better is None or len(means) < 2:
            continue
        top = (max if column.better == "higher" else min)(means.values())
        for i, mean in means.items():
            if number(mean, column.digits) == number(top, column.digits):
                marked[i][j] = replace(marked[i][j], best=True)
    return [replace(row, cells=tuple(cells)) for row, cells in zip(rows, marked, strict=True)]


def finite(scores: Mapping[str, Any]) -> dict[str, float]:
    """Those that are finite numbers."""
    return {k: v for k, v in scores.items() if isinstance(v, int | float) and math.isfinite(v)}
