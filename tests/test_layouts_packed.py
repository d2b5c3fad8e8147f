"""Archives of arrays: CIFAR-10's batches and IDX files, whole, damaged and hostile."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metriscope.data.pictures import Arrays
from tests import layouts
from tests.layouts import read, refused

# ----------------------------------------------------------------------------------------- CIFAR-10


@pytest.mark.parametrize("protocol", [-1, 0, 2, 3, 4, 5])
@pytest.mark.parametrize("parent", [False, True])
def test_cifar_batches(tmp_path: Path, protocol: int, parent: bool) -> None:
    def write(entries: dict[str, Any]) -> bytes:
        if protocol < 0:
            return layouts.old_pickle(entries)
        return layouts.new_pickle(entries, protocol)

    place = tmp_path / "cifar-10-batches-py"
    held = layouts.write_cifar(place, write=write)
    parts = read(tmp_path if parent else place)
    assert {part: len(p) for part, p in parts.items()} == {"train": 100, "test": 20}
    for part, (images, labels) in held.items():
        shelf = parts[part].shelf
        assert isinstance(shelf, Arrays)
        assert np.array_equal(shelf.pixels, images)
        values = parts[part].labels.values
        assert [values[code] for code in parts[part].labels.codes] == labels
        names = parts[part].class_names
        assert names is not None
        assert names[1] == "automobile"
    assert [path.name for path in parts["train"].shelf.files] == [  # type: ignore[attr-defined]
        f"data_batch_{i}" for i in range(1, 6)
    ]


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_missing_batch_is_named(tmp_path: Path, name: str) -> None:
    layouts.write_cifar(tmp_path, 2)
    (tmp_path / name).unlink()
    refused(tmp_path, f"{name} is missing")


class Runs:
    """A pickle of this makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["data_batch_1", "batches.meta"])
def test_a_pickle_that_asks_for_anything_else_runs_nothing(tmp_path: Path, name: str) -> None:
    layouts.write_cifar(tmp_path, 2)
    (tmp_path / name).write_bytes(pickle.dumps({"data": Runs(tmp_path / "it ran")}))
    refused(tmp_path, name, "mkdir", "could run code")
    assert not (tmp_path / "it ran").exists()


@pytest.mark.parametrize(
    "wanted",
    [
        b"cbuiltins\neval\n(U\x01.tR.",
        b"cnumpy\nload\n.",
        b"cnumpy.core.multiarray\nfromstring\n.",
        b"cnumpy.core.numeric\nsys.modules\n.",
    ],
)
def test_admitted_modules_give_nothing_but_what_arrays_need(tmp_path: Path, wanted: bytes) -> None:
    layouts.write_cifar(tmp_path, 2)
    (tmp_path / "data_batch_1").write_bytes(b"\x80\x02" + wanted)
    refused(tmp_path, "data_batch_1", "could run code")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": np.zeros((2, 3071), np.uint8)}, ["shape (2, 3071)", "(n, 3072)"]),
        ({"data": np.zeros((2, 3072))}, ["f8", "not uint8"]),
        ({"data": np.zeros((2, 3072), object)}, ["O8", "not uint8"]),
        ({"data": np.asfortranarray(np.zeros((2, 3072), np.uint8))}, ["row by row"]),
        ({"data": [1, 2]}, ["data is no array"]),
        ({"labels": [0]}, ["2 pictures but 1 labels"]),
        ({"labels": [0, 10]}, ["from 0 to 9"]),
        ({"labels": [0, -1]}, ["from 0 to 9"]),
        ({"labels": [0, "1"]}, ["whole numbers"]),
        ({"labels": None}, ["whole numbers"]),
    ],
)
def test_a_batch_with_other_content(
    tmp_path: Path, change: dict[str, Any], words: list[str]
) -> None:
    layouts.write_cifar(tmp_path, 2)
    good = {"data": np.zeros((2, 3072), np.uint8), "labels": [0, 1]}
    (tmp_path / "data_batch_2").write_bytes(layouts.new_pickle({**good, **change}, 2))
    refused(tmp_path, "data_batch_2", *words)


def test_a_damaged_batch(tmp_path: Path) -> None:
    layouts.write_cifar(tmp_path, 2)
    path = tmp_path / "data_batch_2"
    whole = path.read_bytes()
    for content, word in ((whole[:500], "damaged"), (b"", "empty"), (b"<html>", "damaged")):
        path.write_bytes(content)
        refused(tmp_path, "data_batch_2", word)
    path.write_bytes(whole.replace(struct.pack("<i", 3072), struct.pack("<i", 1 << 30)))
    refused(tmp_path, "data_batch_2", "another size")
    path.write_bytes(pickle.dumps([1, 2]))
    refused(tmp_path, "data_batch_2", "no 'data'")


# --------------------------------------------------------------------------------------------- IDX


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("where", "dot"), [("", "-"), ("raw", "."), ("MNIST/raw", "-")])
def test_idx(tmp_path: Path, packed: bool, where: str, dot: str) -> None:
    held = layouts.write_idx(tmp_path / where, packed=packed, dot=dot)
    parts = read(tmp_path)
    assert list(parts) == ["train", "test"]
    for part, (images, labels) in held.items():
        assert np.array_equal(np.stack(list(parts[part].shelf.read(0, 999))), images)
        values = np.asarray(parts[part].labels.values)
        assert np.array_equal(values[parts[part].labels.codes], labels)


def test_two_idx_data_sets_in_one_folder(tmp_path: Path) -> None:
    layouts.write_idx(tmp_path / "MNIST/raw")
    layouts.write_idx(tmp_path / "FashionMNIST/raw")
    refused(tmp_path, "MNIST/raw and in FashionMNIST/raw", "give one")


def test_a_missing_idx_file(tmp_path: Path) -> None:
    layouts.write_idx(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    refused(tmp_path, "t10k-labels-idx1-ubyte (or .gz) is missing")


def damaged_idx() -> dict[str, tuple[bytes, str]]:
    whole = layouts.idx(layouts.pixels(40, 8, 8))
    huge = struct.pack(">4I", 0x0803, 1 << 31, 1 << 20, 1 << 20)
    return {
        "other magic": (struct.pack(">I", 0x0D03) + whole[4:], "starts with 0x00000d03"),
        "labels instead": (layouts.idx(np.arange(40)), "starts with 0x00000801"),
        "still packed": (gzip.compress(whole), "still packed"),
        "truncated": (whole[:-1], "truncated"),
        "only a head": (whole[:16], "truncated"),
        "half a head": (whole[:9], "truncated"),
        "more than announced": (whole + b"\0", "more bytes"),
        "a huge head": (huge, "announces 2147483648 × 1048576"),
        "no pictures": (struct.pack(">4I", 0x0803, 0, 8, 8), "announces 0"),
        "empty": (b"", "empty"),
    }


@pytest.mark.parametrize("kind", damaged_idx())
@pytest.mark.parametrize("packed", [False, True])
def test_damaged_idx_files(tmp_path: Path, kind: str, packed: bool) -> None:
    layouts.write_idx(tmp_path, packed=packed)
    content, word = damaged_idx()[kind]
    path = tmp_path / f"train-images-idx3-ubyte{'.gz' if packed else ''}"
    path.write_bytes(gzip.compress(content) if packed and content else content)
    refused(tmp_path, path.name, word)


def test_damaged_gzip(tmp_path: Path) -> None:
    layouts.write_idx(tmp_path, packed=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    refused(tmp_path, path.name, "truncated")
    path.write_bytes(whole[:-8] + bytes(4) + whole[-4:])  # the check sum
    refused(tmp_path, path.name, "CRC")
    path.write_bytes(b"not packed at all")
    refused(tmp_path, path.name, "damaged")


def test_a_gzip_bomb_does_not_fill_memory(tmp_path: Path) -> None:
    import tracemalloc

    layouts.write_idx(tmp_path, packed=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb") as file:
        file.write(layouts.idx(layouts.pixels(40, 8, 8)))
        for _ in range(200):
            file.write(bytes(1 << 20))
    path.write_bytes(buffer.getvalue())
    tracemalloc.start()
    refused(tmp_path, path.name, "more bytes")
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def test_other_numbers_of_idx_labels(tmp_path: Path) -> None:
    layouts.write_idx(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(layouts.idx(np.arange(39) % 10))
    refused(tmp_path, "39 labels", "40 pictures")
