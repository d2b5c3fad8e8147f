"""The feature cache: whole or not there, whatever happens to it; and the memory of digests."""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections import namedtuple
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from metriscope.data import cache, memory
from metriscope.data.backbones import BACKBONES
from metriscope.data.cache import default_folder, shard_rows
from metriscope.data.digests import Digests
from metriscope.data.extraction import Extraction, Features, extract
from metriscope.data.pictures import Files
from metriscope.disk import StorageError
from tests.fake_backbone import Fake, files_of, flip, noise
from tests.kill_extraction import BATCH, BROKEN, POINTS, ROWS, SHARD


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    fake = Fake()
    monkeypatch.setitem(BACKBONES._objects, "fake", fake.make)
    monkeypatch.setattr(cache, "SHARD", SHARD)
    monkeypatch.setitem(memory.LARGEST, "cpu", BATCH)
    return fake


def run(folder: Path, told: list[str] | None = None) -> Features:
    notify = (told if told is not None else []).append
    how = Extraction("fake", device="cpu", cache=folder, notify=notify)
    return extract({"train": noise(ROWS, BROKEN)}, how)["train"]


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder and the output of tests/kill_extraction.py."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    folder = tmp_path_factory.mktemp("forked")
    command = [sys.executable, "-m", "tests.kill_extraction", str(folder)]
    done = subprocess.run(
        command,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stdout.splitlines()


# ------------------------------------------------------------------------------------------ entries


def test_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("METRISCOPE_CACHE", str(tmp_path))
    assert default_folder() == tmp_path
    monkeypatch.setenv("METRISCOPE_CACHE", "~/here")
    assert default_folder() == Path.home() / "here"
    monkeypatch.setenv("METRISCOPE_CACHE", "")
    assert default_folder().name == "metriscope"


def test_an_entry_is_what_anyone_can_read(fake: Fake, tmp_path: Path) -> None:
    features = run(tmp_path)
    folder = features.shards[0].parent
    assert folder.parent == tmp_path / "features"
    assert folder.name.startswith("fake-train-")
    table = pq.read_table(features.shards[0])
    assert table.column_names == ["row", "embedding", "broken"]
    assert [str(kind) for kind in table.schema.types] == [
        "int64",
        "fixed_size_list<element: float>[5]",
        "string",
    ]
    assert table["row"].to_pylist() == list(range(SHARD))
    assert table["embedding"].to_pylist()[5] is None
    assert [row for row, why in enumerate(table["broken"].to_pylist()) if why] == [5]
    for number, path in enumerate(features.shards):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert path.name == f"{number:05d}-{digest}.parquet"
    assert not list(folder.glob(".*.tmp"))


def test_shards_of_wide_features_have_fewer_rows() -> None:
    assert shard_rows(768) == cache.SHARD == 1024
    assert shard_rows(3 * 224 * 224) == 64
    assert shard_rows(10**9) == 1


def test_killed_at_any_point_and_started_again(
    fake: Fake, tmp_path: Path, forked: tuple[Path, list[str]]
) -> None:
    folder, told = forked
    assert told[: len(POINTS)] == [f"{point} 9" for point in POINTS]  # SIGKILL came everywhere
    whole = files_of(run(tmp_path).shards[0].parent)
    found = {}
    for point in POINTS:
        left = files_of(folder / point)
        found[point] = sum(name.endswith(".parquet") for name in left)
        fake.sizes.clear()
        features = run(folder / point)
        assert files_of(features.shards[0].parent) == whole, point
        probe = found[point] == 0  # the batch size is decided before the first shard
        assert sum(fake.sizes) <= probe + ROWS - found[point] * SHARD, point
    assert found == dict(zip(POINTS, (0, 0, 0, 1, 0, 1, 2, 2), strict=True))
    assert any(name.endswith(".tmp") for name in left)  # of shard-3: cleared, as whole has none


def test_two_processes_compute_once(forked: tuple[Path, list[str]]) -> None:
    rows = ROWS - len(BROKEN)
    assert sorted(forked[1][len(POINTS) :]) == [
        f"a loads 1 rows {rows}",
        f"b loads 0 rows {rows}",
        "b train: fake: another process computes these features; waiting for it.",
    ]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_a_folder(path: Path) -> None:
    path.unlink()
    (path / "deep").mkdir(parents=True)


def swap_names(path: Path) -> None:
    other = next(p for p in path.parent.glob("*.parquet") if p != path)
    data = other.read_bytes()
    name = f"{path.name[:5]}-{hashlib.sha256(data).hexdigest()}.parquet"
    path.unlink()
    path.with_name(name).write_bytes(data)  # its digest is right, its rows are not


@pytest.mark.parametrize("damage", [flip, truncate, empty, replace_by_a_folder, swap_names])
def test_a_damaged_shard_is_computed_again(fake: Fake, tmp_path: Path, damage: object) -> None:
    features = run(tmp_path)
    folder = features.shards[0].parent
    whole = files_of(folder)
    damage(features.shards[2])  # type: ignore[operator]
    fake.sizes.clear()
    told: list[str] = []
    again = run(tmp_path, told)
    assert files_of(folder) == whole
    assert sum(fake.sizes) == SHARD - 1  # that shard alone; one of it is broken
    assert len(told) == 1
    assert told[0].startswith("train: fake: damaged or foreign in the cache, computed again: '0")
    assert again.broken == features.broken


def test_a_shard_of_another_entry_is_refused(fake: Fake, tmp_path: Path) -> None:
    mine = run(tmp_path / "a")
    fake.recipe = {"tensor": "another"}
    fake.after = lambda y: 2 * y
    other = run(tmp_path / "b")
    mine.shards[1].unlink()
    stranger = mine.shards[1].with_name(other.shards[1].name)  # the right rows and a right digest
    stranger.write_bytes(other.shards[1].read_bytes())
    fake.recipe, fake.after = {"tensor": "product", "weights": "none"}, lambda y: y
    told: list[str] = []
    again = run(tmp_path / "a", told)
    assert again.shards == mine.shards
    assert not stranger.exists()
    assert len(told) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": "x"}', None])
def test_a_damaged_manifest_starts_again(fake: Fake, tmp_path: Path, text: str | None) -> None:
    features = run(tmp_path)
    folder = features.shards[0].parent
    whole = files_of(folder)
    manifest = folder / "manifest.json"
    manifest.unlink()
    if text is not None:
        manifest.write_text(text)
    told: list[str] = []
    assert run(tmp_path, told).manifest == features.manifest
    assert files_of(folder) == whole
    assert len(told) == 1
    assert fake.loads == 2


def test_what_is_whole_needs_no_right_to_write(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path)

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("metriscope.disk.tempfile.mkstemp", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    assert len(run(tmp_path).shards) == 5


def test_a_cache_that_cannot_be_made(fake: Fake, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot write to .*METRISCOPE_CACHE"):
        run(tmp_path / "file")


def test_no_room_is_said_before_the_work(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**9, 10**9, ROWS * 5))
    with pytest.raises(StorageError, match=r"need 0\.0 MiB and .* are free.*METRISCOPE_CACHE"):
        run(tmp_path)
    assert fake.sizes == [1]  # the probe
    monkeypatch.undo()


def test_a_disk_that_fills_up(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = files_of(run(tmp_path / "whole").shards[0].parent)
    write, full = Path.write_bytes, []

    def fill(path: Path, data: bytes) -> int:
        full.append(path)
        if len(full) < 4:  # manifest.json and two shards
            return write(path, data)
        write(path, data[:50])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(StorageError, match=r"No space left on device\. .*METRISCOPE_CACHE"):
        run(tmp_path / "full")
    left = files_of(tmp_path / "full" / "features")
    assert len(left) == 3
    assert not any(name.endswith(".tmp") for name in left)
    monkeypatch.setattr(Path, "write_bytes", write)
    assert files_of(run(tmp_path / "full").shards[0].parent) == whole


# ------------------------------------------------------------------------------------------ digests


def old_file(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clock be an hour ahead: files are old enough to be remembered."""
    now = time.time_ns
    monkeypatch.setattr("time.time_ns", lambda: now() + 3600 * 10**9)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    real = hashlib.file_digest

    def told(file, name):
        names.append(Path(file.name).name)
        return real(file, name)

    monkeypatch.setattr("hashlib.file_digest", told)
    return names


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.usefixtures("settled")
def test_a_second_run_only_looks_at_dates(tmp_path: Path, hashed: list[str]) -> None:
    paths = [old_file(tmp_path / f"{i}.png", b"%d" % i) for i in range(600)]
    wanted = [sha(b"%d" % i) for i in range(600)]
    for _ in range(2):
        digest = Digests(tmp_path / "cache").ahead(paths)
        assert [digest(path) for path in paths] == wanted
        assert len(hashed) == 600
    assert Digests(tmp_path / "cache")(paths[7]) == wanted[7]
    assert len(hashed) == 600
    paths[3].write_bytes(b"other")
    digest = Digests(tmp_path / "cache").ahead(paths)
    assert [digest(path) for path in paths][2:4] == [wanted[2], sha(b"other")]
    assert hashed[600:] == ["3.png"]


@pytest.mark.usefixtures("settled")
def test_the_same_file_under_a_relative_path(
    tmp_path: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old_file(tmp_path / "a", b"a")
    monkeypatch.chdir(tmp_path)
    one = Digests(tmp_path / "cache")
    assert one(Path("a")) == one(tmp_path / "a") == sha(b"a")
    assert hashed == ["a"]


@pytest.mark.usefixtures("settled")
def test_a_change_that_hides_behind_size_and_date(tmp_path: Path) -> None:
    path = old_file(tmp_path / "a", b"before")
    one = Digests(tmp_path / "cache")
    assert one(path) == sha(b"before")
    stat = path.stat()
    time.sleep(0.02)  # clocks of file systems tick every few milliseconds
    path.write_bytes(b"behind")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_mtime_ns == stat.st_mtime_ns
    assert one(path) == sha(b"behind")


def test_a_young_file_is_not_remembered(
    tmp_path: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = old_file(tmp_path / "a", b"a")
    one = Digests(tmp_path / "cache")
    for seconds, expected in ((1.9, 1), (1.9, 2), (2.1, 3), (2.1, 3)):
        at = max(path.stat().st_mtime_ns, path.stat().st_ctime_ns) + int(seconds * 1e9)
        monkeypatch.setattr("time.time_ns", lambda at=at: at)
        assert one(path) == sha(b"a")
        assert len(hashed) == expected


@pytest.mark.usefixtures("settled")
def test_a_file_that_changes_while_it_is_read(
    tmp_path: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = old_file(tmp_path / "a", b"first")
    real = hashlib.file_digest

    def slow(file, name):
        found = real(file, name)
        path.write_bytes(b"second version")
        return found

    monkeypatch.setattr("hashlib.file_digest", slow)
    one = Digests(tmp_path / "cache")
    assert one(path) == sha(b"first")
    monkeypatch.setattr("hashlib.file_digest", real)
    assert one(path) == sha(b"second version")


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("damage", ["text", "middle", "cut", "folder"])
def test_a_damaged_memo_is_no_more_than_a_loss(
    tmp_path: Path, damage: str, hashed: list[str]
) -> None:
    paths = [old_file(tmp_path / f"{i}", b"%d" % i) for i in range(300)]
    folder = tmp_path / "cache"
    memo = folder / "digests.sqlite"
    list(map(Digests(folder).ahead(paths), paths))
    data = memo.read_bytes()
    if damage == "text":
        memo.write_text("no database " * 1000)
    elif damage == "middle":
        memo.write_bytes(data[:100] + b"\xff" * (len(data) - 100))
    elif damage == "cut":
        memo.write_bytes(data[: len(data) // 3])
    else:
        memo.unlink()
        memo.mkdir()
    for _ in range(2):
        assert list(map(Digests(folder).ahead(paths), paths)) == [
            sha(b"%d" % i) for i in range(300)
        ]
    again = 300 if damage != "folder" else 600
    assert len(hashed) == 300 + again  # hashed once more, then remembered where that is possible


@pytest.mark.usefixtures("settled")
def test_a_busy_memo_does_not_stop_anyone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = old_file(tmp_path / "a", b"a")
    one = Digests(tmp_path)
    one(old_file(tmp_path / "b", b"b"))
    connect = sqlite3.connect
    monkeypatch.setattr("sqlite3.connect", lambda path, timeout: connect(path, timeout=0.05))
    memo = connect(tmp_path / "digests.sqlite", isolation_level=None)
    memo.execute("BEGIN EXCLUSIVE")
    assert one(path) == sha(b"a")
    memo.execute("ROLLBACK")
    memo.close()


def test_a_memo_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = old_file(tmp_path / "a", b"a")
    assert Digests(tmp_path / "file")(path) == sha(b"a")


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
@pytest.mark.usefixtures("settled")
def test_names_that_are_no_text(tmp_path: Path, hashed: list[str]) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.png"))
    path.write_bytes(b"a")
    one = Digests(tmp_path / "cache")
    assert one(path) == one.ahead([path])(path) == sha(b"a")
    assert len(hashed) == 1


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    one = Digests(tmp_path / "cache")
    absent = tmp_path / "absent"
    with pytest.raises(FileNotFoundError):
        one(absent)  # weights must be there
    there = old_file(tmp_path / "there", b"x")
    before = Files([absent, there]).identity(one.ahead([absent, there]))  # pictures need not
    old_file(absent, b"y")
    assert Files([absent, there]).identity(one.ahead([absent, there])) != before


def test_an_interrupted_look_leaves_no_threads(tmp_path: Path) -> None:
    paths = [old_file(tmp_path / f"{i}", b"%d" % i) for i in range(20)]
    digest = Digests(tmp_path / "cache").ahead(paths)
    digest(paths[0])
    del digest
    assert not [t for t in threading.enumerate() if t.name.startswith("metriscope")]
