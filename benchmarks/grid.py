"""A whole comparison: runs side by side against one after another.

Seven losses × three seeds on 4,000 rows of 768 features, start-up and scores included.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.measure import turns
from benchmarks.tables import Row, compared


def source(folder: Path) -> Path:
    """Training and test features in a folder."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((10, 768))
    for part, n in (("train", 4_000), ("test", 1_000)):
        y = rng.integers(10, size=n)
        x = (centres[y] + 3 * rng.standard_normal((n, 768))).astype(np.float32)
        np.savez(folder / f"{part}.npz", features=x, labels=y)
    return folder


def compare(data: Path, jobs: int, cores: int, words: list[str]) -> Callable[[], None]:
    """A comparison in ``jobs`` processes, which share so many of this machine's cores."""

    def pin() -> None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])

    def work() -> None:
        with tempfile.TemporaryDirectory() as out:
            command = [sys.executable, "-m", "metriscope", "compare", str(data), "--out", out]
            subprocess.run(
                [*command, "--jobs", str(jobs), *words],
                check=True,
                capture_output=True,
                preexec_fn=pin,
            )

    return work


def run(*, quick: bool) -> list[Row]:
    """The section; nothing where a process cannot be pinned, or there is one core."""
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        return []
    words = ["--epochs", "2" if quick else "10"]
    words += ["--losses", "scl,triplet", "--seeds", "1"] if quick else []
    with tempfile.TemporaryDirectory() as name:
        data = source(Path(name))
        one, wide, two = turns(
            compare(data, 1, 1, words),
            compare(data, 1, 2, words),
            compare(data, 2, 2, words),
            budget=0 if quick else 100,
            least=1,
            first=False,
        )
    what = "2 losses" if quick else "7 losses × 3 seeds"
    what += ", two jobs of one thread"
    bars = (None, None) if quick else (1.7, 1.0)  # start-up is most of a quick one
    return [
        compared(what, "one job of one thread", two, one, way="times faster", bar=bars[0]),
        compared(what, "one job of two threads", two, wide, way="times faster", bar=bars[1]),
    ]
