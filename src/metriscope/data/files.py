"""Readers of labelled vectors: one function a format, each returning what the file holds.

Nothing is ever unpickled. Every failure, a library's own included, is an
:class:`~metriscope.types.InputError` that names the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metriscope.data.label_files import LabelFile, NoLabelsError, read_labels
from metriscope.data.npz import member, npz_class_names, npz_ids, open_npz
from metriscope.data.parquet import read_parquet
from metriscope.data.reading import FEATURES, LABELS, Contents, manifest_in, need, pick, reading
from metriscope.data.table import Labels, Table, as_text, show_some
from metriscope.disk import ABOUT
from metriscope.types import InputError

_NUMERIC = re.compile("([FIU])(8|16|32|64)")  # a safetensors type that NumPy has


def read_table(paths: Sequence[Path], labels: Path | LabelFile | None = None) -> Table:
    """One table from one file, or from the shards of one.

    Args:
        paths: files of one format; more than one only of Parquet.
        labels: a file of labels, where the features' file has none; of each row by its id where
            both have ids, else in order.

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
        beside = labels if isinstance(labels, LabelFile) else read_labels(labels)
        if found is not None:
            raise labels_twice(origin, beside.origin)
        found, class_names = beside.of(held.ids, origin), beside.class_names or class_names
    if found is None:
        raise no_labels(origin, held.names)
    ids = np.empty(0, np.int64) if held.ids is None else held.ids
    return Table(held.x, found, origin, class_names, ids, held.split, held.manifest)


def no_labels(origin: str, names: Sequence[str]) -> NoLabelsError:
    """The error for a file without labels; ``names`` are what it holds."""
    return NoLabelsError(
        f"{origin}: no labels (it holds {show_some(names)}); call them 'labels', or give "
        "a file of them with --labels FILE (in Python labels=).",
        origin,
    )


def labels_twice(origin: str, labels: str) -> InputError:
    """The error for labels in the features' file and in another."""
    return InputError(f"{origin} has labels of its own, and {labels} was given too; leave out one.")


def _npy(paths: Sequence[Path]) -> Contents:
    with reading(paths[0], b"\x93NUMPY"):
        x = np.load(paths[0], mmap_mode="r", allow_pickle=False)
    beside = paths[0].with_name(f"{paths[0].stem}_manifest.json")
    text = beside.read_text(encoding="utf-8") if beside.is_file() else "null"
    return Contents(x, ["one array"], manifest=manifest_in(f'{{"manifest": {text}}}'))


def _npz(paths: Sequence[Path]) -> Contents:
    path, origin = paths[0], str(paths[0])
    with open_npz(path) as file:
        names = file.files
        features = need(names, (*FEATURES, "x", "X"), "features", origin)
        labels = pick(names, (*LABELS, "y"), "labels", origin)
        return Contents(
            member(file, features, origin),
            names,
            None if labels is None else Labels.of(member(file, labels, origin), origin),
            npz_class_names(file, origin),
            npz_ids(file, origin),
            as_text(member(file, "split", origin), "split", origin) if "split" in names else None,
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
            ids = file.get_tensor("ids") if "ids" in names else None
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
    return Contents(x, names, found, class_names, ids, manifest=manifest_in(about.get(ABOUT)))


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


def _npz_manifest(file: Any, origin: str) -> dict[str, Any]:
    if "manifest" not in file.files:
        return {}
    text = member(file, "manifest", origin)
    return manifest_in(f'{{"manifest": {text}}}') if text.dtype.kind == "U" else {}
