"""From a SOURCE to a file of features: what ``metriscope embed`` does, for Python."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np

from metriscope.data.extraction import Extraction, Features
from metriscope.data.loading import Part, extract_features, read
from metriscope.data.pictures import Pictures
from metriscope.data.sources import Source, find
from metriscope.data.split import shared_coding
from metriscope.data.writing import Piece, Rows, check_suffix, write
from metriscope.types import InputError


def embed(
    source: Source,
    out: str | os.PathLike[str],
    *,
    backbone: str | None = None,
    part: Part = "all",
    labels: Source | None = None,
    images: Extraction = Extraction(),  # noqa: B008 -- frozen
) -> Rows:
    """Write the features of a source to a file, in a format that every SOURCE may have.

    Args:
        source: pictures, or features (which are then copied into another format); see
            :func:`~metriscope.data.load`.
        out: ``.parquet``, ``.npz``, ``.npy``, ``.safetensors``, or a name without a suffix for a
            folder of the ``datasets`` library; see :func:`~metriscope.data.writing.write`.
        backbone: for pictures, ``clip-vit-b32`` by default.
        part: ``train``, ``test`` or ``all``.
        labels: a file of labels for a source that has none.
        images: how pictures are worked on.

    Returns:
        What was written.

    Raises:
        InputError: a source, backbone or suffix that cannot be used.
        StorageError: no room.
    """
    path = Path(out)
    check_suffix(path)
    if part not in get_args(Part):
        raise InputError(f"part is {part!r}; it must be one of train, test, all.")
    if (backbone or "").partition(":")[0] == "cnn":
        raise InputError("cnn is trained with the head, so it has no features; use pixels.")
    found = find(source, labels)
    if found.tables:
        loaded = read(found, "keep", backbone, images)
        given = loaded.as_given()
        any_part = next(iter(given.values()))
        pieces = [Piece.of(embeddings) for embeddings in given.values()]
        names, dim = any_part.class_names, any_part.x.shape[1]
        manifest = loaded.manifests
        if any_part.x.dtype == np.float64:
            images.notify("Features of 64 bits are written with 32.")
    else:
        names, codes = shared_coding(list(found.pictures.values()))
        coded = dict(zip(found.pictures, codes, strict=True))
        _require_part(found.origin, part, _splits(found.pictures))
        only = part if part in found.pictures else None  # no work on the other
        features = extract_features(found, backbone, images, only)
        pieces = [
            piece
            for k, made in features.items()
            for piece in _pieces(k, found.pictures[k], coded[k], made)
        ]
        dim = next(iter(features.values())).dim
        manifest = {k: dict(made.manifest) for k, made in features.items()}
    _require_part(found.origin, part, [piece.split for piece in pieces])
    chosen = [piece for piece in pieces if part in ("all", piece.split)]
    for sentence in found.notes:
        images.notify(sentence)
    rows = Rows(chosen, names, dim, manifest)
    write(path, rows)
    return rows


def _splits(parts: Mapping[str, Pictures]) -> list[str]:
    """Names of the parts, or of those that a ``split`` column tells."""
    return [
        value
        for part, pictures in parts.items()
        for value in ([part] if pictures.split is None else np.unique(pictures.split).tolist())
    ]


def _require_part(origin: str, part: str, there: Sequence[str]) -> None:
    if part != "all" and part not in there:
        raise InputError(f"{origin}: no {part} part; it has {', '.join(there)}.")


def _pieces(part: str, pictures: Pictures, y: np.ndarray, features: Features) -> list[Piece]:
    """One for each split there is among the pictures that could be read."""
    split = np.full(len(pictures), part) if pictures.split is None else pictures.split
    whole = ~np.isin(np.arange(len(pictures)), [*features.broken])

    def blocks(wanted: np.ndarray) -> Iterator[np.ndarray]:
        for rows, block in features.blocks():
            yield block[wanted[rows]]

    masks = {value: whole & (split == value) for value in dict.fromkeys(split.tolist())}
    return [
        Piece(value, pictures.ids[mask], y[mask], partial(blocks, mask))
        for value, mask in masks.items()
        if mask.any()
    ]
