"""The feature cache: whole or not there, whatever happens to it."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from metriscope.data import cache
from metriscope.data.backbones import BACKBONES
from metriscope.data.backbones.base import Backbone
from metriscope.data.cache import default_folder, shard_rows
from metriscope.data.extraction import Extraction, Features, extract
from metriscope.data.pictures import Raw
from metriscope.disk import StorageError
from metriscope.types import InputError
from tests.fake_backbone import DIM, Fake, Noise, files_of, flip, noise
from tests.kill_extraction import BROKEN, POINTS, ROWS, SHARD


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
    assert re.fullmatch("train-[0-9a-f]{20}", folder.name)
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


def test_room_is_asked_for_the_missing_rows_alone(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_room_for(rows: int) -> Features:
        usage = namedtuple("usage", "total used free")
        free = rows * DIM * 4
        monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**9, 10**9, free))
        return run(tmp_path)

    with pytest.raises(StorageError):
        with_room_for(ROWS - 1)
    features = with_room_for(ROWS)  # which is less than five whole shards
    for number in (1, 4):
        features.shards[number].unlink()
    last = ROWS - 4 * SHARD
    with pytest.raises(StorageError):
        with_room_for(SHARD + last - 1)
    assert len(with_room_for(SHARD + last).shards) == 5


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


def test_the_manifest_names_this_request_whoever_filled_the_cache(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def renamed(*args: Any) -> Backbone:
        return replace(fake.make(*args), name="hf:copy")

    monkeypatch.setitem(BACKBONES._objects, "copy", renamed)
    here = noise(40, broken=(3,))
    there = replace(here, origin="there", ids=np.arange(100, 140))
    how = Extraction("copy", device="cpu", cache=tmp_path)
    alone = extract({"train": there}, replace(how, cache=tmp_path / "alone"))["train"]
    others = extract({"train": here}, replace(how, backbone="fake"))["train"]
    for _ in range(2):  # all from the cache, then half of it
        found = extract({"train": there}, how)["train"]
        assert found.backbone == found.manifest["backbone"] == "hf:copy"
        assert list(found.manifest.items()) == list(alone.manifest.items())
        assert found.manifest["broken_pictures"] == [["103", found.broken[3]]]
        assert found.shards == others.shards
        found.shards[1].unlink()
    again = extract({"train": here}, replace(how, backbone="fake"))["train"]
    assert again.manifest == others.manifest


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_a_machine_at_its_limits_makes_no_picture_broken(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    paths = [tmp_path / f"{row}.png" for row in range(40)]
    for row, path in enumerate(paths):
        Image.fromarray(Noise(40).pixels(row)).save(path)

    class Paths(Noise):
        def read(self, start: int, stop: int) -> Iterator[Raw]:
            yield from paths[start:stop]

    pictures = replace(noise(40), shelf=Paths(40))
    open_file = Path.open

    def at_the_limit(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path == paths[21]:
            raise OSError(number, os.strerror(number))
        return open_file(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", at_the_limit)
    how = Extraction("fake", device="cpu", cache=tmp_path)
    with pytest.raises(InputError, match=os.strerror(number)):
        extract({"train": pictures}, how)
    monkeypatch.setattr(Path, "open", open_file)
    assert len(list(tmp_path.glob("features/*/0*.parquet"))) == 1  # rows 0 to 15
    again = extract({"train": pictures}, how)["train"]
    whole = extract({"train": noise(40)}, replace(how, cache=tmp_path / "whole"))["train"]
    assert again.broken == {}
    assert [path.name for path in again.shards] == [path.name for path in whole.shards]
