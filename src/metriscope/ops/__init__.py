"""Distances, masks, class moments, exact nearest neighbours: the only O(n²) code.

Shapes: b a batch, n rows, d dimensions, c classes. Distances and rankings are in float64, because
1 − cos has no digits left in float32 once a space has collapsed to a cone.
"""

from metriscope.ops.distances import squared_pair_blocks, upper_pairs
from metriscope.ops.moments import ClassMoments, class_moments
from metriscope.ops.neighbours import Neighbours, find_neighbours, neighbour_blocks
from metriscope.ops.pairs import (
    EPS,
    euclidean,
    masked_logsumexp,
    normalize,
    positives,
    same_class,
)

__all__ = [
    "EPS",
    "ClassMoments",
    "Neighbours",
    "class_moments",
    "euclidean",
    "find_neighbours",
    "masked_logsumexp",
    "neighbour_blocks",
    "normalize",
    "positives",
    "same_class",
    "squared_pair_blocks",
    "upper_pairs",
]
