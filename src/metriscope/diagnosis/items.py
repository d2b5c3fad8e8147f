"""Which embeddings a person should look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from metriscope.diagnosis.search import Search
from metriscope.diagnostics._suspects import SAME, copies, mislabelled
from metriscope.diagnostics.base import Space
from metriscope.types import Embeddings, Item, Scores

MOST = 1_000
"""Items of a kind that are listed; their shares among the scores count all."""


def suspects(
    space: Space,
    search: Search,
    train: Search | None = None,
    *,
    gallery: bool = False,
    most: int = MOST,
) -> tuple[Item, ...]:
    """Outliers, likely mislabelled rows, duplicates; each kind worst first.

    The first two are looked for in the space, duplicates in the space, among its training rows,
    and in what the search found: its queries may have been held against more than the space.
    ``value`` of an outlier is how many times farther than usual its neighbours are, of a label the
    probability that it is wrong, of a duplicate the distance to the other.

    Args:
        space: rows in memory, with training rows if there are any.
        search: of the examined rows, among themselves or in a gallery.
        train: among training rows that are not in memory together.
        gallery: whether it was a gallery.
        most: items of a kind.
    """
    if space.collapsed:
        return ()
    return (
        *_outliers(space)[:most],
        *_mislabelled(space)[:most],
        *_duplicates(space, {"gallery" if gallery else "same": search, "train": train})[:most],
    )


def shares(search: Search, where: Literal["within", "across", "gallery"] = "within") -> Scores:
    """The scores of ``duplicates`` that a search decides: of its queries, among all it searched.

    ``duplicates.gallery`` and ``.exact`` in a gallery, ``.across`` among training rows; among
    themselves ``duplicates.within``, ``.exact`` and ``duplicates.conflicting``. Those of a sample
    alone would be underestimates.
    Undefined without queries, and where all that was found is at distance 0.
    """
    distance = _distances(search)
    found = copies(distance, _rounding(distance))
    near, exact = found.near.numpy(), found.exact.numpy()
    scores: Scores = {f"duplicates.{where}": None, f"duplicates.{where}.exact": None}
    if where == "within":
        scores["duplicates.conflicting"] = None
    if not len(near) or not distance.nan_to_num().max() > 0:
        return scores
    values = (near.mean(), exact.mean(), (near & _differ(search)).mean())
    return {name: float(value) for name, value in zip(scores, values, strict=False)}


def _outliers(space: Space) -> list[Item]:
    found = space.far_out
    if found is None:
        return []
    nearest = space.neighbours.nearest[:, 0].tolist()
    return [
        Item("outlier", *_row(space.test, i), *_row(space.test, nearest[i]), value)
        for i, value in _worst(*found)
    ]


def _mislabelled(space: Space) -> list[Item]:
    found = space.label_noise
    if found is None:
        return []
    names, nearest = space.test.class_names, space.neighbours.nearest[:, 0].tolist()
    instead = found.instead.tolist()
    return [
        Item(
            "mislabelled",
            *_row(space.test, i),
            _row(space.test, nearest[i])[0],
            names[instead[i]],
            value,
        )
        for i, value in _worst(mislabelled(found), found.wrong)
    ]


def _duplicates(space: Space, searches: Mapping[str, Search | None]) -> list[Item]:
    """Nearest first; a pair within one set of rows once."""
    found = []
    if space.rows > 1:
        nearest = space.neighbours.nearest[:, 0].tolist()
        for i, value in _nearest(space.neighbour_distances):
            row, other = _row(space.test, i), _row(space.test, nearest[i])
            found.append(Item("duplicate", *row, *other, value))
    if space.train is not None and space.train_neighbours is not None:
        nearest = space.train_neighbours[0][:, 0].tolist()
        for i, value in _nearest(space.train_distances):
            row, other = _row(space.test, i), _row(space.train, nearest[i])
            found.append(Item("duplicate", *row, *other, value, "train"))
    for part, search in searches.items():
        if search is not None:
            found += _found_again(search, part)
    pairs: dict[tuple[object, ...], Item] = {}
    for item in sorted(found, key=lambda item: item.value):
        pairs.setdefault(_pair(item), item)
    return list(pairs.values())


def _found_again(search: Search, part: str) -> list[Item]:
    """Queries whose nearest is a copy."""
    found, names, distance = [], search.class_names, _distances(search)
    for i, value in _nearest(distance, _rounding(distance)):
        row = search.ids[i].item(), names[search.y[i]]
        other = search.nearest_ids[i, 0].item(), names[search.nearest_y[i, 0]]
        found.append(Item("duplicate", *row, *other, value, part))
    return found


def _nearest(distance: Tensor | None, same: float = SAME) -> list[tuple[int, float]]:
    """Rows with a copy, and how far it is."""
    if distance is None:
        return []
    return [(i, -value) for i, value in _worst(copies(distance, same).near, -distance[:, 0])]


def _pair(item: Item) -> tuple[object, ...]:
    """What makes two duplicates the same find."""
    ends = (str(item.id), str(item.other))
    return (item.part, *(sorted(ends) if item.part == "same" else ends))


def _row(embeddings: Embeddings, row: int) -> tuple[str | int, str]:
    """Id and label."""
    return embeddings.ids[row].item(), embeddings.class_names[embeddings.y[row]]


def _worst(flagged: Tensor, values: Tensor) -> list[tuple[int, float]]:
    """Flagged rows and their values, largest first."""
    rows = flagged.nonzero()[:, 0]
    order = values[rows].argsort(descending=True, stable=True)
    return list(zip(rows[order].tolist(), values[rows][order].tolist(), strict=True))


def _distances(search: Search) -> Tensor:
    """(q, k), NaN where fewer were found."""
    return torch.from_numpy(np.sqrt(np.maximum(search.squared, 0)))


def _rounding(distance: Tensor) -> float:
    """How far apart a search may set copies: its distances are differences of products."""
    return 1e-6 * float(distance.nan_to_num().max()) if distance.numel() else 0.0


def _differ(search: Search) -> np.ndarray:
    """(q,) whether the nearest is of another class."""
    differ: np.ndarray = search.nearest_y[:, 0] != search.y
    return differ
