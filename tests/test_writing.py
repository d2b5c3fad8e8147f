"""What `embed` writes is what a SOURCE reads: every format there and back."""

from __future__ import annotations

import errno
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from metriscope.data import Extraction, embed, load, load_source
from metriscope.data.writing import Piece, Rows, check_suffix, write
from metriscope.disk import StorageError
from metriscope.types import InputError

N, D = 24, 5
X = np.random.default_rng(0).standard_normal((N, D)).astype(np.float32)
Y = np.arange(N) % 3
NAMES = ("zebra", "ant", "fly")  # not in the order of their text
IDS = np.array([f"p{i}.jpg" for i in range(N)])
MANIFEST = {"train": {"backbone": "pixels:1x2x2", "dtype": "float32"}}


def rows(splits: tuple[str, ...] = ("train", "test")) -> Rows:
    cuts = np.array_split(np.arange(N), len(splits))

    def blocks(chosen: np.ndarray) -> Iterator[np.ndarray]:
        yield X[chosen[:3]]
        yield X[chosen[3:]]

    pieces = [
        Piece(split, IDS[chosen], Y[chosen], lambda chosen=chosen: blocks(chosen))
        for split, chosen in zip(splits, cuts, strict=True)
    ]
    return Rows(pieces, NAMES, D, MANIFEST)


@pytest.mark.parametrize("name", ["a.parquet", "a.npz", "a.safetensors", "a.npy", "folder"])
def test_every_format_comes_back(tmp_path: Path, name: str) -> None:
    path = tmp_path / "new" / name  # the folder is made
    write(path, rows())
    labels = path.with_name("a_labels.npy") if name == "a.npy" else None
    back = load_source(path, "all", labels=labels)
    assert np.array_equal(back.x, X)
    assert [back.class_names[c] for c in back.y] == [NAMES[c] for c in Y]
    if name != "a.npy":  # whose labels are text and name themselves
        assert back.class_names == NAMES
        assert np.array_equal(back.y, Y)
    if name in ("a.parquet", "a.npz", "folder"):  # ids and split are kept
        assert back.ids.tolist() == IDS.tolist()
        data = load(path)
        assert data.split == "given"
        assert np.array_equal(data.test.x, X[N // 2 :])
    assert not [p for p in path.parent.iterdir() if p.name.startswith(".")]


def test_manifest_is_kept_in_every_file(tmp_path: Path) -> None:
    from safetensors import safe_open

    for name in ("a.parquet", "a.npz", "a.safetensors", "a.npy"):
        write(tmp_path / name, rows())
    schema = pq.read_schema(tmp_path / "a.parquet")
    with safe_open(tmp_path / "a.safetensors", "numpy") as file:
        tensors = json.loads(file.metadata()["metriscope"])["manifest"]
    found = [
        json.loads(schema.metadata[b"metriscope"])["manifest"],
        json.loads(str(np.load(tmp_path / "a.npz")["manifest"])),
        tensors,
        json.loads((tmp_path / "a_manifest.json").read_text()),
    ]
    assert found == [MANIFEST] * 4
    kinds = {field.name: str(field.type) for field in schema}
    assert kinds["embedding"] == f"fixed_size_list<element: float>[{D}]"
    assert list(kinds) == ["id", "label", "split", "embedding"]


def test_same_rows_same_bytes(tmp_path: Path) -> None:
    for name in ("a.parquet", "a.safetensors", "a.npy"):
        write(tmp_path / name, rows())
        first = (tmp_path / name).read_bytes()
        write(tmp_path / name, rows())
        assert (tmp_path / name).read_bytes() == first


def test_one_format_into_another(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", features=X, labels=Y, ids=np.arange(N) + 10**15)
    written = embed(tmp_path / "a.npz", tmp_path / "b.parquet")
    assert (len(written), written.dim) == (N, D)
    back = load_source(tmp_path / "b.parquet", "all")
    assert np.array_equal(back.x, X)
    assert back.ids.tolist() == (np.arange(N) + 10**15).tolist()
    with pytest.raises(InputError, match=r"holds features, not pictures; leave out --backbone"):
        embed(tmp_path / "a.npz", tmp_path / "b.parquet", backbone="pixels")


def test_how_features_were_made_survives_every_conversion(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", rows())
    chain = ["a.parquet", "b.npz", "c.safetensors", "d", "e.parquet", "f.npy"]
    for one, other in itertools.pairwise(chain):
        embed(tmp_path / one, tmp_path / other)
        labels = tmp_path / "f_labels.npy" if other == "f.npy" else None
        assert load(tmp_path / other, labels=labels).manifests == MANIFEST, other


def test_wide_numbers_are_said_to_lose_digits(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", features=X.astype(np.float64), labels=Y)
    told: list[str] = []
    embed(tmp_path / "a.npz", tmp_path / "b.npz", images=Extraction(notify=told.append))
    assert told == ["Features of 64 bits are written with 32."]


def test_npy_and_what_belongs_to_it_change_together(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    write(path, rows())
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def broken() -> Iterator[np.ndarray]:
        yield X[:3]
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError):
        write(path, Rows([Piece("train", IDS[:9], Y[:9], broken)], NAMES, D, {}))
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_no_bars_of_other_libraries(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "folder", rows())
    load_source(tmp_path / "folder", "all")
    assert capfd.readouterr() == ("", "")


def test_safetensors_are_aligned(tmp_path: Path) -> None:
    write(tmp_path / "a.safetensors", rows())
    data = (tmp_path / "a.safetensors").read_bytes()
    header = int.from_bytes(data[:8], "little")
    assert header % 8 == 0
    assert len(data) == 8 + header + N * 8 + N * D * 4


def test_a_part_alone(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", rows())
    assert len(embed(tmp_path / "a.parquet", tmp_path / "b.npz", part="test")) == N // 2
    assert np.array_equal(load_source(tmp_path / "b.npz", "test").x, X[N // 2 :])
    with pytest.raises(InputError, match=r"part is 'tset'; it must be one of train, test, all"):
        embed(tmp_path / "a.parquet", tmp_path / "b.npz", part="tset")  # type: ignore[arg-type]
    write(tmp_path / "c.parquet", rows(("all",)))
    with pytest.raises(InputError, match=r"no train part; it has all"):
        embed(tmp_path / "c.parquet", tmp_path / "b.npz", part="train")


def test_what_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot write \.csv; known formats are \.parquet"):
        embed("no such source", tmp_path / "a.csv")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"something in it"):
        embed("no such source", tmp_path / "full")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"is a file; a folder is written there"):
        check_suffix(tmp_path / "file")


@pytest.mark.parametrize("name", ["a.parquet", "a.npz", "a.safetensors", "a.npy", "folder"])
def test_a_failure_leaves_nothing_half_written(tmp_path: Path, name: str) -> None:
    whole = rows()

    def broken() -> Iterator[np.ndarray]:
        yield X[:3]
        raise OSError(errno.ENOSPC, "No space left on device")

    pieces = [Piece("train", IDS[:9], Y[:9], broken)]
    path = tmp_path / name
    if path.suffix:
        write(path, whole)
        before = path.read_bytes()
    with pytest.raises(StorageError, match=r"No space left on device\. Free some space"):
        write(path, Rows(pieces, NAMES, D, {}))
    if path.suffix:
        assert path.read_bytes() == before
    else:
        assert not path.exists()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
