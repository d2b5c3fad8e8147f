"""The memory of digests: what is known is not read again, what changed is."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from metriscope.data.digests import Digests
from metriscope.data.pictures import Files


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
