"""Shared by the panels that show how the embeddings of one run of each loss look."""

from __future__ import annotations

from metriscope.report.evidence import Evidence
from metriscope.report.tables import Cell, number


def which(evidence: Evidence) -> str:
    """Whose embeddings are shown: ``Of the run with seed 0 of each loss, on test rows.``"""
    seeds = {loss: run.spec.seed for loss, (run, _) in evidence.shown.items()}
    if len(set(seeds.values())) == 1:
        one = next(iter(seeds.values()))
        return f"Of the run with seed {one} of each loss, on test rows."
    said = ", ".join(f"{loss} {seed}" for loss, seed in seeds.items())
    return f"Of one run of each loss, on test rows; its seed: {said}."


def value(number_: float | None, digits: int = 3) -> Cell:
    """One number of one run; a dash if it is undefined."""
    return Cell("–") if number_ is None else Cell(number(number_, digits), number_, n=1, of=1)


def count(rows: int) -> Cell:
    """How many."""
    return Cell(f"{rows:,}", rows, n=1, of=1)
