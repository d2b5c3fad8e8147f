"""From results to what statistics read."""

from __future__ import annotations

from pathlib import Path

from metriscope.statistics._nouns import Outcomes
from metriscope.types import Results


def gather(results: Results, folder: Path | None, score: str, part: str = "test") -> Outcomes:
    """A score of every loss of one dataset, paired by seed, and by query where that was kept.

    Args:
        results: of one dataset.
        folder: where ``runs/`` is; None takes one number a run.
        score: ``recall@1``, ..., or any other score, which has one number a run.
        part: ``test``, or ``validation``: then nothing but ``val.`` scores and validation queries
            is read.
    """
    raise NotImplementedError
