"""Distances, masks, class moments, spectra, exact nearest neighbours: the only O(n²) code.

Shapes: b a batch, n rows, d dimensions, c classes. Distances and rankings are those of float64,
because 1 − cos has no digits left in float32 once a space has collapsed to a cone.
"""

from metriscope.ops.distances import (
    Summary,
    pair_distances,
    squared_pair_blocks,
    summary,
    upper_pairs,
)
from metriscope.ops.logistic import logistic_regression
from metriscope.ops.moment_sums import MomentSums
from metriscope.ops.moments import ClassMoments, block_rows, class_moments, unit_rows
from metriscope.ops.neighbours import neighbour_blocks
from metriscope.ops.pair_moments import pairs_between, pairs_within
from metriscope.ops.pairs import (
    EPS,
    EQUAL,
    ByClass,
    PairBlocks,
    by_class,
    distances_to,
    equality,
    euclidean,
    normalize,
    positives,
    same_class,
    wants_gradient,
    with_gradient,
)
from metriscope.ops.retrieval import (
    Found,
    Neighbours,
    find_in_gallery,
    find_neighbours,
    recall,
    relevant_in,
)
from metriscope.ops.running import NO_ROW, NearestSoFar
from metriscope.ops.spectra import singular_values, triangle
from metriscope.ops.triplets import FARTHEST, rank

__all__ = [
    "EPS",
    "EQUAL",
    "FARTHEST",
    "NO_ROW",
    "ByClass",
    "ClassMoments",
    "Found",
    "MomentSums",
    "NearestSoFar",
    "Neighbours",
    "PairBlocks",
    "Summary",
    "block_rows",
    "by_class",
    "class_moments",
    "distances_to",
    "equality",
    "euclidean",
    "find_in_gallery",
    "find_neighbours",
    "logistic_regression",
    "neighbour_blocks",
    "normalize",
    "pair_distances",
    "pairs_between",
    "pairs_within",
    "positives",
    "rank",
    "recall",
    "relevant_in",
    "same_class",
    "singular_values",
    "squared_pair_blocks",
    "summary",
    "triangle",
    "unit_rows",
    "upper_pairs",
    "wants_gradient",
    "with_gradient",
]
