"""The same rows for every run."""

from __future__ import annotations

import numpy as np

_EACH = 5  # rows: fewer of a class show nothing of it


def stratified(y: np.ndarray, most: int, seed: int) -> np.ndarray:
    """At most ``most`` rows, rising: of each class in proportion to its size.

    It is decided by labels and seed alone. Where that would leave fewer than five rows of a class,
    classes are left out at random instead.

    Args:
        y: (n,) class codes. most: rows. seed: of the choice.
    """
    if len(y) <= most:
        return np.arange(len(y))
    random = np.random.default_rng(seed)
    _, index, counts = np.unique(y, return_inverse=True, return_counts=True)
    shuffled = random.permutation(len(y))
    by_class = shuffled[np.argsort(index[shuffled], kind="stable")]
    starts = np.cumsum(counts) - counts
    place = np.empty(len(y))  # of a row in its class, from 0 to 1
    place[by_class] = (np.arange(len(y)) - np.repeat(starts, counts) + 0.5) / np.repeat(
        counts, counts
    )
    classes = random.permutation(len(counts))
    enough = np.searchsorted(np.cumsum(counts[classes].clip(max=_EACH)), most) + 1
    place[~np.isin(index, classes[:enough])] = 2
    rows = np.argsort(place, kind="stable")[:most]
    return np.sort(rows[place[rows] < 1])
