"""Everything that is promised about speed and memory, measured in one run.

    python -m benchmarks [SECTION …] [--quick] [--json FILE] [--markdown FILE]

Each section runs in a process of its own. What is compared takes turns; times are medians, ratios
are medians of the ratios of each turn. The exit status is 1 where a bar is not met.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.tables import Row, markdown, print_section

SECTIONS = (
    "losses",
    "step",
    "monitor",
    "retrieval",
    "geometry",
    "grid",
    "startup",
    "extraction",
    "statistics",
    "report",
)
PACKAGES = ("torch", "numpy", "scikit-learn", "pytorch-metric-learning", "faiss-cpu")
THREADS = {"grid": None, "startup": None, "extraction": None}  # of a section; 1 elsewhere


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.split("\n")[0]
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="smaller and fewer repeats")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--markdown", type=Path, help="also write the tables here")
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    unknown = [name for name in args.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"unknown section {unknown[0]!r}; there are {', '.join(SECTIONS)}.")
    if args.alone:
        rows = importlib.import_module(f"benchmarks.{args.sections[0]}").run(quick=args.quick)
        args.alone.write_text(json.dumps([row.to_dict() for row in rows]), encoding="utf-8")
        return 0
    start = time.time()
    found: dict[str, list[Row]] = {}
    titles = {}
    for name in args.sections or SECTIONS:
        titles[name] = title(name)
        found[name] = in_process(name, quick=args.quick)
        print_section(titles[name], found[name])
    about = machine()
    print(f"{about['machine']}; {time.time() - start:.0f} s")
    if args.json:
        sections = {name: [row.to_dict() for row in rows] for name, rows in found.items()}
        args.json.write_text(json.dumps(about | {"sections": sections}, indent=1) + "\n", "utf-8")
    if args.markdown:
        tables = [markdown(titles[name], rows) for name, rows in found.items()]
        args.markdown.write_text("\n".join(tables), encoding="utf-8")
    missed = [row.what for rows in found.values() for row in rows if row.holds is False]
    if missed:
        print("not met: " + "; ".join(missed))
    return 1 if missed else 0


def title(name: str) -> str:
    """The first line of a section's docstring, without importing it."""
    source = (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")
    return source.split('"""')[1].split("\n")[0].rstrip(".")


def in_process(name: str, *, quick: bool) -> list[Row]:
    """A section's rows."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"} if name not in THREADS else {}
        command = [sys.executable, "-m", "benchmarks", name, "--alone", str(out)]
        subprocess.run(
            command + ["--quick"] * quick,
            check=True,
            env=os.environ | threads | {"HF_HUB_OFFLINE": "1"},
        )
        rows: list[dict[str, Any]] = json.loads(out.read_text(encoding="utf-8"))
    return [Row(**{k: v for k, v in row.items() if k != "holds"}) for row in rows]


def machine() -> dict[str, Any]:
    """What it was measured on."""
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    }


if __name__ == "__main__":
    sys.exit(main())
