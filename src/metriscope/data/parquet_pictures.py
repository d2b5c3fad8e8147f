"""Pictures in Parquet, as the ``datasets`` library writes them and others do: bytes in a column."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metriscope.data.parquet import Beside
from metriscope.data.pictures import Digest, Pictures, Raw, Shelf
from metriscope.data.reading import FEATURES, LABELS, reading
from metriscope.data.table import Labels, missing_labels, show, show_some
from metriscope.types import InputError

_PREFERRED = ("image", "img", "images", "picture")
_NEVER = (*FEATURES, *LABELS, "id", "ids", "split")
BATCH = 64  # pictures in memory at once
_ROWS = 1 << 15  # of labels read at once
_BUFFER = 1 << 20  # bytes; without one, Parquet reads a whole row group ahead


@dataclass(frozen=True, eq=False)
class ParquetRows:
    """Pictures in a column of Parquet files, one file after the other.

    Attributes:
        paths: the files.
        column: of binary values, or of structs with ``bytes`` and perhaps ``path``.
        rows: how many each file has.
    """

    paths: Sequence[Path]
    column: str
    rows: Sequence[int]

    def __len__(self) -> int:
        return sum(self.rows)

    def read(self, start: int, stop: int) -> Iterator[Raw]:
        """A few pictures in memory at a time, whatever the size of the row groups.

        Row groups before ``start`` are skipped, those of one file that come before it in its own
        row group are not: read long stretches.

        Raises:
            InputError: a damaged file.
        """
        for path, first, last in _overlaps(self.paths, self.rows, start, stop):
            with reading(path, b"PAR1"):
                yield from _stream(path, self.column, first, last)

    def identity(self, digest: Digest) -> str:
        """Of the files' contents, and of pictures that lie beside them."""
        paths = (raw for raw in self._beside() if isinstance(raw, Path))
        beside = (path for path in paths if os.path.isfile(path))  # noqa: PTH113 - that one may raise
        return column_identity(self.column, [*self.paths, *beside], digest)

    def _beside(self) -> Iterator[Raw]:
        """All pictures of the files that have some without bytes."""
        import pyarrow.parquet as pq

        at = 0
        for path, rows in zip(self.paths, self.rows, strict=True):
            with reading(path, b"PAR1"), pq.ParquetFile(path) as file:
                whole = _has_all_bytes(file.metadata, self.column)
            if not whole:
                yield from self.read(at, at + rows)
            at += rows


def image_column(path: Path) -> str | None:
    """The name of the column that holds pictures, if one does.

    What the ``datasets`` library says about the columns decides; else their types and names do.

    Raises:
        InputError: no Parquet file, or a damaged one.
    """
    import pyarrow.parquet as pq

    with reading(path, b"PAR1"), pq.ParquetFile(path) as file:
        return column_of_pictures(file.schema_arrow)


def column_of_pictures(schema: Any) -> str | None:
    """As :func:`image_column`, of an Arrow schema."""
    fitting = [field.name for field in schema if _holds_bytes(field)]
    said = [name for name in fitting if name in _declared(schema.metadata)]
    for names in (said, fitting):
        best = [name for name in _PREFERRED if name in names] or names
        if best:
            return best[0]
    return None


def read_parquet_pictures(paths: Sequence[Path]) -> Pictures:
    """Pictures with their labels, class names, ids and split, as features are read from Parquet.

    A row whose ``bytes`` are null is the file at its ``path``, if that lies in the Parquet file's
    folder; a path out of it is never followed.

    Raises:
        InputError: damaged files, no picture column or no labels, labels that are missing.
    """
    import pyarrow.parquet as pq

    column = image_column(paths[0]) or ""
    origin = str(paths[0] if len(paths) == 1 else paths[0].parent)
    beside, rows = Beside(), []
    for path in paths:
        with reading(path, b"PAR1"), pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if not column or column != column_of_pictures(file.schema_arrow):
                what = f"pictures in {show(column)}" if column else "column of pictures"
                raise InputError(
                    f"{path}: no {what} (it holds {show_some(names)}); call the column with their "
                    "bytes 'image'."
                )
            rows.append(file.metadata.num_rows)
            columns = beside.columns(file.schema_arrow, str(path))
            for batch in file.iter_batches(_ROWS, columns=columns) if columns else ():
                beside.add(batch)
    return labelled(ParquetRows(paths, column, rows), beside, names, origin)


def labelled(shelf: Shelf, beside: Beside, names: Sequence[str], origin: str) -> Pictures:
    """A shelf with what stands beside it; ``names`` are all columns, for messages."""
    labels = require_labels(beside, names, len(shelf), origin)
    ids = beside.ids()
    return Pictures(
        shelf,
        labels,
        origin,
        beside.class_names,
        np.empty(0, np.int64) if ids is None else ids,
        beside.split(),
    )


def require_labels(beside: Beside, names: Sequence[str], total: int, origin: str) -> Labels:
    """The labels of all rows.

    Raises:
        InputError: there are none, or some that index the class names are -1.
    """
    labels = beside.labels(origin, total)
    if labels is None:
        raise InputError(
            f"{origin}: no labels (it holds {show_some(names)}); name the column 'label'."
        )
    if set(labels.values) == {-1}:
        raise InputError(
            f"{origin}: every label is -1, which stands for labels that are kept secret, as in the "
            "test sets of contests. Use a part that has labels, such as the validation set."
        )
    if beside.class_names and -1 in labels.values:  # else -1 may be a class like any other
        raise missing_labels(origin, np.flatnonzero(labels.codes == labels.values.index(-1)))
    return labels


def raw_picture(value: Any, folder: Path) -> Raw:
    """A cell of a picture column: its bytes, a file in ``folder``, or nothing (``b""``)."""
    if not isinstance(value, dict):
        return value or b""
    if value["bytes"] is not None or not value.get("path"):
        return value["bytes"] or b""
    try:
        path = (folder / value["path"]).resolve()
        inside = path.is_relative_to(folder.resolve())
    except (
        OSError,
        ValueError,
        RuntimeError,
    ):  # a null character, a name too long, a loop of links
        return b""
    return path if inside else b""


def column_identity(column: str, files: Iterable[Path], digest: Digest) -> str:
    """SHA-256, in hex, of a column's name and of what lies in the files."""
    whole = hashlib.sha256(f"{column}\n".encode())
    for file in files:
        whole.update(bytes.fromhex(digest(file)))
    return whole.hexdigest()


def _overlaps(
    paths: Sequence[Path], rows: Sequence[int], start: int, stop: int
) -> Iterator[tuple[Path, int, int]]:
    """Files that hold some of the rows, and the first and last + 1 of them within the file."""
    for path, count in zip(paths, rows, strict=True):
        if start < count and stop > 0 and start < stop:
            yield path, max(start, 0), min(stop, count)
        start, stop = start - count, stop - count


def _stream(path: Path, column: str, first: int, last: int) -> Iterator[Raw]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER) as file:
        groups, begin, at = [], 0, None
        for group in range(file.metadata.num_row_groups):
            end = begin + file.metadata.row_group(group).num_rows
            if begin < last and end > first:
                groups.append(group)
                at = begin if at is None else at
            begin = end
        at = at or 0
        for batch in file.iter_batches(BATCH, groups, columns=[column], use_threads=False):
            some = batch.column(0)[max(first - at, 0) : max(last - at, 0)]
            yield from (raw_picture(value, path.parent) for value in some.to_pylist())
            at += len(batch)
            if at >= last:
                return


def _holds_bytes(field: Any) -> bool:
    from pyarrow import types

    def binary(kind: Any) -> bool:
        return any(
            check(kind) for check in (types.is_binary, types.is_large_binary, types.is_binary_view)
        )

    if field.name in _NEVER:
        return False
    if types.is_struct(field.type):
        at = field.type.get_field_index("bytes")
        return at >= 0 and binary(field.type.field(at).type)
    return binary(field.type)


def _declared(metadata: dict[bytes, bytes] | None) -> set[str]:
    """Columns that the schema's ``huggingface`` entry calls images."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return {name for name, about in features.items() if about.get("_type") == "Image"}
    except (KeyError, TypeError, ValueError, AttributeError):
        return set()


def _has_all_bytes(metadata: Any, column: str) -> bool:
    """Whether the file's statistics say that no picture's bytes are null."""
    for group in range(metadata.num_row_groups):
        chunks = [metadata.row_group(group).column(i) for i in range(metadata.num_columns)]
        for chunk in chunks:
            if chunk.path_in_schema == f"{column}.bytes":
                about = chunk.statistics
                if about is None or not about.has_null_count or about.null_count:
                    return False
    return True
