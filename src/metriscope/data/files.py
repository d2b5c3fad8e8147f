"""Readers of labelled vectors: one function a format, each returning what the file holds.

Nothing is ever unpickled. Every failure, a library's own included, is an
:class:`~metriscope.types.InputError` that names the file.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from metriscope.data.parquet import read_parquet
from metriscope.data.reading import (
    FEATURES,
    LABELS,
    Contents,
    manifest_in,
    need,
    pick,
    pickled,
    reading,
)
from metriscope.data.table import INTEGER, Labels, Table, as_text, missing_labels, show_some
from metriscope.disk import ABOUT
from metriscope.text import name_rows
from metriscope.types import InputError

LABEL_SUFFIXES = (".npy", ".npz", ".txt", ".csv")
_NUMERIC = re.compile("([FIU])(8|16|32|64)")  # a safetensors type that NumPy has


def read_table(paths: Sequence[Path], labels: Path | None = None) -> Table:
    """One table from one file, or from the shards of one.

    Args:
        paths: files of one format; more than one only of Parquet.
        labels: a file of labels, where the features' file has none.

    Raises:
        InputError: unknown suffix, unreadable or damaged file, no features or labels in it, labels
            in both places.
    """
    path = paths[0]
    if path.suffix.lower() not in READERS:
        raise InputError(
            f"{path}: cannot read {path.suffix or 'a file without a suffix'}; "
            f"known formats are {', '.join(READERS)}."
        )
    origin = str(path) if len(paths) == 1 else str(path.parent)
    held = READERS[path.suffix.lower()](paths)
    found, class_names = held.labels, held.class_names
    if labels is not None:
        if found is not None:
            raise labels_twice(origin, labels)
        found, own_names = read_labels(labels)
        class_names = own_names or class_names
    if found is None:
        raise no_labels(origin, held.names)
    ids = np.empty(0, np.int64) if held.ids is None else held.ids
    return Table(held.x, found, origin, class_names, ids, held.split, held.manifest)


def read_labels(path: Path) -> tuple[Labels, tuple[str, ...] | None]:
    """Labels from a file of their own, and class names if it has them.

    ``.npy``: an array; ``.npz``: ``labels`` and, if there, ``class_names``; ``.txt``: one a line,
    UTF-8; ``.csv``: one column, or the column ``label`` of several. In text files labels that are
    all whole numbers count as integers.
    """
    suffix, origin = path.suffix.lower(), str(path)
    if suffix == ".npy":
        with reading(path, b"\x93NUMPY"):
            return Labels.of(np.load(path, allow_pickle=False), origin), None
    if suffix == ".npz":
        with _open_npz(path) as file:
            key = need(file.files, LABELS, "labels", origin)
            return Labels.of(_member(file, key, origin), origin), _npz_class_names(file, origin)
    if suffix not in LABEL_SUFFIXES:
        raise InputError(f"{path}: labels must be in {', '.join(LABEL_SUFFIXES)}.")
    with reading(path), path.open(encoding="utf-8-sig", newline="") as text:
        if suffix == ".csv":
            values = _csv_labels(text, origin)
        else:
            values = text.read().replace("\r\n", "\n").split("\n")
            values = values[:-1] if values[-1] == "" else values
    blank = [row for row, value in enumerate(values) if not value.strip()]
    if blank:
        raise missing_labels(origin, np.asarray(blank))
    index = {value: code for code, value in enumerate(dict.fromkeys(values))}
    whole = all(INTEGER.fullmatch(value) for value in index)
    codes = np.asarray([index[value] for value in values], np.int64)
    return Labels.coded(codes, [int(v) for v in index] if whole else list(index), origin), None


def no_labels(origin: str, names: Sequence[str]) -> InputError:
    """The error for a file without labels; ``names`` are what it holds."""
    return InputError(
        f"{origin}: no labels (it holds {show_some(names)}); call them 'labels', or give "
        "a file of them with --labels FILE (in Python labels=)."
    )


def labels_twice(origin: str, labels: Path) -> InputError:
    """The error for labels in the features' file and in another."""
    return InputError(f"{origin} has labels of its own, and {labels} was given too; leave out one.")


@contextmanager
def _open_npz(path: Path) -> Iterator[Any]:
    # Opened here: np.load leaves a file open that turns out to be damaged.
    with reading(path, b"PK"), path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
        yield file


def _npy(paths: Sequence[Path]) -> Contents:
    with reading(paths[0], b"\x93NUMPY"):
        x = np.load(paths[0], mmap_mode="r", allow_pickle=False)
    beside = paths[0].with_name(f"{paths[0].stem}_manifest.json")
    text = beside.read_text(encoding="utf-8") if beside.is_file() else "null"
    return Contents(x, ["one array"], manifest=manifest_in(f'{{"manifest": {text}}}'))


def _npz(paths: Sequence[Path]) -> Contents:
    path, origin = paths[0], str(paths[0])
    with _open_npz(path) as file:
        names = file.files
        features = need(names, (*FEATURES, "x", "X"), "features", origin)
        labels = pick(names, (*LABELS, "y"), "labels", origin)
        ids = _member(file, "ids", origin) if "ids" in names else None
        return Contents(
            _member(file, features, origin),
            names,
            None if labels is None else Labels.of(_member(file, labels, origin), origin),
            _npz_class_names(file, origin),
            ids if ids is None or ids.dtype.kind in "iu" else as_text(ids, "ids", origin),
            as_text(_member(file, "split", origin), "split", origin) if "split" in names else None,
            _npz_manifest(file, origin),
        )


def _safetensors(paths: Sequence[Path]) -> Contents:
    from safetensors import safe_open

    path, origin = paths[0], str(paths[0])
    with reading(path):
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            features = need(names, FEATURES, "features", origin)
            labels = pick(names, LABELS, "labels", origin)
            found = None if labels is None else Labels.of(file.get_tensor(labels), origin)
            about = file.metadata() or {}
            written = json.loads(about.get("class_names", "null"))
            if ABOUT in about:
                written = json.loads(about[ABOUT]).get("class_names")
            kind = _NUMERIC.fullmatch(file.get_slice(features).get_dtype())
        if kind:
            x = _mapped(path, features, f"<{kind[1].lower()}{int(kind[2]) // 8}")
        else:  # NumPy has no bfloat16
            with safe_open(path, framework="pt") as file:
                x = file.get_tensor(features).float().numpy()
    class_names = tuple(str(name) for name in written) if isinstance(written, list) else None
    return Contents(x, names, found, class_names, manifest=manifest_in(about.get(ABOUT)))


def _mapped(path: Path, name: str, kind: str) -> np.ndarray:
    """A tensor of a sound safetensors file, left on disk: its header says where it begins."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        about = json.loads(file.read(size))[name]
    shape, start = tuple(about["shape"]), 8 + size + about["data_offsets"][0]
    return np.memmap(path, kind, "r", start, shape) if all(shape) else np.empty(shape, kind)


READERS: dict[str, Callable[[Sequence[Path]], Contents]] = {
    ".npz": _npz,
    ".npy": _npy,
    ".parquet": read_parquet,
    ".safetensors": _safetensors,
}


def _member(file: Any, name: str, origin: str) -> np.ndarray:
    """One array of an open ``.npz``. Refused unread: one that cannot fit, as of a zip bomb."""
    import psutil

    sizes = {about.filename: about.file_size for about in file.zip.infolist()}
    size, memory = sizes.get(f"{name}.npy", sizes.get(name, 0)), psutil.virtual_memory().total
    if size > memory:
        raise InputError(
            f"{origin}: the array {name!r} unpacks to {size:,} bytes, more than the {memory:,} of "
            "this machine's memory. Save less of it, or as .npy or Parquet."
        )
    try:
        array = file[name]
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise pickled(f"{origin}: the array {name!r}") from error
        raise
    if not isinstance(array, np.ndarray):  # NumPy hands out the bytes of a member it does not know
        raise InputError(f"{origin}: {name!r} is no NumPy array; write it with np.savez.")
    return array


def _npz_manifest(file: Any, origin: str) -> dict[str, Any]:
    if "manifest" not in file.files:
        return {}
    member = _member(file, "manifest", origin)
    return manifest_in(f'{{"manifest": {member}}}') if member.dtype.kind == "U" else {}


def _npz_class_names(file: Any, origin: str) -> tuple[str, ...] | None:
    if "class_names" not in file.files:
        return None
    names = as_text(_member(file, "class_names", origin), "class_names", origin)
    if names.ndim != 1:
        raise InputError(f"{origin}: class_names has shape {names.shape}; it must be a list.")
    return tuple(names.tolist())


def _csv_labels(text: Any, origin: str) -> list[str]:
    rows = list(csv.reader(text, strict=True))
    if not rows:
        return []
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
    return [cells[at] if cells else "" for cells in body]
