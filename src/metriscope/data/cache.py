"""The feature cache: what a backbone made of some pictures, kept in whole, checked shards.

::

    <cache>/features/<part>-<hash>/           the hash: of everything that decides the features
        manifest.json                         what they are, and how they were made
        00000-<SHA-256 of the file>.parquet   rows 0 to 1023: row, embedding, broken
        00001-….parquet

A shard is there whole or not at all, and its name says what its bytes must be: the list of files is
the list of what is done.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metriscope.disk import StorageError, atomically, storage_errors, write_json
from metriscope.text import slug
from metriscope.types import InputError

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

FORMAT = 1
SHARD = 1024  # rows; fewer where that would be more than _BYTES
ADVICE = (
    "Free some space, or set METRISCOPE_CACHE to a folder elsewhere; what is done is kept, and the "
    "same command goes on from there."
)
_BYTES = 1 << 26
_COUNTS = ("rows", "shard", "dim", "batch_size")
_SHARD_NAME = re.compile(r"([0-9]{5,})-([0-9a-f]{64})\.parquet")


def default_folder() -> Path:
    """The cache's folder: ``METRISCOPE_CACHE``, else the platform's place for caches."""
    import platformdirs

    chosen = os.environ.get("METRISCOPE_CACHE")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("metriscope")


def shard_rows(dim: int) -> int:
    """Rows of one shard of vectors this wide: a power of two, at most ``SHARD``."""
    fitting = max(1, _BYTES // (4 * dim))
    return int(min(SHARD, 1 << (fitting.bit_length() - 1)))


@dataclass(frozen=True, eq=False)
class Shard:
    """Some rows in order.

    Attributes:
        rows: (n,) int64, without the broken ones.
        features: (n, dim) float32, of ``rows``.
        broken: why a row has no features.
    """

    rows: np.ndarray
    features: np.ndarray
    broken: Mapping[int, str]


@dataclass(frozen=True, eq=False)
class Held:
    """What an entry holds.

    Attributes:
        manifest: as it was written; empty if it is not there, or not of this entry.
        shards: the file of each whole shard.
        broken: why a row of theirs has no features.
        damaged: files that are not what their names say.
    """

    manifest: dict[str, Any]
    shards: dict[int, Path]
    broken: dict[int, str]
    damaged: tuple[Path, ...] = ()

    @property
    def missing(self) -> list[int]:
        """Numbers of the shards that are not there, in order. Needs the manifest."""
        count = -(-self.manifest["rows"] // self.manifest["shard"])
        return [i for i in range(count) if i not in self.shards]

    @property
    def complete(self) -> bool:
        """Whether every row is there."""
        return bool(self.manifest) and not self.missing

    @property
    def done(self) -> int:
        """Rows that are there."""
        return self.rows_of(self.shards) if self.manifest else 0

    def rows_of(self, numbers: Iterable[int]) -> int:
        """Rows of these shards, there or not. Needs the manifest."""
        rows, shard = self.manifest["rows"], self.manifest["shard"]
        return sum(min(shard, rows - i * shard) for i in numbers)


class Entry:
    """The features of one part of some data by one backbone.

    Args:
        cache: the cache's folder.
        part: its name, for people.
        key: plain JSON types: everything that decides the features.
    """

    def __init__(self, cache: Path, part: str, key: Mapping[str, Any]) -> None:
        text = json.dumps({**key, "format": FORMAT}, sort_keys=True, separators=(",", ":"))
        self.key = hashlib.sha256(text.encode()).hexdigest()
        self.folder = cache / "features" / f"{slug(part)}-{self.key[:20]}"

    @contextmanager
    def locked(self, wait: Callable[[], None]) -> Iterator[None]:
        """Keep other processes out, and clear what killed ones left half-written.

        Args:
            wait: called if another process is at work here, before waiting for it. The system gives
                back the lock of one that died.

        Raises:
            StorageError: the folder cannot be made or written to.
        """
        import filelock

        with storage_errors(self.folder, ADVICE):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.folder / ".lock")
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                wait()
                lock.acquire(poll_interval=0.2)
        try:
            with storage_errors(self.folder, ADVICE):
                for leftover in self.folder.glob(".*.tmp"):
                    leftover.unlink(missing_ok=True)
            yield
        finally:
            lock.release()

    def look(self) -> Held:
        """What is here and whole. Every file is read and held against its name."""
        manifest = self._manifest()
        shards: dict[int, Path] = {}
        broken: dict[int, str] = {}
        damaged = []
        for path in sorted(self.folder.glob("[!.]*")):
            if path.name == "manifest.json" and manifest:
                continue
            match = _SHARD_NAME.fullmatch(path.name)
            number = int(match[1]) if match else -1
            found = self._read(path, number, manifest) if match and manifest else None
            if found is None or number in shards:
                damaged.append(path)
            else:
                shards[number] = path
                broken.update(found)
        return Held(manifest, shards, broken, tuple(damaged))

    def begin(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest: before the first shard, and when it changes.

        Raises:
            StorageError: it cannot be written.
        """
        with storage_errors(self.folder, ADVICE):
            write_json(self.folder / "manifest.json", manifest)

    def reserve(self, size: int) -> None:
        """Check that so many bytes have room.

        Raises:
            StorageError: they have not.
        """
        with storage_errors(self.folder, ADVICE):
            free = shutil.disk_usage(self.folder).free
        if free < size:
            raise StorageError(
                f"cannot write to {self.folder}: the features need {_size(size)} and "
                f"{_size(free)} are free. {ADVICE}"
            )

    def remove(self, paths: tuple[Path, ...]) -> None:
        """Delete files of the entry."""
        with storage_errors(self.folder, ADVICE):
            for path in paths:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)

    def write(self, number: int, shard: Shard) -> Path:
        """Store a shard; returns its file.

        Raises:
            StorageError: no room, no permission; nothing half-written is left.
        """
        data = _encode(shard, self.key)
        path = self.folder / f"{number:05d}-{hashlib.sha256(data).hexdigest()}.parquet"
        with storage_errors(self.folder, ADVICE):
            atomically(path, lambda temporary: temporary.write_bytes(data))
        return path

    def _manifest(self) -> dict[str, Any]:
        try:
            found = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
            whole = found["key"] == self.key and min(found[k] for k in _COUNTS) > 0
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return found if whole else {}

    def _read(self, path: Path, number: int, manifest: Mapping[str, Any]) -> dict[int, str] | None:
        """The broken rows of a shard that is whole, of this entry and of the right rows."""
        try:
            with _checked(path, self.key) as file:
                width = file.schema_arrow.field("embedding").type.list_size
                table = file.read(columns=["row", "broken"])
        except (ValueError, OSError):  # damaged, or no Parquet
            return None
        start = number * manifest["shard"]
        stop = min(start + manifest["shard"], manifest["rows"])
        fits = np.array_equal(table["row"].to_numpy(), np.arange(start, stop))
        return _broken(table) if fits and width == manifest["dim"] else None


def read_shard(path: Path, key: str) -> Shard:
    """A shard, held against its name.

    Args:
        path: its file.
        key: of the entry it must belong to.

    Raises:
        InputError: it is damaged, or belongs elsewhere.
        OSError: it cannot be read.
    """
    with _checked(path, key) as file:
        table = file.read()
    rows, broken = table["row"].to_numpy(), _broken(table)
    vectors = table["embedding"].combine_chunks()
    flat = vectors.flatten().to_numpy(zero_copy_only=False)  # without those of broken rows
    kept = rows[~np.isin(rows, list(broken))]
    return Shard(kept, flat.reshape(len(kept), vectors.type.list_size), broken)


def _checked(path: Path, key: str) -> ParquetFile:
    """The file, if its bytes are what its name says and it belongs to the entry."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = path.read_bytes()
    if path.name.partition("-")[2] != f"{hashlib.sha256(data).hexdigest()}.parquet":
        raise InputError(f"{path}: damaged since it was written; run the same command again.")
    file = pq.ParquetFile(pa.BufferReader(data))
    if (file.schema_arrow.metadata or {}).get(b"metriscope") != key.encode():
        raise InputError(f"{path}: holds the features of something else.")
    return file


def _broken(table: Any) -> dict[int, str]:
    reasons = zip(table["row"].to_pylist(), table["broken"].to_pylist(), strict=True)
    return {row: reason for row, reason in reasons if reason is not None}


def _encode(shard: Shard, key: str) -> bytes:
    """A shard as Parquet: the same bytes for the same content."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    broken_rows = np.fromiter(shard.broken, np.int64, len(shard.broken))
    rows = np.sort(np.concatenate([shard.rows, broken_rows]))
    missing = np.isin(rows, broken_rows)
    vectors = np.zeros((len(rows), shard.features.shape[1]), np.float32)
    vectors[~missing] = shard.features
    lists = pa.FixedSizeListArray.from_arrays(
        pa.array(vectors.ravel()), vectors.shape[1], mask=pa.array(missing)
    )
    reasons = pa.array([shard.broken.get(int(row)) for row in rows], pa.string())
    columns = {"row": pa.array(rows), "embedding": lists, "broken": reasons}
    table = pa.table(columns).replace_schema_metadata({"metriscope": key})
    buffer = io.BytesIO()
    # LZ4: a third smaller for pixels, and no slower than none.
    pq.write_table(table, buffer, compression="lz4", use_dictionary=False, write_statistics=False)
    return buffer.getvalue()


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
