"""Small samples of data sets in the layouts that their archives really have."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from metriscope.data.layouts import read_pictures
from metriscope.data.pictures import Pictures
from metriscope.types import InputError

WNIDS = ("n01443537", "n01629819", "n01641577")


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def save(path: Path, array: np.ndarray) -> Path:
    """One picture; (h, w) is grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


# ----------------------------------------------------------------------------------------- CIFAR-10


def old_pickle(entries: dict[str, Any]) -> bytes:
    """A dictionary as Python 2 pickled it: protocol 2, text as bytes, arrays as NumPy 1 did."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<I", len(value)) + value  # BINSTRING

    def write(value: Any) -> bytes:
        if isinstance(value, np.ndarray):
            rows, columns = value.shape
            empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85"
            kind = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xff"
            kind += b"J\xff\xff\xff\xffK\x00tb"
            shape = b"J" + struct.pack("<i", rows) + b"J" + struct.pack("<i", columns) + b"\x86"
            state = b"(K\x01" + shape + kind + b"\x89" + text(value.tobytes()) + b"tb"
            return empty + b"U\x01b\x87R" + state
        if isinstance(value, list):
            return b"](" + b"".join(write(item) for item in value) + b"e"
        if isinstance(value, int):
            return b"J" + struct.pack("<i", value)
        return text(value.encode())

    items = b"".join(text(key.encode()) + write(value) for key, value in entries.items())
    return b"\x80\x02}(" + items + b"u."


def new_pickle(entries: dict[str, Any], protocol: int = 4) -> bytes:
    """The same as Python 3 pickles it."""
    return pickle.dumps(entries, protocol)


def write_cifar(
    folder: Path, rows: int = 20, write: Any = old_pickle
) -> dict[str, tuple[np.ndarray, list[int]]]:
    """``cifar-10-batches-py``; the pictures (n, 32, 32, 3) and labels that are in it."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ]
    meta = {"num_cases_per_batch": rows, "label_names": names, "num_vis": 3072}
    (folder / "batches.meta").write_bytes(write(meta))
    held: dict[str, tuple[np.ndarray, list[int]]] = {}
    for i, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        data = pixels(rows, 3, 32, 32, seed=i)
        labels = [(row + i) % 10 for row in range(rows)]
        entries = {
            "batch_label": f"batch {i}",
            "labels": labels,
            "data": data.reshape(rows, 3072),
            "filenames": [f"picture_{row}.png" for row in range(rows)],
        }
        (folder / name).write_bytes(write(entries))
        part = "test" if name == "test_batch" else "train"
        before = held.get(part, (np.empty((0, 32, 32, 3), np.uint8), []))
        images = np.concatenate([before[0], data.transpose(0, 2, 3, 1)])
        held[part] = images, before[1] + labels
    return held


# --------------------------------------------------------------------------------------------- IDX


def idx(array: np.ndarray) -> bytes:
    head = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
    return head + array.astype(np.uint8).tobytes()


def write_idx(
    folder: Path, train: int = 40, test: int = 20, packed: bool = False, dot: str = "-"
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The four files of MNIST; the pictures and labels that are in them."""
    folder.mkdir(parents=True, exist_ok=True)
    held = {}
    for seed, (part, prefix, n) in enumerate((("train", "train", train), ("test", "t10k", test))):
        images, labels = pixels(n, 8, 8, seed=seed), np.arange(n) % 10
        for name, array in (("images", images), ("labels", labels)):
            path = folder / f"{prefix}-{name}{dot}idx{array.ndim}-ubyte{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
        held[part] = images, labels
    return held


# ---------------------------------------------------------------------------- birds, cars, things


def write_cub(folder: Path, classes: int = 3, each: int = 4) -> list[str]:
    """``CUB_200_2011``, every third picture in test; some grey, as in the real one. Its paths."""
    names = [f"{c + 1:03d}.Some_Bird_{c}" for c in range(classes)]
    listed = [
        f"{name}/{name[4:]}_{i:04d}_{c}.jpg" for c, name in enumerate(names) for i in range(each)
    ]
    for i, path in enumerate(listed):
        size = (20 + i % 11, 40 - i % 7)
        save(folder / "images" / path, pixels(*size, seed=i) if i % 5 == 1 else pixels(*size, 3))
    lines = {
        "images.txt": [f"{i + 1} {path}" for i, path in enumerate(listed)],
        "image_class_labels.txt": [f"{i + 1} {i // each + 1}" for i in range(len(listed))],
        "train_test_split.txt": [f"{i + 1} {int(i % 3 != 2)}" for i in range(len(listed))],
        "classes.txt": [f"{c + 1} {name}" for c, name in enumerate(names)],
    }
    for file, content in lines.items():
        (folder / file).write_text("".join(f"{line}\n" for line in content))
    return listed


def matlab(path: Path, **variables: Any) -> None:
    """A Matlab file; dictionaries make an array of structures, text an array of cells."""
    from scipy.io import savemat

    def as_matlab(value: Any) -> np.ndarray:
        if isinstance(value[0], str):
            cells = np.empty((1, len(value)), object)
            cells[0] = value
            return cells
        rows = np.empty((1, len(value)), [(key, object) for key in value[0]])
        for at, row in enumerate(value):
            rows[0, at] = tuple(row.values())
        return rows

    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {key: as_matlab(value) for key, value in variables.items()})


CARS = ("AM General Hummer SUV 2000", "Acura RL Sedan 2012", "Ram C/V Cargo Van 2012")
_BOX = {"bbox_x1": 1, "bbox_y1": 2, "bbox_x2": 9, "bbox_y2": 8}


def write_cars(folder: Path, train: int = 9, test: int = 6, labelled: str | None = "") -> None:
    """``cars_train``, ``cars_test`` and ``devkit``; the test labels below ``labelled``."""
    matlab(folder / "devkit" / "cars_meta.mat", class_names=list(CARS))
    for part, n in (("train", train), ("test", test)):
        rows = [{**_BOX, "class": i % 3 + 1, "fname": f"{i + 1:05d}.jpg"} for i in range(n)]
        for i, row in enumerate(rows):
            save(folder / f"cars_{part}" / str(row["fname"]), pixels(24, 40, 3, seed=i))
        if part == "train":
            matlab(folder / "devkit" / "cars_train_annos.mat", annotations=rows)
        else:
            bare = [{k: v for k, v in row.items() if k != "class"} for row in rows]
            matlab(folder / "devkit" / "cars_test_annos.mat", annotations=bare)
            if labelled is not None:
                name = "cars_test_annos_withlabels.mat"
                matlab(folder / labelled / name, annotations=rows)


def write_cars_one_list(folder: Path, n: int = 12) -> None:
    """``car_ims`` and ``cars_annos.mat``: every third picture in test."""
    rows = []
    for i in range(n):
        path = f"car_ims/{i + 1:06d}.jpg"
        save(folder / path, pixels(24, 40, 3, seed=i))
        place = {"relative_im_path": path, **_BOX, "class": i // 3 % 3 + 1, "test": int(i % 3 == 2)}
        rows.append(place)
    matlab(folder / "cars_annos.mat", annotations=rows, class_names=list(CARS))


def write_tiny_imagenet(folder: Path, train: int = 4, val: int = 2, unlabelled: int = 3) -> None:
    """``tiny-imagenet-200``, with the pictures of test that have no labels."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "wnids.txt").write_text("\n".join(reversed(WNIDS)))  # the real one is not sorted
    words = ("goldfish, Carassius auratus", "European fire salamander", "bullfrog")
    lines = [f"{wnid}\t{text}\n" for wnid, text in zip(WNIDS, words, strict=True)]
    (folder / "words.txt").write_text("n00001740\tentity\n" + "".join(lines))
    annotations = []
    for c, wnid in enumerate(WNIDS):
        for i in range(train):
            path = folder / "train" / wnid / "images" / f"{wnid}_{i}.JPEG"
            save(path, pixels(16, 16) if i == 1 else pixels(16, 16, 3, seed=i))
        (folder / "train" / wnid / f"{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t10\t5\t9\n")
        for i in range(val):
            name = f"val_{i * len(WNIDS) + c}.JPEG"
            save(folder / "val" / "images" / name, pixels(16, 16, 3, seed=c))
            annotations.append(f"{name}\t{wnid}\t0\t3\t9\t9\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(annotations))
    for i in range(unlabelled):
        save(folder / "test" / "images" / f"test_{i}.JPEG", pixels(16, 16, 3, seed=i))


# ----------------------------------------------------------------------------------------- Parquet


def write_parquet(
    path: Path, labels: Sequence[int], column: str = "image", names: Sequence[str] | None = None
) -> Path:
    """One shard as the hub has them: pictures as structures of bytes and path."""
    buffer = io.BytesIO()
    Image.fromarray(pixels(8, 8)).save(buffer, "PNG")
    rows = [{"bytes": buffer.getvalue(), "path": f"{i}.png"} for i in range(len(labels))]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({column: pa.array(rows, kind), "label": pa.array(labels, pa.int64())})
    if names is not None:
        label = f'{{"names": {list(names)!r}, "_type": "ClassLabel"}}'.replace("'", '"')
        info = f'{{"info": {{"features": {{"{column}": {{"_type": "Image"}}, "label": {label}}}}}}}'
        table = table.replace_schema_metadata({"huggingface": info})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def read(folder: Path) -> dict[str, Pictures]:
    parts = read_pictures(folder, [])
    assert parts is not None
    return parts


def refused(folder: Path, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        read(folder)
    message = str(caught.value)
    assert message.count("\n") <= 1
    for word in words:
        assert word in message, message
