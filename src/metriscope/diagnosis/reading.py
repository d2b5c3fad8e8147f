"""One pass over every source: what is kept of its rows, and what was searched on the way."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from metriscope.data.unit_rows import ClassCodes, UnitRows
from metriscope.diagnosis import sampling, streamed_search
from metriscope.diagnosis.sampling import Held, Progress
from metriscope.diagnosis.sources import Rows
from metriscope.diagnosis.streamed_search import Streamed
from metriscope.diagnostics.base import Space
from metriscope.types import Embeddings

TRAIN_K = 20  # training rows that vote on a query's class


@dataclass(frozen=True, eq=False)
class Roles:
    """What was given.

    Attributes:
        examined: the rows to examine. ``train``, ``gallery``: those beside them.
        split: the part of a divided source that ``examined`` is; else None.
    """

    examined: Rows
    train: Rows | None
    gallery: Rows | None
    split: str | None

    @property
    def by_id(self) -> bool:
        """Whether rows of the gallery can be told from the queries."""
        return self.gallery is not None and self.examined.has_ids and self.gallery.has_ids


@dataclass(frozen=True, eq=False)
class Read:
    """What was read.

    Attributes:
        roles: of what.
        examined, train, gallery: rows in memory. ``gallery`` is None where it does not fit, too.
        streamed: what a sample of queries found among rows that do not fit. ``streamed_train``:
            and what among training rows that do not.
        codes: of the classes of all of them.
        device: where to compute.
        notes: what a person should know, a sentence each.
    """

    roles: Roles
    examined: Held
    train: Held | None
    gallery: Held | None
    streamed: Streamed | None
    streamed_train: Streamed | None
    codes: ClassCodes
    device: str
    notes: list[str]

    @property
    def sampled(self) -> bool:
        """Whether the rows in memory are a sample."""
        return self.examined.moments is not None

    @cached_property
    def coding(self) -> tuple[tuple[str, ...], np.ndarray]:
        """Class names, and the final code of each code."""
        return self.codes.sorted()

    @cached_property
    def space(self) -> Space:
        """The examined rows in memory, with the training rows."""
        test = self._embeddings(self.examined, self.roles.split or "all", self.roles.examined)
        if self.train is None or self.roles.train is None:
            return Space(test, device=self.device)
        return Space(test, self._embeddings(self.train, "train", self.roles.train), self.device)

    @cached_property
    def gallery_rows(self) -> Embeddings | None:
        """The gallery, where it is in memory."""
        if self.gallery is None or self.roles.gallery is None:
            return None
        return self._embeddings(self.gallery, "all", self.roles.gallery)

    @cached_property
    def gallery_spread(self) -> float | None:
        """Mean squared distance of the gallery's unit vectors to their mean."""
        if self.gallery_rows is not None:
            return float(Space(self.gallery_rows, device=self.device).total_spread)
        if self.roles.gallery is None or self.streamed is None:
            return None
        return self.streamed.spread

    @property
    def by_class(self) -> tuple[np.ndarray, np.ndarray]:
        """(C,) rows and mean ‖z − m_c‖² of each class, over all rows; NaN where there are none."""
        names, final = self.coding
        if self.examined.moments is None:
            moments, codes = self.space.moments, self.space.moments.codes.cpu().numpy()
        else:
            moments = self.examined.moments.moments
            codes = final[moments.codes.cpu().numpy()]
        rows, spread = np.zeros(len(names), np.int64), np.full(len(names), np.nan)
        rows[codes] = moments.counts.cpu().numpy()
        spread[codes] = (moments.squares / moments.counts).cpu().numpy()
        return rows, spread

    def _embeddings(self, held: Held, split: str, rows: Rows) -> Embeddings:
        names, final = self.coding
        return Embeddings(held.x, final[held.y], names, split, rows.origin, held.ids)


def read(
    roles: Roles,
    reader: UnitRows,
    *,
    sample: int,
    queries: int,
    seed: int,
    search: bool,
    search_train: bool,
    progress: Progress,
) -> Read:
    """Read everything once, and rows that do not fit a second time, to search them.

    Args:
        roles: what to read.
        reader: of all of it.
        sample: rows of each role that are held in memory.
        queries: how many rows are searched among rows that do not fit.
        seed: of the sample.
        search: whether anything is to be searched. ``search_train``: also training rows that do
            not fit.
        progress: told how far it is.
    """
    examined = sampling.read(roles.examined, reader, sample, seed, progress, moments=True)
    train = gallery = streamed = streamed_train = None
    chosen = np.sort(examined.order[:queries])
    if roles.train is not None:
        train = sampling.read(roles.train, reader, sample, seed, progress)
        if train.rows > len(train.x) and search_train:
            none = streamed_search.no_own(examined, chosen)
            streamed_train = streamed_search.search(
                examined, chosen, roles.train, reader, none, progress, TRAIN_K
            )
    among, own = roles.gallery, streamed_search.own_ids if roles.by_id else streamed_search.no_own
    if among is None and examined.moments is not None:
        among, own = roles.examined, streamed_search.own_rows
    elif among is not None and among.most <= sample:
        gallery, among = sampling.read(among, reader, sample, seed, progress), None
    if among is not None and search:
        streamed = streamed_search.search(
            examined, chosen, among, reader, own(examined, chosen), progress
        )
    return Read(
        roles,
        examined,
        train,
        gallery,
        streamed,
        streamed_train,
        reader.codes,
        reader.device,
        reader.notes,
    )
