"""Efficiency and granularity: how fast a loss is, against how much variance it keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from metriscope import recommendation
from metriscope.paper.audit.structure import COLLAPSED
from metriscope.report import style, tables
from metriscope.report.charts import Chart, Dots, Mark, Plane, Rule
from metriscope.report.columns import Column
from metriscope.report.evidence import Evidence
from metriscope.report.panels import register
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Cell, Row, Table
from metriscope.report.words import listed
from metriscope.types import Results

_KEPT = Column(
    "Within classes", "intra.pair_cos.mean", "mean cosine distance of two members of one class"
)
_TARGET = Column(
    "Epochs to the target",
    meaning="first epoch whose validation Recall@1 is 98 % of the best loss's last",
    digits=1,
    undefined="not reached",
)
_FALL = Column(
    "Epochs to −50 %",
    "epochs_to.50",
    "first epoch whose loss is 50 % below the loss before training",
    digits=1,
    undefined="not reached",
)


@register("plane")
class EfficiencyGranularity(Panel):
    """How fast each loss learns, and how much difference within classes it keeps."""

    title = "Fast, or fine? The efficiency–granularity plane"
    order = 50

    def frame(self, evidence: Evidence) -> Table:
        """One row a loss: epochs, and the variance within classes at the end."""
        column, epochs = _epochs(evidence.results)
        rows = []
        for loss, runs in evidence.results.by_loss().items():
            kept = tables.cell(tables.defined(runs, _KEPT.score), _KEPT, len(runs))
            if kept.mean is None or not epochs.get(loss):
                continue
            done = sum(run.status == "done" for run in runs)
            note = "" if done == len(runs) else f"{done} of {len(runs)} runs"
            fast = _fast(epochs[loss], column, _last(evidence.results) + 1)
            rows.append(Row(loss, (fast, kept), note))
        return Table(self.title, _said(evidence, column, rows), (column, _KEPT), tuple(rows))

    def plot(self, evidence: Evidence) -> Chart | None:
        """A point a loss with its SD both ways; at the dashed line, those that never got there."""
        table = self.frame(evidence)
        if not table.rows:
            return None
        edge = _last(evidence.results) + 1
        marks: list[Mark] = [_point(row, edge) for row in table.rows]
        if any(row.cells[0].n < row.cells[0].of for row in table.rows):
            marks.append(Rule("not reached", x=edge))
        plane = Plane(
            tuple(marks),
            x_label=f"{table.columns[0].label} (± SD over seeds; left: fast)",
            x_range=_reach(table.rows, edge),
            y_label="Distance within classes (± SD; up: more kept)",
        )
        legend = tuple((row.name, style.look(row.name)) for row in table.rows)
        return Chart((plane,), width=5.8, height=4.2, legend=legend, lines=False)


def _epochs(results: Results) -> tuple[Column, dict[str, list[float | None]]]:
    """Of every finished run: to the target, or, without a validation part, to half the loss."""
    found = recommendation.epochs_to_target(results)
    if any(e is not None for values in found.values() for e in values):
        return _TARGET, {loss: list(values) for loss, values in found.items()}
    halved = {
        loss: [run.scores.get(_FALL.score) for run in runs if run.status == "done"]
        for loss, runs in results.by_loss().items()
        if any(_FALL.score in run.scores for run in runs)
    }
    return _FALL, halved


def _reach(rows: Sequence[Row], edge: float) -> tuple[float, float]:
    """From before training to the last loss, with its bar."""
    cells = [row.cells[0] for row in rows]
    ends = [edge if c.n < c.of else (c.mean or 0.0) + (c.sd or 0.0) for c in cells]
    most = max(1.0, *ends)
    return -0.05 * most, 1.05 * most


def _fast(epochs: Sequence[float | None], column: Column, never: float) -> Cell:
    """Mean ± SD; a run that did not get there counts as one epoch more than it had."""
    reached = sum(e is not None for e in epochs)
    if not reached:
        return Cell(column.undefined, of=len(epochs))
    found = tables.cell([never if e is None else e for e in epochs], column)
    part = "" if reached == len(epochs) else f" ({reached}/{len(epochs)} reached)"
    return replace(found, text=found.text + part, n=reached)


def _last(results: Results) -> float:
    return float(max(run.spec.epochs for run in results.runs))


def _said(evidence: Evidence, column: Column, rows: Sequence[Row]) -> str:
    """What the paper claims, and what is seen."""
    if not rows:
        return "No finished run says how fast its loss is."
    said = (
        "The paper claims a trade-off: losses that learn fast (left) make classes tight (low), "
        f"and those that keep differences within classes are slow. {_correlation(evidence, rows)}"
    )
    if column is _FALL:
        said += (
            " Without validation scores the speed is that of each loss's own fall, which is not "
            "comparable between losses: each has another floor."
        )
    never = [row.name for row in rows if row.cells[0].mean is None]
    if any(row.cells[0].n < row.cells[0].of for row in rows):
        said += " A run that did not get there counts as one epoch more than it had."
    return said + (f" Not reached, at the dashed line: {listed(never, 10)}." if never else "")


def _correlation(evidence: Evidence, rows: Sequence[Row]) -> str:
    """Spearman's, over losses that did not collapse; those decide it by themselves."""
    from scipy.stats import spearmanr

    never = _last(evidence.results) + 1
    every = [
        (row.name, never if row.cells[0].mean is None else row.cells[0].mean, row.cells[1].mean)
        for row in rows
    ]
    if not any(fast for _, fast, _ in every):
        return "Here every loss is there before any training, so there is no speed to compare."
    counted = [(fast, kept) for _, fast, kept in every if kept is not None and kept >= COLLAPSED]
    out = [name for name, _, kept in every if kept is None or kept < COLLAPSED]
    without = (
        f" Not counted, with less than {COLLAPSED} within classes and so nearly collapsed: "
        f"{listed(out, 10)}."
        if out
        else ""
    )
    if len(counted) < 3 or any(len(set(values)) < 2 for values in zip(*counted, strict=True)):
        return f"These losses are too few, or too alike, to see whether it holds here.{without}"
    rho = float(spearmanr(*zip(*counted, strict=True)).statistic)
    direction = "as claimed" if rho > 0 else "the other way" if rho < 0 else "neither way"
    return (
        f"Here the rank correlation (Spearman) of epochs and variance is {rho:+.2f} over "
        f"{len(counted)} losses: {direction}. Over so few losses only a nearly perfect one would "
        f"show more than chance.{without}"
    )


def _point(row: Row, edge: float) -> Dots:
    x, y = row.cells
    assert y.mean is not None  # or there was no row
    at = edge if x.mean is None else x.mean
    return Dots(
        row.name,
        (at,),
        (y.mean,),
        style.look(row.name),
        x_low=() if x.sd is None else (at - x.sd,),
        x_high=() if x.sd is None else (at + x.sd,),
        y_low=() if y.sd is None else (y.mean - y.sd,),
        y_high=() if y.sd is None else (y.mean + y.sd,),
        texts=(f"{row.name}: {x.text} epochs, {y.text} within classes",),
        size=9,
    )
