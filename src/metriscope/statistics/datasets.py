"""Losses over several datasets."""

from __future__ import annotations

from collections.abc import Mapping

from metriscope.statistics._nouns import CriticalDifference


def critical_difference(
    means: Mapping[str, Mapping[str, float]], *, higher: bool = True, level: float = 0.05
) -> CriticalDifference | None:
    """Friedman and Nemenyi of dataset -> loss -> mean; None of fewer than two datasets."""
    raise NotImplementedError
