"""What a run leaves beside its scores: what each query retrieved, and how its space looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from metriscope.types._diagnosis import ClassRow, Confusion

RECALLS = {"recall@1": 1, "recall@5": 5, "recall@10": 10}


@dataclass(frozen=True, eq=False)
class Queries:
    """What each row of a part retrieved, as a query among the others.

    Attributes:
        ids: (q,) what the rows are called; the same in every run on the same part.
        first: (q,) int64 rank of the nearest row of its class, 1 to 10; 0 if none is among the 10
            nearest, -1 for a row alone in its class, which is not asked.
        r_precision, precision: (q,) R-precision and average precision at R; NaN where not asked.
    """

    ids: np.ndarray
    first: np.ndarray
    r_precision: np.ndarray
    precision: np.ndarray

    def values(self, score: str) -> np.ndarray:
        """(q,) of ``recall@1``, ``@5``, ``@10``, ``r_precision`` or ``map@r``; NaN where not asked.

        The mean over those that were asked is the score of the run.

        Raises:
            KeyError: another score.
        """
        if score in RECALLS:
            hit = (self.first >= 1) & (self.first <= RECALLS[score])
            return np.where(self.first < 0, np.nan, hit.astype(np.float64))
        return {"r_precision": self.r_precision, "map@r": self.precision}[score]


@dataclass(frozen=True, eq=False)
class View:
    """How the test embeddings of a run look.

    Attributes:
        labels: (n,) class names of the rows that are drawn, the same rows in every run.
        ids: (n,) what they are called, as text.
        points: (n, 2) their t-SNE projection, not aligned with that of any other run.
        preserved: share of the 10 nearest neighbours of a drawn row (among the drawn) that are
            among its 10 nearest in the projection.
        trustworthiness: in [0, 1]; Venna and Kaski (2001), 10 neighbours.
        spectrum: (d,) singular values of the centred embeddings over their sum, largest first.
        edges: (b + 1,) cosine distances, from 0 to the largest. within, between: (b,) shares of
            the pairs of one class, and of two, of a sample of the rows.
        medians: of the distances within and between; None without such pairs.
        overlap: probability that a pair within is farther than a pair between, equal ones counted
            by half: 0 if every class stands apart, 0.5 if labels make no difference.
        classes: a row a class that is there. confusions: the most frequent ones, first.
        examples: for each of the first confusions, a few pairs of ids: the query, and what it
            found first.
        settings: of how all this was made.
    """

    labels: tuple[str, ...]
    ids: tuple[str, ...]
    points: np.ndarray
    preserved: float | None
    trustworthiness: float | None
    spectrum: np.ndarray
    edges: np.ndarray
    within: np.ndarray
    between: np.ndarray
    medians: tuple[float | None, float | None] = (None, None)
    overlap: float | None = None
    classes: tuple[ClassRow, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    examples: tuple[tuple[tuple[str, str], ...], ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
