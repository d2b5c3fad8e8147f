"""What runs keep beside their scores: queries, views, pictures.

::

    runs/<key>/queries.parquet  part, id, first, r_precision, precision: a row a query
               view.json        see :class:`~metriscope.types.View`
    thumbnails.parquet          id, jpeg: of the test rows that are shown
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from metriscope.disk import atomically, plain_json, storage_errors, write_text
from metriscope.store import Store
from metriscope.types import ClassRow, Confusion, Interval, Queries, Results, RunResult, View

QUERIES = "queries.parquet"
VIEW = "view.json"
THUMBNAILS = "thumbnails.parquet"
EMBEDDINGS = "embeddings.parquet"
COLUMNS = ("part", "id", "first", "r_precision", "precision")  # of QUERIES
_VIEWS = 2  # raised whenever a change moves what a view holds
_ARRAYS = ("spectrum", "edges", "within", "between")
_STRETCH = 1 << 16  # bytes


def write_queries(file: Path, parts: Mapping[str, Queries]) -> None:
    """Write what the queries of ``test`` and ``validation`` retrieved.

    Args:
        file: its folder is made if need be.
        parts: their ids are kept as integers if those of all parts are, else as text.

    Raises:
        StorageError: no space or no permission.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def rows(name: str) -> list[Any]:
        return [value for found in parts.values() for value in getattr(found, name).tolist()]

    ids = rows("ids")
    if not all(isinstance(value, int) for value in ids):
        ids = [str(value).encode("utf-8", "backslashreplace").decode() for value in ids]
    part = [part for part, found in parts.items() for _ in range(len(found.ids))]
    table = pa.table(
        {
            "part": pa.array(part, pa.string()),
            "id": ids,
            "first": pa.array(rows("first"), pa.int8()),
            "r_precision": pa.array(rows("r_precision"), pa.float64()),
            "precision": pa.array(rows("precision"), pa.float64()),
        }
    )
    with storage_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        atomically(file, lambda path: pq.write_table(table, path))


def read_queries(folder: Path, key: str, part: str) -> Queries | None:
    """Of a run and part; None if it was not kept, or cannot be read."""
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(Path(folder) / "runs" / key / QUERIES)
        columns = [table[name].to_numpy() for name in COLUMNS]
    except (OSError, ValueError, KeyError):  # pyarrow's own are among them
        return None
    mine = columns[0] == part
    ids, first, r_precision, precision = (column[mine] for column in columns[1:])
    known = [column.dtype.kind for column in (ids, first, r_precision, precision)]
    if not len(ids) or known not in (["i", *"iff"], ["O", *"iff"]):
        return None
    ids = ids.astype(str) if known[0] == "O" else ids
    return Queries(ids, first.astype(np.int64), r_precision, precision)


def write_view(folder: Path, key: str, view: View) -> None:
    """Keep how the embeddings of a run look, and which embeddings they are.

    Points have four significant digits, since they are a picture; all other numbers six.

    Raises:
        StorageError: no space or no permission.
    """
    run = Path(folder) / "runs" / key
    data = _view_to_json(view) | {"format": _VIEWS, "of": identity(run / EMBEDDINGS)}
    with storage_errors(run):
        write_text(run / VIEW, json.dumps(plain_json(data), separators=(",", ":")) + "\n")


def read_view(folder: Path, key: str) -> View | None:
    """What :func:`write_view` kept; None if there is none, or of other embeddings.

    One whose embeddings are no longer there is as good as before.
    """
    run = Path(folder) / "runs" / key
    try:
        data = json.loads((run / VIEW).read_text(encoding="utf-8"))
        known = data["format"] == _VIEWS and identity(run / EMBEDDINGS) in (None, data["of"])
        return _view_from_json(data) if known else None
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def identity(file: Path) -> str | None:
    """SHA-256, in hex, of a file's size, its end (of Parquet, what sums it up) and 64 stretches.

    A file of up to 4 MiB is read whole, a larger one in no more time. None if it is not there.
    """
    try:
        with file.open("rb") as opened:
            size = opened.seek(0, os.SEEK_END)
            digest = hashlib.sha256(str(size).encode())
            starts = range(0, size, max(_STRETCH, size // 64))
            for start in (*starts, max(0, size - _STRETCH)):
                opened.seek(start)
                digest.update(opened.read(_STRETCH))
    except FileNotFoundError:
        return None
    return digest.hexdigest()


def _view_to_json(view: View) -> dict[str, Any]:
    names = list(dict.fromkeys(view.labels))
    codes = {name: code for code, name in enumerate(names)}
    return {
        "settings": view.settings,
        "names": names,
        "codes": [codes[label] for label in view.labels],
        "ids": view.ids,
        "points": [_rounded(point, 4) for point in view.points],
        "preserved": view.preserved,
        "trustworthiness": view.trustworthiness,
        **{name: _rounded(getattr(view, name), 6) for name in _ARRAYS},
        "medians": view.medians,
        "overlap": view.overlap,
        "classes": [vars(row) for row in view.classes],
        "confusions": [vars(confusion) for confusion in view.confusions],
        "examples": view.examples,
    }


def _view_from_json(data: Mapping[str, Any]) -> View:
    labels = tuple(data["names"][code] for code in data["codes"])
    within, between = data["medians"]
    return View(
        labels,
        tuple(data["ids"]),
        np.array(data["points"], np.float64).reshape(len(labels), 2),
        data["preserved"],
        data["trustworthiness"],
        **{name: np.array(data[name], np.float64) for name in _ARRAYS},
        medians=(within, between),
        overlap=data["overlap"],
        classes=tuple(_class_row(row) for row in data["classes"]),
        confusions=tuple(Confusion(**confusion) for confusion in data["confusions"]),
        examples=tuple(tuple((str(q), str(f)) for q, f in pairs) for pairs in data["examples"]),
        settings=data["settings"],
    )


def _class_row(row: Mapping[str, Any]) -> ClassRow:
    between = row["interval"]
    return ClassRow(**{**row, "interval": between and Interval(*between)})


def _rounded(values: Iterable[float], digits: int) -> list[float]:
    return [float(f"{value:.{digits}g}") for value in values]


def write_thumbnails(folder: Path, pictures: Mapping[str, bytes]) -> None:
    """Keep small JPEG pictures by the id of their row.

    Raises:
        StorageError: no space or no permission.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {"id": pa.array(pictures, pa.string()), "jpeg": pa.array(pictures.values(), pa.binary())}
    )
    with storage_errors(folder):
        atomically(Path(folder) / THUMBNAILS, lambda path: pq.write_table(table, path))


def read_thumbnails(folder: Path) -> dict[str, bytes]:
    """What :func:`write_thumbnails` kept; empty without, or if it cannot be read."""
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(Path(folder) / THUMBNAILS)
        pictures = zip(table["id"].to_pylist(), table["jpeg"].to_pylist(), strict=True)
        return {str(id): bytes(jpeg) for id, jpeg in pictures}
    except (OSError, ValueError, KeyError, TypeError):  # pyarrow's own are among them
        return {}


def differences(folder: Path, results: Results) -> tuple[str, ...]:
    """Keys of runs whose status, scores or trace are not those of ``runs/<key>/result.json``.

    Runs of which there is no such file, or not a whole one, are not among them.
    """
    store, found = Store(folder), []
    for run in chain(results.runs, *results.others.values()):
        own = store.read_run(run.spec)
        if own is not None and _said(own) != _said(run):
            found.append(run.key)
    return tuple(dict.fromkeys(found))


def _said(run: RunResult) -> Any:
    return plain_json((run.status, run.scores, run.trace))
