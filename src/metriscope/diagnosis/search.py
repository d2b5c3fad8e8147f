"""What one search of all queries found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from metriscope import ops
from metriscope.diagnostics.base import Space
from metriscope.types import Embeddings, InputError

K = 10
_MOST_TWINS = 100  # rows of a gallery with one id


@dataclass(frozen=True, eq=False)
class Search:
    """The nearest of each query, nearest first, by cosine; k = min(10, those there are).

    Attributes:
        y: (q,) codes into ``class_names``. ``ids``: (q,).
        rows: (q,) which row of the embeddings in memory it is.
        nearest_y: (q, k) codes, −1 where fewer were found. ``nearest_ids``: (q, k).
        squared: (q, k) squared distances of unit vectors, NaN where fewer were found.
        relevant: (q,) how many rows of its class each query could have found.
        r_precision, average_precision: (q,) of its R = ``relevant`` nearest; NaN where R = 0. None
            where the search did not go as far.
        gallery_rows: how many rows were searched.
    """

    y: np.ndarray
    ids: np.ndarray
    rows: np.ndarray
    nearest_y: np.ndarray
    nearest_ids: np.ndarray
    squared: np.ndarray
    relevant: np.ndarray
    class_names: tuple[str, ...]
    r_precision: np.ndarray | None = None
    average_precision: np.ndarray | None = None
    gallery_rows: int = 0

    @property
    def asked(self) -> np.ndarray:
        """(q,) whether there is anything to find."""
        found: np.ndarray = self.relevant > 0
        return found

    def hits(self, k: int) -> np.ndarray:
        """(q,) whether one of its k nearest is of its class."""
        found: np.ndarray = (self.nearest_y[:, :k] == self.y[:, None]).any(1)
        return found


def among_themselves(space: Space) -> Search:
    """Each row of a space among the others. Nothing is searched where all are one point."""
    if space.collapsed:
        return nothing(space.test)
    found = space.neighbours
    z, nearest = space.z, found.nearest
    size = ops.block_rows(K * z.shape[1])
    pieces = zip(z.split(size), nearest.split(size), strict=True)
    squared = [(z[near] - rows[:, None]).square().sum(2) for rows, near in pieces]
    index = nearest.cpu().numpy()
    relevant = found.relevant.cpu().numpy()
    return Search(
        space.test.y,
        space.test.ids,
        np.arange(len(space.test)),
        space.test.y[index],
        space.test.ids[index],
        torch.cat(squared).cpu().numpy(),
        relevant,
        space.test.class_names,
        (found.hits / found.relevant).cpu().numpy(),
        found.precision.cpu().numpy(),
        len(space.test) - 1,
    )


def in_gallery(space: Space, gallery: Embeddings, *, by_id: bool) -> Search:
    """Each row of a space in a gallery; with ``by_id`` rows of its own id are left out."""
    of_gallery = Space(gallery, device=space.device)
    if of_gallery.collapsed:
        return nothing(space.test)
    own = same_id(space.test.ids, gallery.ids) if by_id else np.full((len(space.test), 1), -1)
    found = ops.find_in_gallery(
        space.z, space.y, of_gallery.z, of_gallery.y, torch.from_numpy(own).to(space.device)
    )
    index, squared = found.nearest.cpu().numpy(), found.squared.cpu().numpy()
    there = index >= 0
    return Search(
        space.test.y,
        space.test.ids,
        np.arange(len(space.test)),
        np.where(there, gallery.y[index], -1),
        gallery.ids[index],
        np.where(there, squared, np.nan),
        found.relevant.cpu().numpy(),
        space.test.class_names,
        (found.hits / found.relevant).cpu().numpy(),
        found.precision.cpu().numpy(),
        len(gallery),
    )


def nothing(embeddings: Embeddings) -> Search:
    """A search without queries."""
    none, ids = np.empty(0, np.int64), embeddings.ids[:0]
    return Search(
        none,
        ids,
        none,
        np.empty((0, 1), np.int64),
        ids.reshape(0, 1),
        np.empty((0, 1)),
        none,
        embeddings.class_names,
    )


def same_id(ids: np.ndarray, gallery_ids: np.ndarray) -> np.ndarray:
    """(q, e) rows of a gallery with a query's id, e at least 1; −1 where there are no more.

    Raises:
        InputError: more than 100 rows with one id, which then names no row.
    """
    if ids.dtype.kind != gallery_ids.dtype.kind:
        ids, gallery_ids = ids.astype(str), gallery_ids.astype(str)
    order = np.argsort(gallery_ids, kind="stable")
    known = gallery_ids[order]
    first = np.searchsorted(known, ids, "left")
    count = np.searchsorted(known, ids, "right") - first
    most = int(count.max(initial=0))
    if most > _MOST_TWINS:
        raise InputError(
            f"the gallery has {most:,} rows with the id {str(ids[count.argmax()])!r}, so its ids "
            "name no row, and a query cannot be kept from finding itself; give each row its own."
        )
    step = np.arange(max(most, 1))
    places = (first[:, None] + step).clip(max=max(len(known) - 1, 0))
    return np.where(step < count[:, None], order[places], -1)
