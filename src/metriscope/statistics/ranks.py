"""Which place a loss takes, and how sure that is."""

from __future__ import annotations

from metriscope.statistics._nouns import Outcomes, Rank


def rank_all(
    outcomes: Outcomes, *, draws: int = 2000, confidence: float = 0.95, seed: int = 0
) -> tuple[Rank, ...]:
    """Of every loss, best first."""
    raise NotImplementedError
