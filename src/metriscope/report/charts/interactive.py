"""Charts on a page: what plotly.js is given."""

from __future__ import annotations

from typing import Any

from metriscope.report.charts._nouns import Chart


def to_plotly(chart: Chart) -> dict[str, Any]:
    """``data``, ``layout`` and ``config`` in plain JSON types."""
    raise NotImplementedError


def library() -> str:
    """The text of plotly.js."""
    raise NotImplementedError
