"""Our numbers beside those that the paper printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from metriscope import statistics
from metriscope.paper.tables import RANKS, Published, canonical, published
from metriscope.report import style, tables
from metriscope.report.charts import Chart, Dots, Line, Mark, Plane
from metriscope.report.columns import Column
from metriscope.report.evidence import Evidence
from metriscope.report.panels import register
from metriscope.report.panels.base import Panel
from metriscope.report.style import INK, Look
from metriscope.report.tables import Cell, Row, Table
from metriscope.report.words import listed

_DIGITS = 4


Printed = Callable[[Published, str, str], float]


class Quantity(NamedTuple):
    """A number of the paper, and the score that it may be. ``squared``: the score's square."""

    label: str
    score: str
    printed: Printed
    squared: bool = False


def _recall(place: int) -> Printed:
    return lambda paper, dataset, loss: paper.recall[dataset][loss][place]


def _geometry(place: int) -> Printed:
    return lambda paper, dataset, loss: paper.geometry[dataset][loss][place]


QUANTITIES = (
    *(Quantity(f"Recall@{k}", f"recall@{k}", _recall(place)) for place, k in enumerate(RANKS)),
    Quantity("Within, μ", "intra.pair_cos.mean", _geometry(0)),
    Quantity("Within, σ² as SD", "intra.pair_cos.sd", _geometry(1)),
    Quantity("Within, σ² as variance", "intra.pair_cos.sd", _geometry(1), squared=True),
    Quantity("Between, μ as Euclidean", "inter.euclid.mean", _geometry(2)),
    Quantity("Between, μ as cosine", "inter.cos.mean", _geometry(2)),
    Quantity("Between, σ² as SD of Euclidean", "inter.euclid.sd", _geometry(3)),
    Quantity("Between, σ² as variance of cosine", "inter.cos.sd", _geometry(3), squared=True),
)
"""Tables 3 and 2; of Table 2 both readings: the one that fits, and the one that its text names."""

_DRAWN = ("Recall@1", "Within, μ", "Between, μ as Euclidean")


@register("paper")
class Paper(Panel):
    """Ours and theirs, the difference, and whether the paper's number lies in our interval."""

    title = "Beside the paper: Tables 2 and 3"
    order = 84
    about = "all"
    layout = "folded"

    def caption(self, evidence: Evidence) -> str:
        """How many of the paper's numbers lie in our intervals, and what that means."""
        return _said(evidence, self.frame(evidence))

    def frame(self, evidence: Evidence) -> Table:
        """One row a quantity, dataset and loss."""
        paper = published()
        rows = [
            row
            for name, part in evidence.parts.items()
            if (dataset := canonical(name)) is not None
            for quantity in QUANTITIES
            for loss in part.results.by_loss()
            if loss in paper.recall[dataset]
            and (row := _row(part, paper, dataset, loss, quantity)) is not None
        ]
        return Table(self.title, _MEANING, _COLUMNS, tuple(rows))

    def plot(self, evidence: Evidence) -> Chart | None:
        """Ours against theirs, a point a loss and dataset; on the line both are the same."""
        rows = self.frame(evidence).rows
        planes = tuple(plane for label in _DRAWN if (plane := _plane(label, rows)) is not None)
        if not planes:
            return None
        losses = dict.fromkeys(row.name for row in rows)
        legend = tuple((loss, style.look(loss)) for loss in losses)
        return Chart(planes, columns=3, width=3.4, height=3.4, legend=legend, lines=False)


_COLUMNS = (
    Column("Data set", words=True),
    Column("Quantity", words=True),
    Column("Ours", meaning="mean over seeds ± their standard deviation", digits=_DIGITS),
    Column("Paper", meaning="as printed, of one run", digits=_DIGITS),
    Column("Difference", meaning="ours minus the paper's", digits=_DIGITS),
    Column("Paper in our interval", meaning="95 %, over seeds and queries", words=True),
)
_MEANING = (
    "Ours, the mean over seeds ± their standard deviation with its 95 % interval, beside what the "
    "paper printed. Table 2 is read in both ways: as Euclidean distances with standard deviations, "
    "which all its cells allow, and as its text has it, cosine distances with variances."
)


def _row(
    part: Evidence, paper: Published, dataset: str, loss: str, quantity: Quantity
) -> Row | None:
    """None where no run has the score."""
    runs = part.results.by_loss()[loss]
    values = tables.defined(runs, quantity.score)
    if quantity.squared:
        values = [value**2 for value in values]
    if not values:
        return None
    theirs = quantity.printed(paper, dataset, loss)
    ours = tables.cell(values, _COLUMNS[2], len(runs))
    if quantity.squared:
        interval = statistics.seeds_estimate(np.array(values)).interval
    else:
        found = part.estimates(quantity.score).get(loss)
        interval = found.interval if found is not None and found.seeds == len(values) else None
    gap = sum(values) / len(values) - theirs
    inside = "no interval"
    if interval is not None:
        inside = "yes" if interval.low <= theirs <= interval.high else "no"
    cells = (
        Cell(paper.printed(dataset)),
        Cell(quantity.label),
        replace(ours, interval=interval),
        Cell(f"{theirs:.{_DIGITS}f}", theirs, n=1, of=1),
        Cell(f"{gap:+.{_DIGITS}f}", gap, n=1, of=1),
        Cell(inside),
    )
    return Row(loss, cells)


def _said(evidence: Evidence, table: Table) -> str:
    """The caption; empty without rows."""
    if not table.rows:
        return ""
    said, counts = [_MEANING], []
    for label in _DRAWN:
        cells = [row.cells for row in table.rows if row.cells[1].text == label]
        told = [c[5].text for c in cells if c[5].text != "no interval"]
        if told:
            counts.append(f"{label}, {told.count('yes')} of {len(told)}")
    if counts:
        said.append(f"Published numbers that lie in our interval: {'; '.join(counts)}.")
    if all(row.cells[5].text == "no interval" for row in table.rows):
        said.append("One seed: no interval can be given.")
    said.append(
        "The paper's are of one run each, with other features and unstated settings, so they may "
        "lie outside for either reason."
    )
    if left_out(evidence):
        said.append(f"Not at hand: {listed(left_out(evidence), 5)}.")
    return " ".join(said)


def left_out(evidence: Evidence) -> tuple[str, ...]:
    """Datasets of the paper that could not be had."""
    found = evidence.results.about.get("left_out")
    return tuple(map(str, found)) if isinstance(found, Mapping) else ()


def _plane(label: str, rows: tuple[Row, ...]) -> Plane | None:
    shown = [row for row in rows if row.cells[1].text == label]
    if not shown:
        return None
    values = [c.mean or 0.0 for row in shown for c in row.cells[2:4]]
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or 0.05
    ends = (low - room, high + room)
    marks: list[Mark] = [Line("the same", ends, ends, Look(INK, "o", (3, 3)))]
    for loss in dict.fromkeys(row.name for row in shown):
        mine = [row.cells for row in shown if row.name == loss]
        ours = [c[2].mean or 0.0 for c in mine]
        marks.append(
            Dots(
                loss,
                tuple(c[3].mean or 0.0 for c in mine),
                tuple(ours),
                style.look(loss),
                y_low=tuple(
                    c[2].interval.low if c[2].interval else y
                    for c, y in zip(mine, ours, strict=True)
                ),
                y_high=tuple(
                    c[2].interval.high if c[2].interval else y
                    for c, y in zip(mine, ours, strict=True)
                ),
                texts=tuple(f"{loss}, {c[0].text}" for c in mine),
            )
        )
    return Plane(
        tuple(marks), x_label="Paper", y_label="Ours", title=label, x_range=ends, y_range=None
    )
