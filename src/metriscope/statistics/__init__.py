"""Are two losses different? Estimates, paired comparisons, ranks; of queries and of seeds.

A run has a seed and answers queries. Another seed would give other numbers, and so would other
queries; a difference between two losses counts only if it stands out from both.
"""

from metriscope.statistics._nouns import (
    CriticalDifference,
    Difference,
    Estimate,
    Outcomes,
    Pair,
    Rank,
)
from metriscope.statistics.datasets import critical_difference
from metriscope.statistics.estimates import (
    difference,
    estimate,
    of_outcomes,
    seeds_difference,
    seeds_estimate,
)
from metriscope.statistics.gather import gather, paired
from metriscope.statistics.pairs import compare, compare_all, holm
from metriscope.statistics.ranks import rank_all

__all__ = [
    "CriticalDifference",
    "Difference",
    "Estimate",
    "Outcomes",
    "Pair",
    "Rank",
    "compare",
    "compare_all",
    "critical_difference",
    "difference",
    "estimate",
    "gather",
    "holm",
    "of_outcomes",
    "paired",
    "rank_all",
    "seeds_difference",
    "seeds_estimate",
]
