"""Writers of labelled vectors: one function a format, a block of rows at a time."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metriscope.disk import ABOUT, atomically, storage_errors, write_embeddings, write_json
from metriscope.types import Embeddings, InputError

MANIFEST = "_manifest.json"  # behind the stem of a .npy file
_ROWS = 1 << 12  # of one block


@dataclass(frozen=True, eq=False)
class Piece:
    """Rows of one split, in order.

    Attributes:
        split: ``train``, ``test`` or ``all``.
        ids: (n,) integers or text.
        y: (n,) codes of the class names.
        blocks: the features, (·, d) arrays that together have n rows; may be called again.
    """

    split: str
    ids: np.ndarray
    y: np.ndarray
    blocks: Callable[[], Iterator[np.ndarray]]

    @classmethod
    def of(cls, part: Embeddings) -> Piece:
        """All rows of a part."""
        starts = range(0, len(part), _ROWS)
        return cls(part.split, part.ids, part.y, lambda: (part.x[at : at + _ROWS] for at in starts))


@dataclass(frozen=True, eq=False)
class Rows:
    """What is written: pieces of one width and one class coding, and how they were made.

    Attributes:
        manifest: plain JSON types; kept in the file.
    """

    pieces: Sequence[Piece]
    class_names: tuple[str, ...]
    dim: int
    manifest: Mapping[str, Any]

    def __len__(self) -> int:
        return sum(len(piece.y) for piece in self.pieces)

    @property
    def ids(self) -> np.ndarray:
        """Of all pieces; text if any of them is."""
        return np.concatenate([piece.ids for piece in self.pieces])

    @property
    def y(self) -> np.ndarray:
        """Of all pieces."""
        return np.concatenate([piece.y for piece in self.pieces])

    @property
    def split(self) -> np.ndarray:
        """The split of each row."""
        return np.concatenate([np.full(len(p.y), p.split) for p in self.pieces])


def write(path: Path, rows: Rows) -> None:
    """Write a file by its suffix, or a ``datasets`` folder where there is none; whole or not.

    Parquet keeps everything: ``id``, ``label`` (text), ``split``, ``embedding`` (fixed-size list of
    float32), and in its schema the class names in order and the manifest. ``.npz`` has
    ``features``, ``labels``, ``class_names``, ``ids``, ``split``, ``manifest``;
    ``.safetensors`` has ``embeddings``, ``labels`` and, as metadata, class names and manifest;
    ``.npy`` has the features alone: labels go to ``<name>_labels.npy``, the manifest to
    ``<name>_manifest.json``. Memory: a block of rows, whatever the format.

    Raises:
        InputError: a suffix that is not known.
        StorageError: no space, no permission.
    """
    check_suffix(path)
    with storage_errors(path, "Free some space or choose another --out; the cache is kept."):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.suffix:
            _write_folder(path, rows)
        elif path.suffix.lower() == ".npy":
            atomically(path, lambda temporary: _write_npy(temporary, rows, path))
        else:
            atomically(path, lambda temporary: WRITERS[path.suffix.lower()](temporary, rows))


def check_suffix(path: Path) -> None:
    """Refuse, before any work, what :func:`write` could not write."""
    known = [*WRITERS, ".npy"]
    if path.suffix and path.suffix.lower() not in known:
        raise InputError(
            f"{path}: cannot write {path.suffix}; known formats are {', '.join(known)}, or a name "
            "without a suffix for a folder of the datasets library."
        )
    if path.is_dir() and (path.suffix or any(path.iterdir())):
        raise InputError(f"{path} is a folder with something in it; choose another --out.")
    if path.is_file() and not path.suffix:
        raise InputError(f"{path} is a file; a folder is written there: choose another --out.")


def _write_parquet(path: Path, rows: Rows) -> None:
    text = rows.ids.dtype.kind not in "iu"

    def blocks() -> Iterator[tuple[np.ndarray, list[str], str, np.ndarray]]:
        for piece in rows.pieces:
            ids, at = piece.ids.astype(str) if text else piece.ids, 0
            for x in piece.blocks():
                chosen = slice(at, at + len(x))
                labels = [rows.class_names[code] for code in piece.y[chosen]]
                yield ids[chosen], labels, piece.split, x
                at += len(x)

    about = {"class_names": rows.class_names, "manifest": rows.manifest}
    write_embeddings(path, rows.dim, blocks(), about)


def _write_npy(temporary: Path, rows: Rows, path: Path) -> None:
    """The features, and beside ``path`` what belongs to them."""
    _fill(temporary, rows)
    labels = np.asarray(rows.class_names, dtype=str)[rows.y]
    atomically(path.with_name(f"{path.stem}_labels.npy"), lambda file: _save(file, labels))
    write_json(path.with_name(f"{path.stem}{MANIFEST}"), rows.manifest)


def _write_npz(path: Path, rows: Rows) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".", suffix=".tmp") as scratch:
        features = Path(scratch, "features.npy")
        _fill(features, rows)
        with path.open("wb") as file:
            np.savez(
                file,
                features=np.load(features, mmap_mode="r"),
                labels=rows.y,
                class_names=np.asarray(rows.class_names, dtype=str),
                ids=rows.ids,
                split=rows.split,
                manifest=np.asarray(json.dumps(rows.manifest)),
            )


def _write_safetensors(path: Path, rows: Rows) -> None:
    """By hand: the library takes all tensors at once, and orders metadata as it likes.

    Eight bytes with the length of the header, the header in JSON, then the tensors.
    """
    n, size = len(rows), 4 * len(rows) * rows.dim
    about = {"class_names": rows.class_names, "manifest": rows.manifest}
    header = {
        "__metadata__": {ABOUT: json.dumps(about)},
        "labels": {"dtype": "I64", "shape": [n], "data_offsets": [0, 8 * n]},
        "embeddings": {
            "dtype": "F32",
            "shape": [n, rows.dim],
            "data_offsets": [8 * n, 8 * n + size],
        },
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.write(np.ascontiguousarray(rows.y, "<i8").data)
        for piece in rows.pieces:
            for block in piece.blocks():
                file.write(np.ascontiguousarray(block, "<f4").data)


def _write_folder(path: Path, rows: Rows) -> None:
    """A ``DatasetDict`` with the splits that there are, as ``save_to_disk`` writes it."""
    import shutil

    from metriscope.data.on_disk import library, without_bars

    datasets = library()
    with (
        tempfile.TemporaryDirectory(dir=path.parent, prefix=".", suffix=".tmp") as scratch,
        without_bars(),
    ):
        made = datasets.DatasetDict()
        for piece in rows.pieces:
            file = Path(scratch, f"{piece.split}.parquet")
            _write_parquet(file, Rows([piece], rows.class_names, rows.dim, rows.manifest))
            own = datasets.Dataset.from_parquet(str(file), cache_dir=f"{scratch}/cache")
            label = datasets.ClassLabel(names=list(rows.class_names))
            made[piece.split] = own.cast_column("label", label)
            made[piece.split].info.description = json.dumps({"manifest": rows.manifest})
        made.save_to_disk(f"{scratch}/made")
        if path.is_dir():
            path.rmdir()  # empty: see check_suffix
        shutil.move(f"{scratch}/made", path)


def _fill(path: Path, rows: Rows) -> None:
    """The features as one ``.npy`` file, through a map of it."""
    x = np.lib.format.open_memmap(path, "w+", np.float32, (len(rows), rows.dim))
    at = 0
    for piece in rows.pieces:
        for block in piece.blocks():
            x[at : at + len(block)] = block
            at += len(block)
    x.flush()


def _save(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:  # np.save would add a suffix to a name
        np.save(file, array)


WRITERS: dict[str, Callable[[Path, Rows], None]] = {
    ".parquet": _write_parquet,
    ".npz": _write_npz,
    ".safetensors": _write_safetensors,
}
