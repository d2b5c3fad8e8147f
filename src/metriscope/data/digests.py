"""SHA-256 of files, remembered: a second run over the same files only looks at their dates."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import repeat
from pathlib import Path
from threading import Event

from metriscope.data.pictures import Digest

_RACY = 2_000_000_000  # ns: a file this young may change again without its times showing it
_SLICE = 256  # files a thread takes at once
_THREADS = 16
_UNREADABLE = hashlib.sha256(b"metriscope: a file that cannot be read").digest()

_State = tuple[int, int, int]  # size, mtime and ctime in ns
_Row = tuple[bytes, int, int, int, bytes]  # path, its state, digest


class Digests:
    """SHA-256 of a file's content, in hex, by its path.

    What was computed once is kept in ``digests.sqlite``, under the absolute path, and believed as
    long as size and times are the same. SQLite, because a run over a million known files looks up
    rows without loading the rest, and one over a few new files adds a few rows, safely beside other
    processes. The memo is only a memo: where it is damaged it is begun anew, where it cannot be
    written or is busy, files are hashed again.

    As in git, a file changed within the last two seconds is hashed but not remembered: the next
    change may leave no trace in its size and times. The time of change (ctime) counts as well as
    that of modification, which tools that copy and unpack files set back.

    Args:
        folder: the cache.
    """

    def __init__(self, folder: Path) -> None:
        self._memo = folder / "digests.sqlite"

    def __call__(self, path: Path) -> str:
        """Of one file.

        Raises:
            OSError: it cannot be read.
        """
        key = _key(path)
        known = self._recall([key])
        digest, row = _digest(path, key, known)
        self._remember([row] if row else [])
        return digest.hex()

    def ahead(self, paths: Sequence[Path]) -> Digest:
        """Of files that will be asked for in this order: looked up and hashed in threads.

        A file that cannot be read has a digest that says so, and another once it can.
        """
        upcoming = self._in_order(paths)

        def digest(path: Path) -> str:
            expected, value = next(upcoming)
            assert path == expected, f"{expected} was due, not {path}"
            return value.hex()

        return digest

    def _in_order(self, paths: Sequence[Path]) -> Iterator[tuple[Path, bytes]]:
        pool, stop = ThreadPoolExecutor(_THREADS, "metriscope-digest"), Event()
        try:
            window = _SLICE * _THREADS
            for start in range(0, len(paths), window):
                block = paths[start : start + window]
                slices = [block[i : i + _SLICE] for i in range(0, len(block), _SLICE)]
                new: list[_Row] = []
                done = []
                for digests, rows in pool.map(self._slice, slices, repeat(stop)):
                    done += digests
                    new += rows
                self._remember(new)
                yield from zip(block, done, strict=True)
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)

    def _slice(self, paths: Sequence[Path], stop: Event) -> tuple[list[bytes], list[_Row]]:
        keys = [_key(path) for path in paths]
        known = self._recall(keys)
        digests, rows = [], []
        for path, key in zip(paths, keys, strict=True):
            if stop.is_set():  # nobody waits for the rest
                break
            try:
                digest, row = _digest(path, key, known)
            except OSError:
                digest, row = _UNREADABLE, None
            digests.append(digest)
            if row:
                rows.append(row)
        return digests, rows

    def _recall(self, keys: Sequence[bytes]) -> dict[bytes, tuple[_State, bytes]]:
        query = "SELECT size, mtime, ctime, sha256 FROM digests WHERE path = ?"
        if not self._memo.exists():
            return {}
        try:
            with closing(self._open()) as memo:
                rows = ((key, memo.execute(query, (key,)).fetchone()) for key in keys)
                return {key: (row[:3], row[3]) for key, row in rows if row}
        except (sqlite3.Error, OSError):
            return {}

    def _remember(self, rows: Sequence[_Row]) -> None:
        for attempt in range(2 if rows else 0):
            try:
                self._memo.parent.mkdir(parents=True, exist_ok=True)
                with closing(self._open()) as memo, memo:
                    memo.execute(
                        "CREATE TABLE IF NOT EXISTS digests (path BLOB PRIMARY KEY, size INTEGER, "
                        "mtime INTEGER, ctime INTEGER, sha256 BLOB) WITHOUT ROWID"
                    )
                    memo.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?)", rows)
                return
            except (sqlite3.OperationalError, OSError):  # busy, not writable, no space
                return
            except sqlite3.DatabaseError:  # damaged, or no database at all
                if attempt == 0:
                    try:
                        self._memo.unlink(missing_ok=True)
                    except OSError:
                        return

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._memo, timeout=5)


def _key(path: Path) -> bytes:
    return os.fsencode(os.path.abspath(path))  # noqa: PTH100  (resolve() would touch the disk)


def _digest(
    path: Path, key: bytes, known: dict[bytes, tuple[_State, bytes]]
) -> tuple[bytes, _Row | None]:
    """The digest of a file, and what to remember of it, if anything."""
    before = _state(path)
    if key in known and known[key][0] == before:
        return known[key][1], None
    now = time.time_ns()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    settled = now - max(before[1:]) > _RACY
    return digest, ((key, *before, digest) if settled else None)


def _state(path: Path) -> _State:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
