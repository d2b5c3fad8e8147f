"""Of one loss, and of two."""

from __future__ import annotations

import numpy as np

from metriscope.statistics._nouns import Difference, Estimate


def estimate(values: np.ndarray, *, confidence: float = 0.95, seed: int = 0) -> Estimate:
    """Of (s, q) values."""
    raise NotImplementedError


def difference(first: np.ndarray, second: np.ndarray, *, confidence: float = 0.95) -> Difference:
    """Of two (s, q) arrays, paired by row and column."""
    raise NotImplementedError


def seeds_estimate(values: np.ndarray, *, confidence: float = 0.95) -> Estimate:
    """Of (s,) numbers, one a run: Student's t."""
    raise NotImplementedError


def seeds_difference(
    first: np.ndarray, second: np.ndarray, *, confidence: float = 0.95
) -> Difference:
    """Of (s,) numbers, one a run, paired by seed: Student's t."""
    raise NotImplementedError
