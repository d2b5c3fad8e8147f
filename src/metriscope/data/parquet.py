"""Parquet: one table from one file or from its shards, a batch at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metriscope.data.reading import FEATURES, LABELS, Contents, manifest_in, need, pick, reading
from metriscope.data.table import Labels, missing_labels
from metriscope.disk import ABOUT
from metriscope.text import name_rows
from metriscope.types import InputError

_ROWS = 1 << 15  # of one batch
_ABOUT = ABOUT.encode()
UNBUFFERED: dict[str, Any] = {"pre_buffer": False, "buffer_size": 1 << 20}
"""Options of a ParquetFile that is read in batches: else Arrow holds all that it has read."""


def read_parquet(paths: Sequence[Path]) -> Contents:
    """Read a label column and an embedding column, or numeric columns ``f0``, ``f1``, ….

    Lists may be of fixed size or not, but all of one length. Optional: ``id`` and ``split``
    columns, and class names as the ``datasets`` library writes them. Rows are numbered through
    all shards. Memory: the matrix, and one batch.

    Raises:
        InputError: unreadable files, missing values or columns, lists of different lengths, shards
            that do not fit together.
    """
    import pyarrow.parquet as pq

    beside = Beside()
    total, manifest = 0, dict[str, Any]()
    for path in paths:
        with reading(path, b"PAR1"), pq.ParquetFile(path) as file:
            total += file.metadata.num_rows
            names = file.schema_arrow.names
            manifest = manifest or manifest_in((file.schema_arrow.metadata or {}).get(_ABOUT))

    def blocks() -> Iterator[tuple[str, np.ndarray]]:
        start = 0
        for path in paths:
            origin = str(path)
            with reading(path, b"PAR1"), pq.ParquetFile(path, **UNBUFFERED) as file:
                features = feature_columns(file.schema_arrow.names, origin)
                columns = [*features, *beside.columns(file.schema_arrow, origin)]
                for batch in file.iter_batches(_ROWS, columns=columns):
                    beside.add(batch)
                    yield origin, matrix(batch, features, origin, start)
                    start += len(batch)

    x = stack(blocks(), total)
    labels = beside.labels(str(paths[0] if len(paths) == 1 else paths[0].parent), total)
    ids, split = beside.ids(), beside.split()
    return Contents(x, names, labels, beside.class_names, ids, split, manifest)


def stack(blocks: Iterable[tuple[str, np.ndarray]], total: int) -> np.ndarray:
    """(total, d) from blocks of rows, each with the name of where it is from.

    Raises:
        InputError: blocks of another width or type.
    """
    x, start = np.empty((0, 0)), 0
    for origin, block in blocks:
        if not start:
            x = np.empty((total, block.shape[1]), block.dtype)
        require_alike(block, x, origin)
        x[start : start + len(block)] = block
        start += len(block)
    return x


def require_alike(block: np.ndarray, before: np.ndarray, origin: str) -> None:
    """An InputError where two blocks of rows differ in width or type."""
    if (before.shape[1], before.dtype) != (block.shape[1], block.dtype):
        raise InputError(
            f"{origin}: vectors of {block.shape[1]} × {block.dtype}, but of "
            f"{before.shape[1]} × {before.dtype} before it; all shards and rows must be alike."
        )


class Beside:
    """What stands beside the features or pictures of a table: labels, ids, split, class names."""

    def __init__(self) -> None:
        self.class_names: tuple[str, ...] | None = None
        self._label: str | None = None
        self._id: str | None = None
        self._labels: list[Any] = []
        self._ids: list[Any] = []
        self._split: list[str] = []

    def columns(self, schema: Any, origin: str) -> list[str]:
        """Those to read of a shard with this Arrow schema; its batches go to :meth:`add`."""
        names = schema.names
        self._label = pick(names, LABELS, "labels", origin)
        self._id = pick(names, ("id", "ids"), "ids", origin)
        self.class_names = self.class_names or class_names_in(schema.metadata, self._label)
        wanted = [self._label, self._id, "split" if "split" in names else None]
        return [name for name in wanted if name is not None]

    def add(self, batch: Any) -> None:
        """The next rows: a record batch that has at least these columns."""
        if self._label is not None:
            self._labels.append(batch.column(self._label))
        if self._id is not None:
            self._ids += batch.column(self._id).to_pylist()
        if "split" in batch.schema.names:
            self._split += [str(value) for value in batch.column("split").to_pylist()]

    def labels(self, origin: str, total: int) -> Labels | None:
        """Of all rows; None if there are rows but no label column."""
        return labels_in(self._labels, origin) if self._labels or not total else None

    def ids(self) -> np.ndarray | None:
        """Of all rows, integers or text."""
        return _ids(self._ids) if self._ids else None

    def split(self) -> np.ndarray | None:
        """Of all rows, text."""
        return np.asarray(self._split, dtype=str) if self._split else None


def feature_columns(names: Sequence[str], origin: str) -> list[str]:
    """The embedding column, or ``f0``, ``f1``, …; an InputError if there are neither."""
    if pick(names, FEATURES, "embedding column", origin) is None:
        numbered = sum(re.fullmatch(r"f[0-9]+", name) is not None for name in names)
        columns = [f"f{i}" for i in range(numbered)]
        if columns and set(columns) <= set(names):
            return columns
    return [need(names, FEATURES, "embedding column, nor f0, f1, … without a gap", origin)]


def matrix(batch: Any, names: list[str], origin: str, start: int) -> np.ndarray:
    """(rows, d) from one column of lists, or from d columns of numbers, of an Arrow record batch.

    Args:
        batch: has at least these columns.
        names: see :func:`feature_columns`.
        origin: what to call it in messages.
        start: number of its first row, for messages.

    Raises:
        InputError: missing values, other types, lists of different lengths.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    def refuse_missing(array: Any, what: str, per_row: int = 1) -> None:
        if array.null_count:
            rows = np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False)) // per_row
            raise InputError(
                f"{origin}: missing values in {what}, {name_rows(np.unique(rows) + start)}; "
                "remove these rows or compute them again."
            )

    columns = [batch.column(name) for name in names]
    array, name = columns[0], names[0]
    if isinstance(array, pa.ExtensionArray):  # such as fixed-shape tensors
        array = array.storage
    if name not in FEATURES:
        for column, what in zip(columns, names, strict=True):
            refuse_missing(column, what)
            _require_numbers(column.type, what, origin)
        return np.column_stack([c.to_numpy(zero_copy_only=False) for c in columns])
    kind = pa.types
    lists = (kind.is_list, kind.is_large_list, kind.is_fixed_size_list)
    if not any(is_one(array.type) for is_one in lists):
        raise InputError(
            f"{origin}: column {name!r} is {array.type}; it must hold a list of numbers a row."
        )
    refuse_missing(array, name)
    lengths = pc.list_value_length(array).to_numpy(zero_copy_only=False)  # (rows,)
    width = int(lengths[0]) if len(lengths) else 0
    ragged = np.flatnonzero(lengths != width)
    if len(ragged):
        raise InputError(
            f"{origin}: {name} has {lengths[ragged[0]]} values in {name_rows(ragged[:1] + start)} "
            f"and {width} before it; all rows need the same number."
        )
    values = array.flatten()
    _require_numbers(values.type, name, origin)
    refuse_missing(values, name, max(width, 1))
    matrix: np.ndarray = values.to_numpy(zero_copy_only=False).reshape(len(array), width)
    return matrix


def _require_numbers(kind: Any, what: str, origin: str) -> None:
    from pyarrow import types

    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        raise InputError(f"{origin}: {what} holds {kind}; features must be real numbers.")


def labels_in(batches: list[Any], origin: str, start: int = 0) -> Labels:
    """Labels of Arrow arrays, one after the other. Nothing passes through a float.

    Args:
        batches: of integers, whole numbers or text.
        origin: what to call them in messages.
        start: number of the first row, for messages.

    Raises:
        InputError: missing values, other types.
    """
    import pyarrow as pa

    kind = pa.types
    arrays = [a.dictionary_decode() if kind.is_dictionary(a.type) else a for a in batches]
    if len({array.type for array in arrays}) == 1:
        arrays = [pa.concat_arrays(arrays)]  # shards may differ, as int32 and int64
    texts = (kind.is_string, kind.is_large_string, kind.is_string_view)
    binaries = (kind.is_binary, kind.is_large_binary, kind.is_fixed_size_binary)
    pieces = []
    for array in arrays:
        t = array.type
        if array.null_count:
            missing = np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))
            raise missing_labels(origin, missing + start)
        if kind.is_integer(t) or kind.is_floating(t) or kind.is_boolean(t):
            pieces.append(Labels.of(array.to_numpy(zero_copy_only=False), origin, start))
        elif any(is_one(t) for is_one in (*texts, *binaries, kind.is_decimal)):
            coded = array.dictionary_encode()
            codes, values = coded.indices.to_numpy(), coded.dictionary.to_pylist()
            pieces.append(Labels.coded(codes, values, origin))
        else:
            raise InputError(f"{origin}: labels are {t}; they must be integers or text.")
        start += len(array)
    return Labels.join(pieces)


def _ids(values: list[Any]) -> np.ndarray:
    if all(isinstance(value, int) and -(2**63) <= value < 2**63 for value in values):
        return np.asarray(values, np.int64)
    return np.asarray([str(value) for value in values], dtype=str)


def ids_in(array: Any, origin: str, start: int) -> np.ndarray:
    """An Arrow array of ids as integers or text.

    Args:
        array: of one value a row.
        origin: what to call it in messages.
        start: number of its first row, for messages.

    Raises:
        InputError: a row without an id.
    """
    from pyarrow import types

    if array.null_count:
        missing = np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))
        raise InputError(f"{origin}: no id in {name_rows(missing + start)}; give every row one.")
    if types.is_integer(array.type) and array.type != "uint64":
        return np.asarray(array, np.int64)
    return np.asarray([str(value) for value in array.to_pylist()], dtype=str)


def class_names_in(
    metadata: dict[bytes, bytes] | None, label: str | None
) -> tuple[str, ...] | None:
    """The names of the classes in the order of their codes, if the schema has them.

    They are where :func:`metriscope.disk.write_embeddings` puts them, or in the ``huggingface``
    entry of a ``ClassLabel`` column.
    """
    for key, path in (
        (ABOUT, ["class_names"]),
        ("huggingface", ["info", "features", label, "names"]),
    ):
        try:
            found = json.loads((metadata or {})[key.encode()])
            for step in path:
                found = found[step]
            return tuple(found)
        except (KeyError, TypeError, ValueError):
            continue
    return None
