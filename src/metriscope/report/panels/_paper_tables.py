"""Shared by the tables in the paper's layout: losses down, data sets across."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from metriscope.report import tables
from metriscope.report.columns import Column
from metriscope.report.evidence import Evidence
from metriscope.report.tables import Cell, Row, Table


class Part(NamedTuple):
    """A column that every data set has."""

    label: str
    score: str
    meaning: str
    better: Literal["higher", "lower"] | None = None


def by_dataset(
    evidence: Evidence, title: str, explanation: str, wanted: Sequence[Part], digits: int = 4
) -> Table:
    """Mean ± SD over seeds of some scores, for each loss and data set.

    The explanation names the losses that have fewer runs, or none, on some data set.
    """
    parts = evidence.parts
    shown = [
        (name, part)
        for name in parts
        for part in wanted
        if any(part.score in run.scores for run in parts[name].results.runs)
    ]
    heads = tuple(
        Column(f"{name}: {part.label}", "", part.meaning, digits, better=part.better)
        for name, part in shown
    )
    groups = {name: part.results.by_loss() for name, part in parts.items()}
    losses = dict.fromkeys(loss for found in groups.values() for loss in found)
    rows = []
    for loss in losses:
        cells = []
        for (name, part), column in zip(shown, heads, strict=True):
            runs = groups[name].get(loss, ())
            values = tables.defined(runs, part.score)
            cells.append(tables.cell(values, column, len(runs)) if runs else Cell("–"))
        rows.append(Row(loss, tuple(cells), _note(loss, evidence)))
    rows = tables.mark_best(rows, heads) if rows and heads else []
    return Table(title, explanation, heads, tuple(rows))


def _note(loss: str, evidence: Evidence) -> str:
    """What is missing of a loss: ``failed on cub200, 2 of 3 runs on cars196``."""
    said = []
    for name, part in evidence.parts.items():
        runs = part.results.by_loss().get(loss, [])
        done = sum(run.status == "done" for run in runs)
        if not runs:
            said.append(f"not run on {name}")
        elif done < len(runs):
            what = f"{done} of {len(runs)} runs" if done else "failed"
            said.append(f"{what} on {name}" if len(evidence.parts) > 1 else what)
    return ", ".join(said)
