"""Labels that stand beside the rows: in a file of their own, or in memory."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from metriscope.data.npz import member, npz_class_names, npz_ids, open_npz
from metriscope.data.parquet import Beside
from metriscope.data.reading import LABELS, need, pick, reading
from metriscope.data.table import INTEGER, Labels, missing_labels, show_some
from metriscope.text import name_rows
from metriscope.types import InputError

LABEL_SUFFIXES = (".npy", ".npz", ".txt", ".csv", ".parquet")
IDS = ("id", "ids")


class NoLabelsError(InputError):
    """A source has none, and none were given beside it; ``origin`` is what to call it."""

    def __init__(self, message: str, origin: str) -> None:
        super().__init__(message)
        self.origin = origin


@dataclass(frozen=True, eq=False)
class LabelFile:
    """Labels of rows that are elsewhere.

    Attributes:
        labels: n of them.
        origin: what to call them in messages.
        class_names: as in :class:`~metriscope.data.table.Table`.
        ids: (n,) which rows they are of, or None: of all rows, in order.
    """

    labels: Labels
    origin: str
    class_names: tuple[str, ...] | None = None
    ids: np.ndarray | None = None

    def of(self, ids: np.ndarray | None, origin: str) -> Labels:
        """The labels of the rows with these ids; all in order where the labels have none.

        Rows without ids are numbered from 0, where the labels' ids are such numbers.

        Raises:
            InputError: a row whose id has no label, an id with two; rows without ids for labels
                whose ids are names.
        """
        if self.ids is None:
            return self.labels
        if ids is None:
            numbers = np.arange(len(self.ids))
            if not np.array_equal(np.sort(self.ids.astype(str)), np.sort(numbers.astype(str))):
                raise InputError(
                    f"{self.origin} has ids ({show_some(self.ids.tolist())}), but {origin} has "
                    "none to match them with. Give the rows their ids (a column 'id'; in Python "
                    "ids=), or take the ids out of the labels, which then go by order."
                )
            ids = numbers
        if ids.dtype.kind != self.ids.dtype.kind:
            return self._by_text.of(ids.astype(str), origin)
        order, known = self._sorted
        place = np.searchsorted(known, ids).clip(max=max(len(known) - 1, 0))
        lost = ids[known[place] != ids] if len(known) else ids
        if len(lost):
            raise InputError(
                f"{self.origin} has no label for {len(np.unique(lost)):,} ids of {origin} "
                f"({show_some(np.unique(lost).tolist())}), but labels such as that of "
                f"{show_some(self.ids[:1].tolist()) or 'nothing'}. Are they of the same rows?"
            )
        return self.labels.take(order[place])

    @cached_property
    def _by_text(self) -> LabelFile:
        return replace(self, ids=None if self.ids is None else self.ids.astype(str))

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows in the order of their ids, and those ids."""
        ids = np.empty(0, np.int64) if self.ids is None else self.ids
        order = np.argsort(ids, kind="stable")
        known = ids[order]
        twice = np.unique(known[1:][known[1:] == known[:-1]])
        if len(twice):
            raise InputError(
                f"{self.origin}: more than one label for {len(twice):,} ids "
                f"({show_some(twice.tolist())}); keep one line for each."
            )
        return order, known


def read_labels(path: Path) -> LabelFile:
    """Labels from a file of their own, and class names and ids if it has them.

    ``.npy``: an array; ``.npz``: ``labels`` and, if there, ``class_names`` and ``ids``; ``.txt``:
    one a line, UTF-8; ``.csv``: one column, or the column ``label`` of several and, if there,
    ``id``; ``.parquet``: the same columns. In text files labels that are all whole numbers count as
    integers.
    """
    suffix, origin = path.suffix.lower(), str(path)
    if suffix == ".npy":
        with reading(path, b"\x93NUMPY"):
            return LabelFile(Labels.of(np.load(path, allow_pickle=False), origin), origin)
    if suffix == ".npz":
        with open_npz(path) as file:
            key = need(file.files, LABELS, "labels", origin)
            found = Labels.of(member(file, key, origin), origin)
            return LabelFile(found, origin, npz_class_names(file, origin), npz_ids(file, origin))
    if suffix == ".parquet":
        return _parquet(path)
    if suffix not in LABEL_SUFFIXES:
        raise InputError(f"{path}: labels must be in {', '.join(LABEL_SUFFIXES)}.")
    ids: list[str] | None = None
    with reading(path), path.open(encoding="utf-8-sig", newline="") as text:
        if suffix == ".csv":
            values, ids = _csv(text, origin)
        else:
            values = text.read().replace("\r\n", "\n").split("\n")
            values = values[:-1] if values[-1] == "" else values
    blank = [row for row, value in enumerate(values) if not value.strip()]
    if blank:
        raise missing_labels(origin, np.asarray(blank))
    known = None if ids is None else np.asarray(ids, str)
    return LabelFile(_coded(values, origin), origin, ids=known)


def _parquet(path: Path) -> LabelFile:
    import pyarrow.parquet as pq

    beside, origin = Beside(), str(path)
    with reading(path, b"PAR1"), pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        need(names, LABELS, "labels", origin)
        for batch in file.iter_batches(columns=beside.columns(file.schema_arrow, origin)):
            beside.add(batch)
        total = file.metadata.num_rows
        found = beside.labels(origin, total) or Labels(np.empty(0, np.int64), ())
    return LabelFile(found, origin, beside.class_names, beside.ids())


def _coded(values: Sequence[str], origin: str) -> Labels:
    index = {value: code for code, value in enumerate(dict.fromkeys(values))}
    whole = all(INTEGER.fullmatch(value) for value in index)
    codes = np.asarray([index[value] for value in values], np.int64)
    return Labels.coded(codes, [int(v) for v in index] if whole else list(index), origin)


def _csv(text: Any, origin: str) -> tuple[list[str], list[str] | None]:
    """Labels, and ids if there is a column of them."""
    rows = list(csv.reader(text, strict=True))
    if not rows:
        return [], None
    head = [cell.strip().lower() for cell in rows[0]]
    column = pick(head, LABELS, "labels", origin)
    if column is None and len(head) > 1:
        raise InputError(
            f"{origin}: {len(head)} columns and none of them called 'label'; give one column, or "
            "name it in the first line."
        )
    at, body = (0, rows) if column is None else (head.index(column), rows[1:])
    short = [row for row, cells in enumerate(body) if cells and len(cells) != len(head)]
    if short:
        raise InputError(
            f"{origin}: other than {len(head)} column(s) in {name_rows(np.asarray(short))}; put "
            "quotes around labels with a comma."
        )
    named = None if column is None else pick(head, IDS, "ids", origin)
    ids = None if named is None else [cells[head.index(named)] if cells else "" for cells in body]
    return [cells[at] if cells else "" for cells in body], ids
