"""Labelled rows as a source holds them, before labels are coded and parts are made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metriscope.text import name_rows
from metriscope.types import InputError

INTEGER = re.compile(r"0|-?[1-9][0-9]{0,99}")  # text that is a whole number, written one way only
_FLOAT_EXACT = 2**53  # float64 holds every whole number up to here


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels without loss: integers of any size and text, never a float.

    Attributes:
        codes: (n,) int64, an index into ``values``.
        values: the distinct labels, in no particular order.
    """

    codes: np.ndarray
    values: tuple[int | str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    @classmethod
    def of(cls, array: Any, origin: str = "labels", first_row: int = 0) -> Labels:
        """Labels of a NumPy array: integers, booleans, text, bytes, or floats that are whole.

        Args:
            array: (n,) or (n, 1).
            origin: what to call it in messages.
            first_row: number of its first row, for messages.

        Raises:
            InputError: another shape or type, NaN (a missing label), a float that is not whole or
                so large that it may have lost digits.
        """
        array = np.asarray(array)
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1:
            raise InputError(
                f"{origin}: labels have shape {array.shape}; give one label a row, shape (n,) "
                "(for one-hot rows: argmax(1))."
            )
        if array.dtype.kind == "f":
            array = _whole(array, origin, first_row)
        if array.dtype.kind not in "iubUS":
            raise InputError(
                f"{origin}: labels are {array.dtype}; they must be integers or text. Convert them, "
                "for example with labels.astype(str)."
            )
        values, codes = np.unique(array, return_inverse=True)
        found: list[Any] = values.tolist()
        if array.dtype.kind == "S":
            found = _text(found, array.dtype.itemsize)
        return cls.coded(codes, found, origin)

    @classmethod
    def coded(cls, codes: np.ndarray, values: Sequence[Any], origin: str = "labels") -> Labels:
        """Labels given as codes into distinct values: int, bool, str, bytes or whole Decimal.

        Bytes are UTF-8 text if all of them are, else hexadecimal digits.
        """
        if values and isinstance(values[0], bytes):
            values = _text(values)
        plain: list[int | str] = []
        for value in values:
            if isinstance(value, bool | str):
                plain.append(str(value))
            elif value == int(value):
                plain.append(int(value))
            else:
                raise InputError(
                    f"{origin}: label {value!r} is no whole number; labels are integers or text."
                )
        return cls(np.asarray(codes, np.int64), tuple(plain))

    @classmethod
    def join(cls, pieces: Iterable[Labels]) -> Labels:
        """Labels one after the other."""
        index: dict[int | str, int] = {}
        codes = [np.empty(0, np.int64)]
        for piece in pieces:
            mapped = [index.setdefault(value, len(index)) for value in piece.values]
            codes.append(np.asarray(mapped, np.int64)[piece.codes])
        return cls(np.concatenate(codes), tuple(index))

    def take(self, rows: np.ndarray) -> Labels:
        """The labels of some rows."""
        kept, codes = np.unique(self.codes[rows], return_inverse=True)
        return Labels(codes.astype(np.int64), tuple(self.values[code] for code in kept))

    def row_of(self, value: int) -> int:
        """The first row that has ``values[value]``."""
        return int(np.argmax(self.codes == value))


@dataclass(frozen=True, eq=False)
class Table:
    """Labelled rows: what a reader or a dataset returns.

    Attributes:
        x: (n, d) real numbers of any type, as stored.
        labels: n of them.
        origin: what to call it in messages: a path or a dataset.
        class_names: text; integer labels index it. None: the labels name themselves.
        ids: (n,) integers or text; by default the row numbers.
        split: (n,) text that says which part a row belongs to, or None.
        manifest: how the features were made, by part, in plain JSON types; empty if unknown.
        rows: (n,) their numbers in the source, for messages; by default from 0.

    Raises:
        InputError: wrong shapes or types, no rows, two classes with one name.
    """

    x: np.ndarray
    labels: Labels
    origin: str
    class_names: tuple[str, ...] | None = None
    ids: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    split: np.ndarray | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)
    rows: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        x, n = self.x, len(self.x) if self.x.ndim else 0
        if x.ndim != 2:
            raise InputError(
                f"{self.origin}: features must be a matrix (rows, dimensions), not of shape "
                f"{x.shape}. Reshape or pool them to one vector a row."
            )
        if x.dtype.kind not in "biuf":
            raise InputError(f"{self.origin}: features must be real numbers, not {x.dtype}.")
        if not x.size:
            raise InputError(f"{self.origin}: no data: the features have shape {x.shape}.")
        if len(self.labels) != n:
            raise InputError(
                f"{self.origin}: {n} rows but {len(self.labels)} labels; every row needs exactly "
                "one label."
            )
        names = self.class_names or ()
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(
                f"{self.origin}: class_names has {show(twice)} twice; rename one, or give the "
                "classes one label."
            )
        if not len(self.rows):
            object.__setattr__(self, "rows", np.arange(n))
        if not len(self.ids):
            object.__setattr__(self, "ids", self.rows)
        for what, values in (("ids", self.ids), ("split", self.split)):
            if values is not None and np.shape(values) != (n,):
                raise InputError(
                    f"{self.origin}: {n} rows but {what} of shape {np.shape(values)}; "
                    "every row needs exactly one."
                )

    def __len__(self) -> int:
        return len(self.x)

    @property
    def has_ids(self) -> bool:
        """Whether the ids are the source's own, not its row numbers."""
        return self.ids is not self.rows

    def take(self, rows: np.ndarray) -> Table:
        """Some rows, with their ids; the split is left behind."""
        ids = self.ids[rows] if self.has_ids else np.empty(0, np.int64)
        return Table(
            self.x[rows],
            self.labels.take(rows),
            self.origin,
            self.class_names,
            ids,
            manifest=self.manifest,
            rows=self.rows[rows],
        )


def as_text(array: np.ndarray, what: str, origin: str) -> np.ndarray:
    """An array of text or integers as text (``<U``); anything else is refused."""
    if array.dtype.kind == "S":
        return np.array(_text(array.tolist()), dtype=str)
    if array.dtype.kind not in "Uiu":
        raise InputError(f"{origin}: {what} must be text, not {array.dtype}.")
    return array.astype(str)


def show(label: object, most: int = 40) -> str:
    """A label in quotes for a message: one line, control characters escaped, not too long."""
    text = str(label)
    return repr(text if len(text) <= most else text[: most - 1] + "…")


def show_some(labels: Iterable[object], most: int = 5) -> str:
    """``'a', 'b' and 20 more``."""
    labels = list(labels)
    more = f" and {len(labels) - most} more" if len(labels) > most else ""
    return ", ".join(show(label) for label in labels[:most]) + more


def _text(values: Sequence[bytes], width: int = 0) -> list[str]:
    """UTF-8, or hexadecimal digits of ``width`` bytes: NumPy drops zero bytes at the end."""
    try:
        return [value.decode("utf-8") for value in values]
    except UnicodeDecodeError:
        return [value.ljust(width, b"\0").hex() for value in values]


def _whole(array: np.ndarray, origin: str, first_row: int) -> np.ndarray:
    """(n,) floats as int64."""
    missing = np.flatnonzero(np.isnan(array))
    if len(missing):
        raise missing_labels(origin, missing + first_row)
    bad = np.flatnonzero((array != np.floor(array)) | (np.abs(array) > _FLOAT_EXACT))
    if len(bad):
        raise InputError(
            f"{origin}: label {float(array[bad[0]])!r} in {name_rows(bad[:1] + first_row)} is a "
            "float that is not whole, or too large to be exact; store labels as integers or text."
        )
    return array.astype(np.int64)


def missing_labels(origin: str, rows: np.ndarray) -> InputError:
    """The error for rows without a label."""
    return InputError(f"{origin}: no label in {name_rows(rows)}; label these rows or remove them.")
