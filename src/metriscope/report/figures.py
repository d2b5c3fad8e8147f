"""Figures and tables for a paper."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from metriscope.disk import atomically, storage_errors, write_text
from metriscope.report import export
from metriscope.report.charts import static
from metriscope.report.charts.static import Format
from metriscope.report.evidence import Evidence
from metriscope.report.panels import PANELS
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Table
from metriscope.text import slug

_ADVICE = "Free some space or make the folder writable, and run the same command again."


def write(evidence: Evidence, folder: Path, kind: Format) -> list[Path]:
    """Write each panel's picture, and every table as LaTeX, Markdown and CSV.

    Files are named by panel, and by dataset before that where there are several:
    ``cub200-retrieval.pdf``. Equal results give equal bytes.

    Args:
        evidence: a comparison.
        folder: made if it is not there. Files of these names are replaced, others are left alone.
        kind: of picture.

    Returns:
        The files.

    Raises:
        StorageError: no space or no permission.
    """
    written: list[Path] = []
    with storage_errors(folder, _ADVICE):
        folder.mkdir(parents=True, exist_ok=True)
        for name, panel, shown in _panels(evidence):
            chart, table = panel.plot(shown), panel.frame(shown)
            if chart is not None:
                written.append(folder / f"{name}.{kind}")
                _write(written[-1], static.to_file(chart, kind))
            for suffix, text in _texts(table, name):
                written.append(folder / f"{name}.{suffix}")
                write_text(written[-1], text)
    return written


def _panels(evidence: Evidence) -> Iterator[tuple[str, Panel, Evidence]]:
    """What each file is called, the panel it shows, and of what."""
    prefixes = _unique(slug(name) for name in evidence.parts)
    for name, cls in sorted(PANELS.all().items(), key=lambda item: (item[1].order, item[0])):
        if cls.about == "all":
            yield slug(name), cls(), evidence
            continue
        for prefix, part in zip(prefixes, evidence.parts.values(), strict=True):
            several = len(evidence.parts) > 1
            yield f"{prefix}-{slug(name)}" if several else slug(name), cls(), part


def _unique(names: Iterable[str]) -> list[str]:
    """Names that no two datasets share."""
    found: dict[str, None] = {}
    for name in names:
        again = (f"{name}-{i}" for i in range(2, len(found) + 3))
        found[name if name not in found else next(n for n in again if n not in found)] = None
    return list(found)


def _write(path: Path, data: bytes) -> None:
    atomically(path, lambda temporary: temporary.write_bytes(data))


def _texts(table: Table, name: str) -> list[tuple[str, str]]:
    if not table.rows:
        return []
    title = re.sub(r"^Table \d+: ", "", table.title)  # LaTeX numbers its tables itself
    said = table.explanation.replace("* marks", "Bold marks")
    caption = f"{title[:1].upper()}{title[1:]}. {said}"
    return [
        ("tex", export.to_latex(table, caption, name)),
        ("md", export.to_markdown(table)),
        ("csv", export.to_csv(table)),
    ]
