"""Labelled vectors a block at a time: memory does not grow with the rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from metriscope.data import on_disk
from metriscope.data.checks import rows_by_split
from metriscope.data.datasets import DATASETS
from metriscope.data.files import labels_twice, no_labels, read_table
from metriscope.data.folder import files_of
from metriscope.data.hub_layout import parquet_parts
from metriscope.data.label_files import IDS, LabelFile, read_labels
from metriscope.data.parquet import (
    UNBUFFERED,
    class_names_in,
    feature_columns,
    ids_in,
    labels_in,
    matrix,
    require_alike,
)
from metriscope.data.parquet_pictures import image_column
from metriscope.data.reading import LABELS, pick, reading
from metriscope.data.sources import Source, find, is_part
from metriscope.data.table import Labels, Table
from metriscope.types import InputError

Part = Literal["train", "test", "all"]

Blocks = Iterator[Table]

_NONE = np.empty(0, np.int64)  # ids of none


@dataclass(frozen=True, eq=False)
class Stream:
    """Labelled rows that are read when they are asked for.

    Attributes:
        origin: what to call it in messages.
        blocks: reads them, from the first to the last.
        class_names: as in :class:`~metriscope.data.table.Table`.
        splits: the distinct values of its split column; none without one.
        most: how many rows there are, or more: those of another split are counted too.
        has_ids: whether the ids of its tables are the source's own, not row numbers.
    """

    origin: str
    blocks: Callable[[], Blocks]
    class_names: tuple[str, ...] | None = None
    splits: frozenset[str] = frozenset()
    most: int = 0
    has_ids: bool = False


def open_streams(source: Source, labels: Source | None = None, part: Part = "all") -> list[Stream]:
    """The rows of a source of vectors, or of a part of it.

    Args:
        source, labels: see :func:`open_parts`.
        part: ``train`` or ``test`` of a source that is divided, or ``all``, other splits included.

    Raises:
        InputError: a source that has no such part; see :func:`open_parts`.
    """
    whole = _streams(source, labels)
    if part == "all":
        return list(whole.values())
    parts = _parts(whole)
    if part not in parts:
        raise _no_part(next(iter(whole.values())).origin, part)
    return [parts[part]]


def open_parts(
    source: Source, labels: Source | LabelFile | None = None, *, ids: bool = False
) -> dict[str, Stream]:
    """``train`` and ``test``, or one of them, of a source that is divided; else ``all``.

    Parquet, and ``.npy`` with labels in another ``.npy``, need memory for one block, whatever the
    number of rows. Labels of other files are held, 8 bytes a row, and ``.npz`` is as a whole.

    Args:
        source: see :func:`metriscope.data.load` for what it may be.
        labels: a file of labels, or what it holds, for one file that has none.
        ids: whether to read the ids, which takes longer.

    Raises:
        InputError: pictures, whatever ``load`` refuses.
    """
    return _parts(_streams(source, labels, ids))


def _streams(
    source: Source, labels: Source | LabelFile | None, ids: bool = False
) -> dict[str, Stream]:
    """Of the files of a source, by part or ``all``."""
    files = _files(source, labels)
    if files is None:
        if isinstance(labels, LabelFile):
            raise InputError(f"{source} brings its own labels; leave out --labels (labels=).")
        found = find(source, labels)
        if found.pictures:
            raise InputError(
                f"{found.origin} holds pictures, not vectors; make vectors of them with "
                "metriscope embed."
            )
        streams = {name: of_table(table) for name, table in found.tables.items()}
    else:
        streams = {name: _open(*paths, ids) for name, paths in files.items()}
    names = next((s.class_names for s in streams.values() if s.class_names), None)
    return {k: replace(s, class_names=s.class_names or names) for k, s in streams.items()}


def of_table(table: Table) -> Stream:
    """The rows of a table, which may be mapped from a file."""
    splits = frozenset() if table.split is None else frozenset(np.unique(table.split).tolist())

    def blocks() -> Blocks:
        for start, stop in _cuts(table.x):
            part = slice(start, stop)
            yield Table(
                table.x[part],
                table.labels.take(np.arange(start, stop)),
                table.origin,
                table.class_names,
                table.ids[part] if table.has_ids else _NONE,
                None if table.split is None else table.split[part],
                rows=table.rows[part],
            )

    return Stream(
        table.origin, blocks, table.class_names, splits, most=len(table), has_ids=table.has_ids
    )


def _files(
    source: Source, labels: Source | LabelFile | None
) -> dict[str, tuple[Sequence[Path], Path | LabelFile | None]] | None:
    """Files of vectors and of labels by part; None of what is something else."""
    path = Path(os.fspath(source))
    beside = labels if labels is None or isinstance(labels, LabelFile) else Path(labels)
    if isinstance(source, str) and source.partition(":")[0] in DATASETS.names():
        return None
    if path.is_file():
        pictures = path.suffix.lower() == ".parquet" and image_column(path)
        return None if pictures else {"all": ([path], beside)}
    if not path.is_dir() or on_disk.recognises(path):
        return None
    parquet = parquet_parts(path) or {"all": sorted(path.glob("*.parquet"))}
    first = next(iter(parquet.values()))
    if (first and image_column(first[0])) or not (first or any(map(is_part, path.iterdir()))):
        return None
    return dict(files_of(path, beside, []))


def _open(paths: Sequence[Path], labels: Path | LabelFile | None, ids: bool) -> Stream:
    """Of one table: of one file, or of Parquet shards."""
    suffix = paths[0].suffix.lower()
    if suffix == ".parquet":
        return _parquet(paths, labels, ids)
    if suffix == ".npy" and isinstance(labels, Path) and labels.suffix.lower() == ".npy":
        return _npy(paths[0], labels)
    return of_table(read_table(paths, labels))


def _npy(path: Path, labels: Path) -> Stream:
    mapped = []
    for each in (path, labels):
        with reading(each, b"\x93NUMPY"):
            mapped.append(np.load(each, mmap_mode="r", allow_pickle=False))
    x, y = mapped
    if y.ndim != 1:
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else Labels.of(y, str(labels)).codes
    _check(str(path), x, len(y))

    def blocks() -> Blocks:
        for start, stop in _cuts(x):
            found = Labels.of(y[start:stop], str(labels), start)
            yield Table(x[start:stop], found, str(path), rows=np.arange(start, stop))

    return Stream(str(path), blocks, most=len(x))


def _no_part(origin: str, part: Part) -> InputError:
    return InputError(
        f"{origin}: not divided, or without a {part} part; leave out split=, or name the part of "
        "each row in a column 'split'."
    )


def _cuts(x: np.ndarray) -> Iterator[tuple[int, int]]:
    """Where blocks of rows begin and end."""
    from metriscope.ops import block_rows

    size = block_rows(x.shape[1])
    for start in range(0, len(x), size):
        yield start, min(start + size, len(x))


def _check(origin: str, x: np.ndarray, labels: int) -> None:
    """What a table checks, of arrays that are not read for it."""
    zeros = np.broadcast_to(np.int64(0), (labels,))
    rows = np.broadcast_to(np.int64(0), (len(x) if x.ndim else 0,))
    Table(x, Labels(zeros, (0,)), origin, rows=rows)


def _parquet(paths: Sequence[Path], labels: Path | LabelFile | None, ids: bool) -> Stream:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    origin = str(paths[0] if len(paths) == 1 else paths[0].parent)
    given = read_labels(labels) if isinstance(labels, Path) else labels
    class_names = None if given is None else given.class_names
    total, splits, named = 0, set[str](), True
    for path in paths:
        with reading(path, b"PAR1"), pq.ParquetFile(path, **UNBUFFERED) as file:
            schema, total = file.schema_arrow, total + file.metadata.num_rows
            own = pick(schema.names, LABELS, "labels", str(path))
            if own is None and given is None:
                raise no_labels(origin, schema.names)
            if own is not None and given is not None:
                raise labels_twice(origin, given.origin)
            class_names = class_names or class_names_in(schema.metadata, own)
            named = named and pick(schema.names, IDS, "ids", str(path)) is not None
            if "split" in schema.names:
                for batch in file.iter_batches(columns=["split"]):
                    splits.update(map(str, pc.unique(batch.column(0)).to_pylist()))
    by_id = named and given is not None and given.ids is not None
    width = 1 if total else 0
    _check(
        origin,
        np.broadcast_to(np.int64(0), (total, width)),
        total if given is None or by_id else len(given.labels),
    )
    in_order = None if given is None or by_id else given.of(None, origin)

    def blocks() -> Blocks:
        start, before = 0, None
        for path in paths:
            with reading(path, b"PAR1"), pq.ParquetFile(path, **UNBUFFERED) as file:
                names = file.schema_arrow.names
                features = feature_columns(names, str(path))
                own = pick(names, LABELS, "labels", str(path))
                called = pick(names, IDS, "ids", str(path)) if by_id or (ids and named) else None
                beside = [name for name in (own, called, "split") if name in names]
                for batch in file.iter_batches(_batch(file), columns=[*features, *beside]):
                    x = matrix(batch, features, str(path), start)
                    before = x if before is None else before
                    require_alike(x, before, str(path))
                    rows = np.arange(start, start + len(x))
                    called_ids = ids_in(batch.column(called), origin, start) if called else _NONE
                    if given is None:
                        found = labels_in([batch.column(own)], origin, start)
                    elif in_order is None:
                        found = given.of(called_ids, origin)
                    else:
                        found = in_order.take(rows)
                    split = batch.column("split").to_pylist() if "split" in names else None
                    split = None if split is None else np.asarray(split, str)
                    yield Table(
                        x,
                        found,
                        origin,
                        class_names,
                        called_ids if ids else _NONE,
                        split,
                        rows=rows,
                    )
                    start += len(x)

    return Stream(origin, blocks, class_names, frozenset(splits), most=total, has_ids=ids and named)


def _batch(file: Any) -> int:
    """Rows of an open Parquet file that are about 16 MiB as they are stored."""
    group = file.metadata.row_group(0) if file.metadata.num_row_groups else None
    each = group.total_byte_size // max(group.num_rows, 1) if group else 1
    return max(1, min(1 << 15, (1 << 24) // max(each, 1)))


def _parts(streams: dict[str, Stream]) -> dict[str, Stream]:
    """Cut to the rows of each part where a split column says which they are."""
    if "all" not in streams:
        return streams
    stream = streams["all"]
    found = rows_by_split(np.array(sorted(stream.splits)) if stream.splits else None, stream.origin)

    def of(part: str) -> Callable[[], Blocks]:
        def blocks() -> Blocks:
            for table in stream.blocks():
                rows = np.flatnonzero(np.isin(np.asarray(table.split), [part]))
                if len(rows):
                    yield table.take(rows)

        return blocks

    return {part: replace(stream, blocks=of(part)) for part in found} or streams
