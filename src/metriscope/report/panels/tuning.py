"""What tuning found, and what it is worth on the test part."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np

from metriscope import statistics
from metriscope.report import columns, style
from metriscope.report.charts import Chart, Dots, Line, Mark, Plane
from metriscope.report.columns import Column
from metriscope.report.evidence import Evidence
from metriscope.report.panels import register
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Cell, Row, Table, cell, defined, number, signed
from metriscope.statistics import Difference
from metriscope.types import RunResult


@register("tuning")
class Tuning(Panel):
    """Every loss with its settings as given and at its best."""

    title = "Tuning: each loss as given, and at its best"
    order = 80

    def caption(self, evidence: Evidence) -> str:
        """What was done, and how far the numbers can be trusted."""
        tuning = _about(evidence)
        if not tuning:
            return ""
        return " ".join(
            [
                f"Every loss got {tuning['budget']} trials on the validation part, all with seed "
                f"{tuning['seed']}, the first with its settings as given; the comparison uses the "
                f"best by {_score(tuning)} ({tuning['better']} is better). The validation columns "
                "are of that one seed, and the best of many is flattered by chance: judge tuning "
                "by the test columns, which are over all seeds and had no part in the choice.",
                _worth(evidence),
                *tuning["notes"],
            ]
        )

    def frame(self, evidence: Evidence) -> Table:
        """One row a loss: what was found, and its score before and after."""
        tuning = _about(evidence)
        score = _tested(tuning)
        shown = next((c for c in columns.RETRIEVAL if c.score == score), Column("", score))
        label = columns.label(score)
        heads = (
            Column("Settings found", meaning="as options of compare", words=True),
            Column("Validation, as given", meaning=f"{_score(tuning)} of one seed"),
            Column("Validation, at its best", meaning="the best of its trials, of one seed"),
            Column(f"{label}, as given", meaning="on the test part, over the seeds"),
            Column(f"{label}, at its best", meaning="on the test part, over the seeds"),
            Column(
                "Change",
                meaning="on the test part, paired by seed and query, with its 95 % interval",
            ),
        )
        rows = []
        for loss, found in tuning.get("losses", {}).items():
            before, after = (_runs(evidence, kind, loss) for kind in ("untuned", ""))
            cells = (
                Cell(_settings(found)),
                _plain(found["default"]),
                _plain(found["value"]),
                *(cell(defined(runs, score), shown, len(runs)) for runs in (before, after)),
                _change(evidence, loss),
            )
            failed = found["failed"]
            note = f"{failed} of {len(found['trials'])} trials failed" if failed else ""
            rows.append(Row(loss, cells, note))
        return Table(self.title, "", heads, tuple(rows))

    def plot(self, evidence: Evidence) -> Chart | None:
        """The change on the test part, and the best of so many trials on the validation part."""
        table, tuning = self.frame(evidence), _about(evidence)
        if not table.rows:
            return None
        names = tuple(row.name for row in table.rows)
        height = max(3.0, 1.1 + 0.32 * len(names))
        legend = tuple((name, style.look(name)) for name in names)
        changes = _changes(table, columns.label(_tested(tuning)))
        planes = [plane for plane in (changes, _progress(tuning)) if plane.marks]
        return Chart(tuple(planes), height=height, legend=legend) if planes else None


# ---------------------------------------------------------------------------------------- numbers


def _about(evidence: Evidence) -> Mapping[str, Any]:
    return evidence.results.about.get("tuning") or {}


def _score(tuning: Mapping[str, Any]) -> str:
    """``Recall@1, mean over epochs`` of ``val.recall@1, mean over epochs``."""
    name, comma, how = str(tuning.get("score", "")).partition(",")
    return columns.label(name) + comma + how


def _tested(tuning: Mapping[str, Any]) -> str:
    """The score of the test part that stands for what was tuned."""
    return str(tuning.get("score", "recall@1")).partition(",")[0].removeprefix("val.")


def _runs(evidence: Evidence, kind: str, loss: str) -> list[RunResult]:
    """Of the comparison, or of what stands beside it."""
    results = evidence.results
    runs = results.others.get(kind, ()) if kind else results.runs
    return [run for run in runs if run.spec.loss == loss]


def _settings(found: Mapping[str, Any]) -> str:
    """``--set triplet.margin=0.23 --set optimizer.lr=0.001``, for a shell."""
    if found["best"] == found["given"]:
        return "as given"
    return " ".join(f"--set {shlex.quote(f'{k}={v}')}" for k, v in found["best"].items())


def _plain(value: float | None) -> Cell:
    return Cell("–", of=1) if value is None else Cell(number(value), value, n=1, of=1)


def _difference(evidence: Evidence, loss: str) -> Difference | None:
    """At its best minus as given, on the test part; None without a common seed."""
    score = _tested(_about(evidence))
    found = []
    for kind in ("", "untuned"):
        part = replace(evidence.results, runs=tuple(_runs(evidence, kind, loss)), others={})
        outcomes = Evidence(part, evidence.folder).outcomes(score)
        if loss not in outcomes.values:
            return None
        found.append((outcomes.seeds, outcomes.values[loss]))
    seeds = [seed for seed in found[0][0] if seed in found[1][0]]
    after, before = (values[[own.index(s) for s in seeds]] for own, values in found)
    if not seeds:
        return None
    if after.shape != before.shape:  # the queries of only one of them were kept
        after, before = (np.nanmean(values, 1, keepdims=True) for values in (after, before))
    return statistics.difference(after, before)


def _change(evidence: Evidence, loss: str) -> Cell:
    found = _difference(evidence, loss)
    if found is None:
        return Cell("–")
    n = found.seeds
    return Cell(signed(found.mean), found.mean, n=n, of=n, interval=found.interval)


def _worth(evidence: Evidence) -> str:
    """How many losses changed by more than chance explains."""
    found = [_change(evidence, loss) for loss in _about(evidence).get("losses", {})]
    tested = [c for c in found if c.interval is not None]
    if not tested:
        return "Whether a change is more than chance cannot be told from these runs."
    beyond = sum(c.interval.low > 0 or c.interval.high < 0 for c in tested if c.interval)
    return (
        f"On the test part {beyond} of {len(tested)} losses changed by more than chance explains "
        "(the interval of the change leaves out 0; each tested by itself)."
    )


# --------------------------------------------------------------------------------------- pictures


def _changes(table: Table, label: str) -> Plane:
    """From as given (ink) to at its best (the loss's own look)."""
    marks: list[Mark] = []
    for i, row in enumerate(table.rows):
        before, after = row.cells[3].mean, row.cells[4].mean
        look = style.look(row.name)
        if before is not None and after is not None:
            marks.append(Line(row.name, (before, after), (i, i), look))
        if before is not None:
            text = f"{row.name}, as given"
            marks.append(Dots(text, (before,), (i,), style.Look(style.INK, "o"), size=5))
        if after is not None:
            marks.append(Dots(f"{row.name}, at its best", (after,), (i,), look))
    return Plane(
        tuple(marks),
        x_label=f"{label}, test (small: as given)",
        y_range=(len(table.rows) - 0.5, -0.5),
        y_names=tuple(row.name for row in table.rows),
    )


def _progress(tuning: Mapping[str, Any]) -> Plane:
    """The best value so far after each trial."""
    better = max if tuning["better"] == "higher" else min
    marks = []
    for loss, found in tuning["losses"].items():
        values = [trial["value"] for trial in found["trials"]]
        x = [i for i, value in enumerate(values, 1) if value is not None]
        if x:
            y = accumulate((v for v in values if v is not None), better)
            marks.append(Line(loss, _numbers(x), _numbers(tuple(y)), style.look(loss), marks=True))
    return Plane(
        tuple(marks),
        x_label="Trials (1: as given)",
        y_label=f"Best so far: {_score(tuning)}, validation",
        whole=True,
    )


def _numbers(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
