"""What is to be diagnosed, as streams: a source, arrays, embeddings, and what is beside them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from metriscope.data.arrays import as_array, ids_of, labels_of, table_of, table_of_embeddings
from metriscope.data.label_files import LabelFile, NoLabelsError, read_labels
from metriscope.data.streaming import Stream, of_table, open_parts
from metriscope.data.table import Table
from metriscope.types import Dataset, Embeddings, InputError

_LABELS_OF = {
    "gallery": "give them with --gallery-labels FILE (in Python gallery_labels=)",
    "training embeddings": "put them into the file (in Python train=(x, y))",
}


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of one role: those that are examined, the gallery, or the training data.

    Attributes:
        origin: what to call them in messages.
        streams: the rows, one stream after the other.
    """

    origin: str
    streams: tuple[Stream, ...]

    @property
    def most(self) -> int:
        """How many rows there are, or more."""
        return sum(stream.most for stream in self.streams)

    @property
    def has_ids(self) -> bool:
        """Whether every row has an id of its own."""
        return all(stream.has_ids for stream in self.streams)


def open_rows(what: str, given: Any, labels: Any = None, ids: Any = None) -> dict[str, Rows]:
    """By part of a divided source, ``train`` and ``test``; else ``all``.

    Args:
        what: ``embeddings``, ``gallery`` or ``training embeddings``.
        given: a path or a dataset's name, embeddings, (x, y) or (x, y, ids), or x alone.
        labels: n of them or a file of them, for what has none.
        ids: n of them, for arrays.

    Raises:
        InputError: what cannot be used; also without labels.
    """
    try:
        streams = _streams(what, given, labels, ids)
    except NoLabelsError as error:
        if what not in _LABELS_OF:
            raise
        raise InputError(
            f"{error.origin}: no labels of the {what}, but of the embeddings; {_LABELS_OF[what]}."
        ) from None
    return {part: Rows(stream.origin, (stream,)) for part, stream in streams.items()}


def joined(parts: Mapping[str, Rows]) -> Rows:
    """All parts, one after the other."""
    origin = next(iter(parts.values())).origin
    return Rows(origin, tuple(stream for rows in parts.values() for stream in rows.streams))


def _streams(what: str, given: Any, labels: Any, ids: Any) -> dict[str, Stream]:
    if isinstance(given, str | os.PathLike):
        if ids is not None:
            raise InputError(f"ids= goes with arrays; {given} has its ids in a column 'id'.")
        return open_parts(given, None if labels is None else _beside(labels), ids=True)
    if isinstance(given, Dataset):
        _alone(what, labels, ids)
        parts = {"train": given.train, "test": given.test}
        return {part: of_table(table_of_embeddings(rows)) for part, rows in parts.items()}
    if isinstance(given, Embeddings):
        _alone(what, labels, None)
        table = table_of_embeddings(given)
        if ids is not None:
            table = replace(table, ids=ids_of(ids, given.origin))
        return {"all": of_table(table)}
    origin = "memory" if what == "embeddings" else f"the {what}"
    if isinstance(given, tuple):
        if len(given) not in (2, 3):
            raise InputError(f"{what}: give (x, y) or (x, y, ids), not {len(given)} arrays.")
        _alone(what, labels, ids)
        x, y, called = given if len(given) == 3 else (*given, None)
        return {"all": of_table(table_of(x, y, called, origin))}
    x = as_array(given, "x", origin)
    if labels is None:
        raise NoLabelsError(f"{origin}: vectors without labels; give one for each row.", origin)
    own = None if ids is None else ids_of(ids, origin)
    beside = _beside(labels)
    held = read_labels(beside) if isinstance(beside, Path) else beside
    y = held.of(own, origin)
    names = np.empty(0, np.int64) if own is None else own
    return {"all": of_table(Table(x, y, origin, held.class_names, names))}


def _beside(labels: Any) -> Path | LabelFile:
    if isinstance(labels, str | os.PathLike):
        return Path(labels)
    return LabelFile(labels_of(labels), "labels=")


def _alone(what: str, labels: Any, ids: Any) -> None:
    if labels is not None or ids is not None:
        raise InputError(f"the {what} bring their own labels and ids; leave out those beside them.")
