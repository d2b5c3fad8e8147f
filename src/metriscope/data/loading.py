"""From a SOURCE to features with labels: a train and a test part with one class coding."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from metriscope.data.backbones import DEFAULT
from metriscope.data.checks import (
    BLOCK,
    ZeroVectors,
    by_column,
    checked,
    float_type,
    remarks,
    rows_by_split,
)
from metriscope.data.extraction import Extraction, Features, extract
from metriscope.data.pictures import Pictures
from metriscope.data.sources import Found, Source, find
from metriscope.data.split import (
    describe_disjoint,
    describe_split,
    disjoint,
    shared_coding,
    stratified,
)
from metriscope.data.table import Table, show, show_some
from metriscope.types import Dataset, Embeddings, InputError

Part = Literal["train", "test", "all"]
Protocol = Literal["closed", "disjoint"]


def load(
    source: Source,
    *,
    labels: Source | None = None,
    seed: int = 0,
    test_fraction: float = 0.2,
    zero_vectors: ZeroVectors = "error",
    protocol: Protocol = "closed",
    backbone: str | None = None,
    images: Extraction = Extraction(),  # noqa: B008 -- frozen
) -> Dataset:
    """A train and a test part with one class coding, from anything a SOURCE may be.

    * A dataset's name, as ``metriscope list datasets`` prints them, with parameters or not:
      ``digits``, ``synthetic``, ``synthetic:fine-grained``, ``synthetic:n_classes=20,seed=1``,
      ``synthetic:easy,dim=64``, ``cub200``, ``cub200:FOLDER``.
    * A file ``.npz``, ``.npy`` (with ``labels``), ``.parquet`` or ``.safetensors``.
    * A folder with ``train.*`` and ``test.*`` of these, or with Parquet shards such as
      ``train-00000-of-00002.parquet``. A ``train.npy`` has its labels in ``train_labels.npy``,
      ``.npz``, ``.txt`` or ``.csv``.
    * Pictures, which a frozen backbone turns into features once and for all (they are kept in a
      cache): Parquet with an image column, a folder with one sub-folder a class, optionally below
      ``train`` and ``test``, or the layout of an original archive (:mod:`metriscope.data.layouts`).
    * A folder that the ``datasets`` library saved.

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
            keeps them, ``drop`` leaves them out; the last two are noted. Of pictures, ``error``
            is ``keep``: a blank one is no fault of the data.
        protocol: ``closed``: the split above. ``disjoint``: all rows together, then the first half
            of the classes trains and the second tests; see
            :func:`~metriscope.data.split.disjoint`.
        backbone: for pictures, see :mod:`metriscope.data.backbones`; ``clip-vit-b32`` by default.
        images: how they are worked on.

    Returns:
        Both parts, with ``ids`` that are the file's or the row numbers in it.

    Raises:
        InputError: whatever cannot be used, in one or two lines.
        StorageError: no room for the cache.
    """
    if protocol not in get_args(Protocol):
        raise InputError(f"split is {protocol!r}; it must be closed or disjoint.")
    found = find(source, labels)
    _check(found, ("train", "test"), protocol)
    loaded = read(found, zero_vectors, backbone, images)
    made, how = loaded.parts(protocol, seed, test_fraction)
    for part in ("train", "test"):
        if part not in made:
            raise _no_part(loaded.origin, part)
    train, test = made["train"], made["test"]
    present = np.flatnonzero(train.counts)
    if len(present) < 2:
        raise _one_class(loaded.origin, [train.class_names[c] for c in present])
    notes = (*loaded.notes, *remarks(train, test, how, test_fraction))
    return Dataset(
        loaded.name,
        train,
        test,
        how,
        _fingerprint(loaded, train, test),
        notes,
        loaded.backbone,
        loaded.manifests,
    )


def load_source(
    source: Source,
    split: Part = "test",
    *,
    labels: Source | None = None,
    seed: int = 0,
    test_fraction: float = 0.2,
    zero_vectors: ZeroVectors = "error",
    protocol: Protocol = "closed",
    backbone: str | None = None,
    images: Extraction = Extraction(),  # noqa: B008 -- frozen
) -> Embeddings:
    """One part of a source, or all of it; class codes are those of :func:`load`.

    ``load_source("photos/", "all", backbone="pixels")`` gives the features of a folder of pictures.

    Args:
        source: see :func:`load`.
        split: ``train``, ``test``, or ``all``: every row, train before test.
        labels, seed, test_fraction, zero_vectors, protocol, backbone, images: see :func:`load`.

    Raises:
        InputError: see :func:`load`; also a part that the source does not have.
    """
    if split not in get_args(Part):
        raise InputError(f"split is {split!r}; it must be one of train, test, all.")
    found = find(source, labels)
    _check(found, () if split == "all" else (split,), protocol)
    loaded = read(found, zero_vectors, backbone, images)
    if split == "all":
        return loaded.everything()
    made, _ = loaded.parts(protocol, seed, test_fraction)
    if split not in made:
        raise InputError(f"{loaded.origin}: no {split} part; it has {', '.join(made)}.")
    return made[split]


def fingerprint(train: Embeddings, test: Embeddings) -> str:
    """SHA-256, in hex, of both parts' features, codes and class names. Reads block by block."""
    digest = hashlib.sha256(json.dumps([train.class_names, test.class_names]).encode())
    for array in (train.x, train.y, test.x, test.y):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        for start in range(0, len(array), BLOCK):
            digest.update(np.ascontiguousarray(array[start : start + BLOCK]).data)
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Read:
    """A source as read: ``tables`` is ``all``, or ``train`` and ``test`` or one of them.

    ``features`` is what they were made with; empty if they came as they are.
    """

    name: str
    origin: str
    tables: Mapping[str, Table]
    notes: list[str]
    features: Mapping[str, Features]

    @property
    def backbone(self) -> str:
        """What made features of pictures here."""
        return next((made.backbone for made in self.features.values()), "features")

    @property
    def manifests(self) -> dict[str, Any]:
        """How the features were made, here or before, by part; empty if nobody said."""
        made = {part: dict(features.manifest) for part, features in self.features.items()}
        said = [dict(table.manifest) for table in self.tables.values()]
        return made or {part: about for each in said for part, about in each.items()}

    def parts(
        self, protocol: Protocol, seed: int, test_fraction: float
    ) -> tuple[dict[str, Embeddings], str]:
        """The parts, and how they came about."""
        if protocol == "disjoint":
            whole = self.everything()
            train, test = disjoint(whole.y, whole.num_classes)
            halves = {"train": train, "test": test}
            return {k: _take(whole, r, k) for k, r in halves.items()}, describe_disjoint(
                whole.num_classes
            )
        if "all" not in self.tables:
            return self.as_given(), "given"
        names, codes = self._coded()
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

    def as_given(self) -> dict[str, Embeddings]:
        """The tables, coded alike; nothing is split."""
        names, codes = self._coded()
        pairs = zip(self.tables.items(), codes, strict=True)
        return {k: self._embeddings(t, y, names, k) for (k, t), y in pairs}

    def everything(self) -> Embeddings:
        """All rows as one; ids that occur in both parts get their part in front."""
        names, codes = self._coded()
        tables = list(self.tables.values())
        if len(tables) == 1:
            return self._embeddings(tables[0], codes[0], names, "all")
        pieces = [t.x.astype(self._dtype(), copy=False) for t in tables]
        ids = [t.ids for t in tables]
        if len(np.intersect1d(ids[0].astype(str), ids[1].astype(str))):
            ids = [np.char.add(f"{k}:", t.ids.astype(str)) for k, t in self.tables.items()]
        x, y = np.concatenate(pieces), np.concatenate(codes)
        return Embeddings(x, y, names, "all", self.origin, np.concatenate(ids))

    def _coded(self) -> tuple[tuple[str, ...], list[np.ndarray]]:
        return shared_coding(list(self.tables.values()))

    def _dtype(self) -> np.dtype[Any]:
        """One floating type for all parts."""
        return np.result_type(*(float_type(t.x) for t in self.tables.values()))

    def _embeddings(
        self, table: Table, y: np.ndarray, names: tuple[str, ...], split: str
    ) -> Embeddings:
        dtype = self._dtype()
        mapped = isinstance(table.x, np.memmap)  # a copy, so that the file may change afterwards
        x = np.array(table.x, dtype) if mapped else np.ascontiguousarray(table.x, dtype)
        return Embeddings(x, y, names, split, table.origin, table.ids)


def _check(found: Found, wanted: Collection[str], protocol: Protocol) -> None:
    """What would be refused after the work on pictures is refused before it."""
    parts = found.pictures
    if not parts:
        return
    names, codes = shared_coding(list(parts.values()))
    coded = dict(zip(parts, codes, strict=True))
    if "all" in parts:
        rows = rows_by_split(parts["all"].split, found.origin)
        coded = {part: codes[0][chosen] for part, chosen in rows.items()} or coded
    if protocol == "disjoint":
        disjoint(np.concatenate(list(coded.values())), len(names))
        return
    for part in wanted if "all" not in coded else ():
        if part not in coded:
            raise _no_part(found.origin, part)
    present = np.unique(next(iter(coded.values())))
    if len(wanted) > 1 and len(present) < 2:
        raise _one_class(found.origin, [names[code] for code in present])


def _no_part(origin: str, part: str) -> InputError:
    return InputError(
        f"{origin}: no {part} part; give both train and test, as files, folders or 'split' values, "
        "or neither, to have it split here."
    )


def _one_class(origin: str, names: Iterable[object]) -> InputError:
    return InputError(
        f"{origin}: the train part has one class only ({show_some(names)}); losses compare "
        "classes, so at least two are needed. Are these the right labels?"
    )


def read(found: Found, zero_vectors: ZeroVectors, backbone: str | None, images: Extraction) -> Read:
    """The features of a source, made now if it holds pictures, and looked over.

    Raises:
        InputError: see :func:`load`.
    """
    if zero_vectors not in get_args(ZeroVectors):
        raise InputError(f"zero vectors: {zero_vectors!r}; it must be one of error, keep, drop.")
    features = extract_features(found, backbone, images)
    tables = found.tables or {
        part: _table(found.pictures[part], features[part]) for part in features
    }
    if list(tables) == ["all"]:
        tables = by_column(tables["all"], found.notes)
    notes = found.notes
    if features and zero_vectors == "error":
        zero_vectors = "keep"  # a blank picture is one picture, not a fault of the data
    if features and backbone is not None and backbone.partition(":")[0] == "cnn":
        notes = []  # black pixels are no vectors yet: the network makes some of them
    tables = {part: checked(table, zero_vectors, notes) for part, table in tables.items()}
    widths = {part: table.x.shape[1] for part, table in tables.items()}
    if len(set(widths.values())) > 1:
        raise InputError(
            f"{found.origin}: train has {widths['train']} dimensions and test {widths['test']}; "
            "both must come from one model."
        )
    return Read(found.name, found.origin, tables, found.notes, features)


def extract_features(
    found: Found, backbone: str | None, images: Extraction, only: str | None = None
) -> dict[str, Features]:
    """Features of the pictures of a source by part; none if it holds features already.

    Sentences about pictures that cannot be read are added to ``found.notes``.

    Args:
        found: the source.
        backbone: ``clip-vit-b32`` if None.
        images: how pictures are worked on.
        only: the one part that is wanted.

    Raises:
        InputError: a backbone was asked for, but there are no pictures.
    """
    if found.tables:
        if backbone is not None:
            raise InputError(
                f"{found.origin} holds features, not pictures; leave out --backbone (backbone=)."
            )
        return {}
    features = extract(found.pictures, replace(images, backbone=backbone or DEFAULT), only)
    for part, made in features.items():
        found.notes.extend(_about_broken(found.pictures[part], made.broken))
    return features


def _about_broken(pictures: Pictures, broken: Mapping[int, str]) -> list[str]:
    if not broken:
        return []
    named = [f"{show(pictures.ids[row], 200)}: {why}" for row, why in list(broken.items())[:5]]
    if len(broken) > len(named):
        named.append(f"and {len(broken) - len(named):,} more, which results.json names")
    notes = [
        f"Pictures of {pictures.origin} that cannot be read, left out: {len(broken):,} of "
        f"{len(pictures):,}: {'; '.join(named)}."
    ]
    names, codes = shared_coding([pictures])
    lost = np.setdiff1d(codes[0], np.delete(codes[0], list(broken)))
    if len(lost):
        notes.append(
            f"Classes with no picture that can be read: {len(lost)} "
            f"({show_some(names[code] for code in lost)})."
        )
    return notes


def _fingerprint(loaded: Read, train: Embeddings, test: Embeddings) -> str:
    """Of the features; of pictures, of what decides them, which rounding does not change."""
    if not loaded.features:
        return fingerprint(train, test)
    said = [loaded.features[part].manifest["key"] for part in sorted(loaded.features)]
    said += [train.class_names, train.ids.tolist(), test.ids.tolist()]
    digest = hashlib.sha256(json.dumps(said).encode())
    for y in (train.y, test.y):
        digest.update(np.ascontiguousarray(y, "<i8").data)
    return digest.hexdigest()


def _table(pictures: Pictures, features: Features) -> Table:
    """One matrix of the features, with the labels of the pictures that have some."""
    n = len(pictures) - len(features.broken)
    x, at = np.empty((n, features.dim), np.float32), 0
    rows = np.empty(n, np.int64)
    for chosen, block in features.blocks():
        x[at : at + len(block)], rows[at : at + len(block)] = block, chosen
        at += len(block)
    return Table(
        x,
        pictures.labels.take(rows),
        pictures.origin,
        pictures.class_names,
        pictures.ids[rows],
        None if pictures.split is None else pictures.split[rows],
    )


def _take(whole: Embeddings, rows: np.ndarray, split: str) -> Embeddings:
    return Embeddings(
        whole.x[rows], whole.y[rows], whole.class_names, split, whole.origin, whole.ids[rows]
    )
