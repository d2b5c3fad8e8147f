"""How each class fares in a search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metriscope.diagnosis.search import Search
from metriscope.statistics.intervals import wilson
from metriscope.types import ClassRow, Confusion


def per_class(
    search: Search,
    names: Sequence[str],
    rows: np.ndarray,
    spread: np.ndarray,
    confidence: float = 0.95,
) -> tuple[ClassRow, ...]:
    """One row for each class that is present, in the order of the codes.

    Args:
        search: its codes index ``names``.
        names: of all C classes.
        rows: (C,) embeddings of each; those with 0 are left out.
        spread: (C,) mean ‖z − m_c‖².
        confidence: of the intervals.
    """
    asked = np.bincount(search.y[search.relevant > 0], minlength=len(names)).tolist()
    label, found, lost = _lost(search)
    missed = np.bincount(label, lost, minlength=len(names)).astype(int).tolist()
    # The most frequent pairs come first, so the first of a class is the one it loses most to.
    worst: dict[int, tuple[int, int]] = {}
    for c, other, count in zip(label.tolist(), found.tolist(), lost.tolist(), strict=True):
        if other >= 0:
            worst.setdefault(c, (other, count))
    table = []
    for c in np.flatnonzero(rows).tolist():
        n, right = asked[c], asked[c] - missed[c]
        other, count = worst.get(c, (None, 0))
        table.append(
            ClassRow(
                name=names[c],
                rows=int(rows[c]),
                queries=n,
                spread=float(spread[c]),
                recall=right / n if n else None,
                interval=wilson(right, n, confidence) if n else None,
                confused_with=None if other is None else names[other],
                lost=None if other is None else count / n,
            )
        )
    return tuple(table)


def confusions(search: Search) -> tuple[Confusion, ...]:
    """Every pair of classes of which one's queries find the other's rows, most frequent first."""
    names = search.class_names
    asked = np.bincount(search.y[search.relevant > 0], minlength=len(names)).tolist()
    label, found, lost = _lost(search)
    return tuple(
        Confusion(names[c], names[other], count, count / asked[c])
        for c, other, count in zip(label.tolist(), found.tolist(), lost.tolist(), strict=True)
        if other >= 0
    )


def by_chance(search: Search) -> float | None:
    """Recall@1 that labels in random order would have: mean share of a query's rows to find.

    None where nothing was searched.
    """
    if not search.asked.any() or search.gallery_rows < 1:
        return None
    return min(float(search.relevant[search.asked].mean()) / search.gallery_rows, 1.0)


def _lost(search: Search) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Class, class found first (−1: nothing), and how many queries; most first, then by code."""
    classes = len(search.class_names) + 1
    nearest = search.nearest_y[:, 0] if search.nearest_y.shape[1] else np.full(len(search.y), -1)
    lost = (search.relevant > 0) & (nearest != search.y)
    pairs, counts = np.unique(search.y[lost] * classes + nearest[lost] + 1, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    label, found = np.divmod(pairs[order], classes)
    return label, found - 1, counts[order]
