"""The report of 7 losses × 5 datasets × 3 seeds: its time and its size, and the views it needs.

On 2,000 test rows of each dataset (300 of a quick one), made without training.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks import grid105
from benchmarks.measure import median_ratio, seconds
from benchmarks.tables import Row
from metriscope import views
from metriscope.report import html
from metriscope.report.charts.interactive import library
from metriscope.types import Results


def drawn(results: Results, folder: Path) -> float:
    """Seconds of the page, all its numbers among them."""
    return seconds(lambda: html.write(results, folder / "report.html"))


def run(*, quick: bool) -> list[Row]:
    """The section."""
    rows = 300 if quick else 2_000
    losses = ("triplet", "scl", "ccl") if quick else grid105.losses.PAPER
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results = grid105.write(folder, names=losses, rows=rows)
        shown = len(losses) * len(results.datasets)
        start = time.perf_counter()
        views.complete(folder, results, jobs=1)
        looking = time.perf_counter() - start
        one = results.of(results.datasets[-1])
        turns = [(drawn(one, folder), drawn(results, folder)) for _ in range(1 if quick else 3)]
        every, single = ([pair[i] for pair in turns] for i in (1, 0))
        size = (folder / "report.html").stat().st_size
    own = (size - len(library().encode())) / 1e6
    what = f"{len(results.runs)} runs"
    return [
        Row(
            f"page of {what}",
            min(every),
            "s",
            "of one dataset",
            min(single),
            median_ratio(every, single),
            most=8.0,
        ),
        Row(f"page of {what}", size / 1e6, "MB", most=20.0),
        Row(
            f"page without plotly, a loss and dataset of {what}", 1e3 * own / shown, "kB", most=400
        ),
        Row(f"views, once only, each of {rows:,} rows", looking / shown, "s a view"),
    ]
