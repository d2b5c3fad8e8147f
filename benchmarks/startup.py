"""How soon the command answers."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.measure import turns
from benchmarks.tables import Row


def run(*, quick: bool) -> list[Row]:
    """The section."""
    rows = []
    for words, most in ((["--help"], 400.0), (["list", "losses"], None), (["--version"], None)):
        command = [sys.executable, "-m", "metriscope", *words]
        times = turns(
            lambda command=command: subprocess.run(command, check=True, capture_output=True),
            budget=2.0,
            least=3 if quick else 9,
        )[0]
        ms = 1e3 * sorted(times)[len(times) // 2]
        rows.append(Row(f"metriscope {' '.join(words)}", ms, most=most))
    return rows
