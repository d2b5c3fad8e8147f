"""What a SOURCE is: a dataset's name, a file of labelled vectors, or a folder of such files."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from metriscope.data.datasets import DATASETS
from metriscope.data.files import read_table
from metriscope.data.folder import read_folder
from metriscope.data.split import describe_split, shared_coding, stratified
from metriscope.data.table import Table, show_some
from metriscope.registry import unknown
from metriscope.text import name_rows
from metriscope.types import Dataset, Embeddings, InputError, rows_where_not

Source = str | os.PathLike[str]
ZeroVectors = Literal["error", "keep", "drop"]
Split = Literal["train", "test", "all"]

_BLOCK = 1 << 12  # rows looked at or hashed at once


def load(
    source: Source,
    *,
    labels: Source | None = None,
    seed: int = 0,
    test_fraction: float = 0.2,
    zero_vectors: ZeroVectors = "error",
) -> Dataset:
    """A train and a test part with one class coding, from anything a SOURCE may be.

    * A dataset's name, as ``metriscope list datasets`` prints them, with parameters or not:
      ``digits``, ``synthetic``, ``synthetic:fine-grained``, ``synthetic:n_classes=20,seed=1``,
      ``synthetic:easy,dim=64``.
    * A file ``.npz``, ``.npy`` (with ``labels``), ``.parquet`` or ``.safetensors``.
    * A folder with ``train.*`` and ``test.*`` of these, or with Parquet shards such as
      ``train-00000-of-00002.parquet``. A ``train.npy`` has its labels in ``train_labels.npy``,
      ``.npz``, ``.txt`` or ``.csv``.

    Text that equals a dataset's name is that dataset, whatever lies in the working folder: write
    ``./digits``, or pass a ``Path``, for a folder of that name.

    The split is the source's own (two files, or a ``split`` column with ``train`` and ``test``),
    else stratified by :func:`~metriscope.data.split.stratified`. Whole-number features of up to 16
    bits and float16 become float32, as do larger ones below 2²⁴; float64 stays. Labels are
    exact whatever their size: see :class:`~metriscope.data.table.Labels`.

    Args:
        source: what to load.
        labels: a file of labels for one file that has none: ``.npy``, ``.npz``, ``.txt``, ``.csv``.
        seed: of the split made here, and of nothing else.
        test_fraction: share of the test part of the split made here.
        zero_vectors: rows of norm below 1e-6 have no direction. ``error`` refuses them, ``keep``
            keeps them, ``drop`` leaves them out; the last two are noted.

    Returns:
        Both parts, with ``ids`` that are the file's or the row numbers in it.

    Raises:
        InputError: whatever cannot be used, in one or two lines.
    """
    read = _read(source, labels, zero_vectors)
    made, how = read.parts(seed, test_fraction)
    for part in ("train", "test"):
        if part not in made:
            raise InputError(
                f"{read.origin}: no {part} part; give both train.* and test.* (or 'split' values "
                "of both kinds), or neither, to have it split here."
            )
    train, test = made["train"], made["test"]
    present = np.flatnonzero(train.counts)
    if len(present) < 2:
        raise InputError(
            f"{read.origin}: the train part has one class only "
            f"({show_some(train.class_names[c] for c in present)}); losses compare classes, so "
            "at least two are needed. Are these the right labels?"
        )
    notes = (*read.notes, *_notes(train, test, how, test_fraction))
    return Dataset(read.name, train, test, how, fingerprint(train, test), notes)


def load_source(
    source: Source,
    split: Split = "test",
    *,
    labels: Source | None = None,
    seed: int = 0,
    test_fraction: float = 0.2,
    zero_vectors: ZeroVectors = "error",
) -> Embeddings:
    """One part of a source, or all of it; class codes are those of :func:`load`.

    Args:
        source: see :func:`load`.
        split: ``train``, ``test``, or ``all``: every row, train before test.
        labels, seed, test_fraction, zero_vectors: see :func:`load`.

    Raises:
        InputError: see :func:`load`; also a part that the source does not have.
    """
    if split not in get_args(Split):
        raise InputError(f"split is {split!r}; it must be one of train, test, all.")
    read = _read(source, labels, zero_vectors)
    if split == "all":
        return read.everything()
    made, _ = read.parts(seed, test_fraction)
    if split not in made:
        raise InputError(f"{read.origin}: no {split} part; it has {', '.join(made)}.")
    return made[split]


def fingerprint(train: Embeddings, test: Embeddings) -> str:
    """SHA-256, in hex, of both parts' features, codes and class names. Reads block by block."""
    digest = hashlib.sha256(json.dumps([train.class_names, test.class_names]).encode())
    for array in (train.x, train.y, test.x, test.y):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        for start in range(0, len(array), _BLOCK):
            digest.update(np.ascontiguousarray(array[start : start + _BLOCK]).data)
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class _Read:
    """A source as read: ``tables`` is ``all``, or ``train`` and ``test`` or one of them."""

    name: str
    origin: str
    tables: Mapping[str, Table]
    notes: list[str] = field(default_factory=list)

    def parts(self, seed: int, test_fraction: float) -> tuple[dict[str, Embeddings], str]:
        """The parts, and how they came about."""
        names, codes = self._coded()
        if "all" not in self.tables:
            pairs = zip(self.tables.items(), codes, strict=True)
            return {k: self._embeddings(t, y, names, k) for (k, t), y in pairs}, "given"
        table, y = self.tables["all"], codes[0]
        train, test = stratified(y, test_fraction, seed)
        if not len(test):
            raise InputError(
                f"{self.origin}: every class has one row only, so none is left to test on; "
                "a comparison needs classes of at least two rows."
            )
        rows = {"train": train, "test": test}
        made = {k: self._embeddings(table.take(r), y[r], names, k) for k, r in rows.items()}
        return made, describe_split(test_fraction, seed)

    def everything(self) -> Embeddings:
        """All rows as one; ids that occur in both parts get their part in front."""
        names, codes = self._coded()
        tables = list(self.tables.values())
        if len(tables) == 1:
            return self._embeddings(tables[0], codes[0], names, "all")
        pieces = [t.x.astype(self._dtype()) for t in tables]
        ids = [t.ids for t in tables]
        if len(np.intersect1d(ids[0].astype(str), ids[1].astype(str))):
            ids = [np.char.add(f"{k}:", t.ids.astype(str)) for k, t in self.tables.items()]
        x, y = np.concatenate(pieces), np.concatenate(codes)
        return Embeddings(x, y, names, "all", self.origin, np.concatenate(ids))

    def _coded(self) -> tuple[tuple[str, ...], list[np.ndarray]]:
        return shared_coding(list(self.tables.values()))

    def _dtype(self) -> np.dtype[Any]:
        """One floating type for all parts."""
        return np.result_type(*(_float_type(t.x) for t in self.tables.values()))

    def _embeddings(
        self, table: Table, y: np.ndarray, names: tuple[str, ...], split: str
    ) -> Embeddings:
        dtype = self._dtype()
        mapped = isinstance(table.x, np.memmap)  # a copy, so that the file may change afterwards
        x = np.array(table.x, dtype) if mapped else np.ascontiguousarray(table.x, dtype)
        return Embeddings(x, y, names, split, table.origin, table.ids)


def _read(source: Source, labels: Source | None, zero_vectors: ZeroVectors) -> _Read:
    if zero_vectors not in get_args(ZeroVectors):
        raise InputError(f"zero vectors: {zero_vectors!r}; it must be one of error, keep, drop.")
    notes: list[str] = []
    text = os.fspath(source)
    if isinstance(source, str) and source.partition(":")[0] in DATASETS.names():
        if labels is not None:
            raise InputError(f"{source} brings its own labels; leave out --labels (labels=).")
        name, origin, tables = source, source, {"all": _dataset(source)}
    else:
        path, origin = Path(text), str(Path(text))
        try:
            if not text or not path.exists():
                raise InputError(_missing(text, path))
            name = path.resolve().name if path.is_dir() else path.resolve().stem
            tables = _from_path(path, None if labels is None else Path(labels), notes)
        except OSError as error:
            raise InputError(f"{text}: cannot be read: {error.strerror or error}.") from error
    if list(tables) == ["all"]:
        tables = _by_column(tables["all"], notes)
    tables = {part: _checked(table, zero_vectors, notes) for part, table in tables.items()}
    widths = {part: table.x.shape[1] for part, table in tables.items()}
    if len(set(widths.values())) > 1:
        raise InputError(
            f"{origin}: train has {widths['train']} dimensions and test {widths['test']}; both "
            "must come from one model."
        )
    return _Read(name, origin, tables, notes)


def _from_path(path: Path, labels: Path | None, notes: list[str]) -> dict[str, Table]:
    if path.is_dir():
        return read_folder(path, labels, notes)
    return {"all": read_table([path], labels)}


def _dataset(text: str) -> Table:
    """``name``, ``name:preset``, ``name:key=value,…`` or ``name:preset,key=value,…``."""
    name, _, options = text.partition(":")
    defaults = DATASETS.describe(name).parameters
    make = DATASETS.get(name)
    presets = getattr(sys.modules[make.__module__], "PRESETS", {})
    params: dict[str, Any] = {}
    for place, option in enumerate(options.split(",") if options else []):
        key, equals, value = option.partition("=")
        if not equals and not place:
            if key not in presets:
                raise InputError(unknown(f"preset of {name}", key, presets))
            params.update(presets[key])
        elif not equals:
            raise InputError(f"{text}: {option!r} has no value; write it as parameter=value.")
        elif key not in defaults:
            raise InputError(unknown(f"parameter of {name}", key, defaults))
        else:
            params[key] = _value(f"{name}: {key}", value, defaults[key])
    return replace(make(**params), origin=text)


def _value(what: str, text: str, default: object) -> object:
    """``text`` as the type of ``default``."""
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(default, int | float):
            return type(default)(text)
    except (ValueError, KeyError):
        raise InputError(f"{what} is {text!r}; it must be {_KINDS[type(default)]}.") from None
    return text


_KINDS: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number"}


def _missing(text: str, path: Path) -> str:
    known = DATASETS.names()
    if path.suffix or path.name != text:
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, siblings, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        return f"{text}: no such file or folder.{hint}"
    return f"no file or folder {text!r}, and {unknown('dataset', text.partition(':')[0], known)}"


def _by_column(table: Table, notes: list[str]) -> dict[str, Table]:
    """Parts by the table's ``split`` values, if it has any that say so."""
    if table.split is None or np.all(table.split == "all"):
        return {"all": table}
    rows = {part: np.flatnonzero(table.split == part) for part in ("train", "test")}
    parts = {part: table.take(chosen) for part, chosen in rows.items() if len(chosen)}
    others = np.setdiff1d(table.split, list(rows))
    if not parts:
        raise InputError(
            f"{table.origin}: split has the values {show_some(others)}; they must be 'train' and "
            "'test'. Leave the split out to have one made here."
        )
    left = len(table) - sum(map(len, rows.values()))
    if left:
        notes.append(f"Rows left out for their split ({show_some(others)}): {left}.")
    return parts


def _checked(table: Table, zero_vectors: ZeroVectors, notes: list[str]) -> Table:
    """Finite rows only, and what was asked for with rows that have no direction."""
    from metriscope.ops import EPS

    if table.x.dtype.kind == "f":
        bad = rows_where_not(table.x, np.isfinite, _BLOCK)
        if len(bad):
            raise InputError(
                f"{table.origin}: NaN or infinite values in {name_rows(bad)}; "
                "remove these rows or compute them again."
            )
    with np.errstate(over="ignore"):  # an infinite norm is far from 0
        norms = [
            np.linalg.norm(np.asarray(table.x[start : start + _BLOCK], np.float64), axis=1)
            for start in range(0, len(table), _BLOCK)
        ]
    zero = np.flatnonzero(np.concatenate(norms) < EPS)
    if not len(zero):
        return table
    if zero_vectors == "error":
        raise InputError(
            f"{table.origin}: zero vectors (norm below {EPS:g}) in {name_rows(zero)}; they have "
            "no direction. Pass --zero-vectors drop or keep (in Python zero_vectors=)."
        )
    what = "left out" if zero_vectors == "drop" else "kept, without a direction"
    notes.append(f"Zero vectors {what}: {len(zero)}, in {table.origin}, {name_rows(zero)}.")
    if zero_vectors == "keep":
        return table
    if len(zero) == len(table):
        raise InputError(f"{table.origin}: every row is a zero vector, so nothing is left.")
    return table.take(np.setdiff1d(np.arange(len(table)), zero))


def _float_type(x: np.ndarray) -> np.dtype[Any]:
    """The floating type, in native byte order, that holds ``x`` and that torch knows."""
    size = x.dtype.itemsize
    if x.dtype.kind == "f":
        return np.dtype(np.float32 if size <= 4 else np.float64)
    small = size <= 2 or (int(x.max()) <= 2**24 and int(x.min()) >= -(2**24))
    return np.dtype(np.float32 if small else np.float64)


def _notes(train: Embeddings, test: Embeddings, how: str, test_fraction: float) -> list[str]:
    """What a person should know, a sentence each."""
    notes = []
    for part in (train, test):
        if part.singletons:
            classes = [part.class_names[c] for c in np.flatnonzero(part.counts == 1)]
            notes.append(
                f"Classes with a single row in {part.split}, which has no positive there: "
                f"{part.singletons} ({show_some(classes)})."
            )
    unseen = np.flatnonzero((train.counts == 0) & (test.counts > 0))
    if len(unseen):
        names = show_some(train.class_names[c] for c in unseen)
        notes.append(f"Classes of test that are not in train: {len(unseen)} ({names}).")
    absent = int(((train.counts == 0) & (test.counts == 0)).sum())
    if absent:
        notes.append(f"Class names without a row: {absent} of {train.num_classes}.")
    share = len(test) / (len(train) + len(test))
    if how != "given" and abs(share - test_fraction) > 0.02:
        notes.append(
            f"The test part has {share:.0%} of the rows, not {test_fraction:.0%}: small classes "
            "give at least two rows to each part where they can."
        )
    return notes
