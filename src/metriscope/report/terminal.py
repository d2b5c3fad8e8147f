"""A comparison in a terminal: the recommendation, the tables, what went wrong, the report.

Readable at any width and without colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from metriscope.report import advice, tables
from metriscope.report.console import line, print_finding, print_table, wrapped
from metriscope.report.words import listed
from metriscope.text import plain
from metriscope.types import Results

if TYPE_CHECKING:
    from rich.console import Console


def render(results: Results, console: Console, report: Path | None = None) -> None:
    """Print which loss to take, the tables, the findings and where the report is.

    Args:
        results: the comparison; of several datasets, one after another.
        console: decides width, colour and character set. Text of unknown origin is printed as
            text: no markup, no control characters.
        report: the written ``report.html``, if there is one.
    """
    if "datasets" in results.about:
        for name in results.datasets:
            wrapped(console, f"== {plain(name)} ==", "bold")
            _one(results.of(name), console)
            line(console)
    else:
        _one(results, console)
    if report is not None:
        line(console, f"Report: {plain(report)}")


def _one(results: Results, console: Console) -> None:
    _advice(results, console)
    line(console)
    for table in tables.build(results):
        if table.columns:
            print_table(table, console)
    if results.findings:
        line(console, "Findings", "bold")
        for finding in results.findings:
            print_finding(finding, console)
        line(console)
    else:
        line(console, "Findings: none. No check found anything wrong.")


def _advice(results: Results, console: Console) -> None:
    """The answer, what is as good, and what the paper would have said."""
    answer = tables.answer(results)
    wrapped(console, answer, "bold")
    said = advice.read(results)
    if said and any(loss not in answer for loss in said.alike):
        wrapped(console, f"Cannot be told apart from it: {listed(said.alike, 10)}.")
    for sentence in advice.against(said) if said else ():
        wrapped(console, sentence)
    if said and said.guideline:
        would = _either(said.guideline.losses)
        judged = _VERDICTS.get(said.guideline.verdict, said.guideline.verdict)
        wrapped(console, f"The paper's guideline would take {would}: {judged}.")


_VERDICTS = {
    "agrees": "on these rows that is right",
    "disagrees": "on these rows that is wrong",
    "cannot be told": "on these rows neither right nor wrong can be told",
    "not tested": "that is not tested here",
}


def _either(names: Sequence[str]) -> str:
    return listed(names, 10).replace(", ", " or ") if len(names) == 2 else listed(names, 10)
