"""Figures and tables for a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from metriscope.report.evidence import Evidence

Format = Literal["pdf", "svg", "png"]


def write(evidence: Evidence, folder: Path, kind: Format) -> list[Path]:
    """Write each panel's picture, and every table as LaTeX, Markdown and CSV.

    Args:
        evidence: a comparison.
        folder: made if it is not there.
        kind: of file.

    Returns:
        The files.

    Raises:
        StorageError: no space or no permission.
    """
    raise NotImplementedError
