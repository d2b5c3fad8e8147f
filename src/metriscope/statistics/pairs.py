"""Every loss with every other."""

from __future__ import annotations

from collections.abc import Sequence

from metriscope.statistics._nouns import Outcomes, Pair


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given."""
    raise NotImplementedError


def compare_all(outcomes: Outcomes, *, level: float = 0.05) -> tuple[Pair, ...]:
    """Every pair once, with Holm's correction over all of them."""
    raise NotImplementedError
