"""Every format is read exactly, and every kind of label is kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from metriscope.data import load, load_source
from metriscope.data.split import shared_coding
from metriscope.data.table import Labels, Table
from metriscope.types import Embeddings, InputError

N, D = 24, 5
X = np.random.default_rng(3).standard_normal((N, D)).astype(np.float32)
Y = np.arange(N) % 3


def named(part: Embeddings) -> list[str]:
    return [part.class_names[code] for code in part.y]


def parquet(path: Path, labels: Any, x: np.ndarray = X, **columns: Any) -> Path:
    values = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1])
    pq.write_table(pa.table({"label": labels, "embedding": values, **columns}), path)
    return path


def write_npz(folder: Path, stem: str) -> Path:
    path = folder / f"{stem}.npz"
    np.savez_compressed(path, features=X, labels=Y)
    return path


def write_parquet_fixed(folder: Path, stem: str) -> Path:
    return parquet(folder / f"{stem}.parquet", Y)


def write_parquet_list(folder: Path, stem: str) -> Path:
    path = folder / f"{stem}.parquet"
    pq.write_table(pa.table({"labels": Y, "features": X.tolist(), "note": ["x"] * N}), path)
    return path


def write_parquet_columns(folder: Path, stem: str) -> Path:
    path = folder / f"{stem}.parquet"
    order = [3, 0, 4, 2, 1]  # columns are found by name
    pq.write_table(pa.table({"label": Y, **{f"f{i}": X[:, i] for i in order}}), path)
    return path


def write_safetensors(folder: Path, stem: str) -> Path:
    path = folder / f"{stem}.safetensors"
    save_file({"embeddings": X, "labels": Y}, path)
    return path


WRITERS = [
    write_npz,
    write_parquet_fixed,
    write_parquet_list,
    write_parquet_columns,
    write_safetensors,
]


@pytest.mark.parametrize("write", WRITERS)
def test_every_format_gives_the_same_data(
    write: Callable[[Path, str], Path], tmp_path: Path
) -> None:
    path = write(tmp_path, "mine")
    whole = load_source(path, "all")
    assert np.array_equal(whole.x, X.astype(whole.x.dtype))
    assert np.array_equal(whole.y, Y)
    assert whole.class_names == ("0", "1", "2")
    assert whole.origin == str(path)
    data = load(str(path))
    assert (data.name, data.split) == ("mine", "stratified 80/20, seed 0")
    for part in (data.train, data.test):
        assert np.array_equal(part.x, X[part.ids])
        assert np.array_equal(part.y, Y[part.ids])


@pytest.mark.parametrize("write", WRITERS)
def test_folder_with_train_and_test_is_a_given_split(
    write: Callable[[Path, str], Path], tmp_path: Path
) -> None:
    write(tmp_path, "train")
    write(tmp_path, "test")
    data = load(tmp_path)
    assert data.split == "given"
    assert data.name == tmp_path.name
    assert np.array_equal(data.train.x, X)
    assert np.array_equal(data.test.x, X)
    assert (data.train.split, data.test.split) == ("train", "test")
    whole = load_source(tmp_path, "all")
    assert len(whole) == 2 * N
    assert (whole.ids[0], whole.ids[N]) == ("train:0", "test:0")


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".txt", ".csv"])
def test_npy_with_a_file_of_labels(suffix: str, tmp_path: Path) -> None:
    features, labels = tmp_path / "mine.npy", tmp_path / f"labels{suffix}"
    np.save(features, X)
    names = ["cat, big", " dog ", "10"]
    chosen = [names[y] for y in Y]
    if suffix == ".npy":
        np.save(labels, np.array(chosen))
    elif suffix == ".npz":
        np.savez(labels, labels=Y, class_names=names)
    elif suffix == ".txt":
        labels.write_text("\n".join(chosen), encoding="utf-8")
    else:
        quoted = "\r\n".join(f'"{label}"' for label in chosen)
        labels.write_bytes(f"\ufefflabel\r\n{quoted}\r\n".encode())
    whole = load_source(features, "all", labels=labels)
    assert named(whole) == chosen
    assert np.array_equal(whole.x, X)
    with features.open("r+b") as file:  # what was loaded does not change with the file
        file.seek(-X.nbytes, os.SEEK_END)
        file.write(bytes(X.nbytes))
    assert np.array_equal(whole.x, X)


def test_csv_takes_the_label_column_of_several(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    rows = "".join(f"img{i}.png,{y}\n" for i, y in enumerate(Y))
    (tmp_path / "l.csv").write_text("file,Label\n" + rows)
    assert np.array_equal(load_source(tmp_path / "x.npy", "all", labels=tmp_path / "l.csv").y, Y)


def test_npy_folder_has_its_labels_beside(tmp_path: Path) -> None:
    for part in ("train", "test"):
        np.save(tmp_path / f"{part}.npy", X)
        np.save(tmp_path / f"{part}_labels.npy", Y)
    data = load(tmp_path)
    assert np.array_equal(data.test.y, Y)
    assert data.notes == ()


BIG = [2**63 - 1, 2**63 - 2, -(2**63)]
LABEL_KINDS = {
    "int64": (np.array(BIG)[Y], [str(BIG[i]) for i in (2, 1, 0)]),
    "uint64": (
        np.array([2**64 - 1, 2**64 - 2, 9], np.uint64)[Y],
        ["9", str(2**64 - 2), str(2**64 - 1)],
    ),
    "natural order": (np.array([10, 9, -1])[Y], ["-1", "9", "10"]),
    "bool": (Y > 0, ["False", "True"]),
    "text": (np.array(["b", "a", "[red]\x1b[31mx\u202e"])[Y], ["[red]\x1b[31mx\u202e", "a", "b"]),
    "20 digits as text": (
        np.array(["12345678901234567891", "12345678901234567890", "7"])[Y],
        ["7", "12345678901234567890", "12345678901234567891"],
    ),
    "leading zeros": (np.array(["007", "07", "7"])[Y], ["007", "07", "7"]),
    "whole floats": (np.array([2.0, 0.0, 10.0])[Y], ["0", "2", "10"]),
}


@pytest.mark.parametrize("kind", LABEL_KINDS)
@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_every_kind_of_label_is_kept_exactly(kind: str, suffix: str, tmp_path: Path) -> None:
    labels, names = LABEL_KINDS[kind]
    path = tmp_path / f"mine{suffix}"
    if suffix == ".npz":
        np.savez(path, features=X, labels=labels)
    else:
        parquet(path, labels)
    whole = load_source(path, "all")
    assert list(whole.class_names) == names
    wanted = [str(int(v)) if isinstance(v, float) else str(v) for v in labels.tolist()]
    assert named(whole) == wanted


def test_labels_that_only_arrow_has(tmp_path: Path) -> None:
    digits = [10**29 + 1, 10**29 + 2, 5]
    number = pa.array([digits[y] for y in Y], pa.decimal128(38))
    assert load_source(parquet(tmp_path / "a.parquet", number), "all").class_names == (
        "5",
        str(10**29 + 1),
        str(10**29 + 2),
    )
    hashes = [b"\xff" * 7 + b"\0", b"\xff" * 8, b"abcdefgh"]
    whole = load_source(
        parquet(tmp_path / "b.parquet", pa.array([hashes[y] for y in Y], pa.binary(8))), "all"
    )
    assert named(whole)[:3] == [h.hex() for h in hashes]
    np.savez(tmp_path / "b.npz", features=X, labels=np.array(hashes)[Y])
    assert named(load_source(tmp_path / "b.npz", "all")) == named(whole)
    category = pa.array([["x\0", "x", "é"][y] for y in Y]).dictionary_encode()
    whole = load_source(parquet(tmp_path / "c.parquet", category), "all")
    assert named(whole)[:3] == ["x\0", "x", "é"]


def test_class_names_are_indexed_by_integers_and_kept_as_given(tmp_path: Path) -> None:
    names = ["zebra", "<b>ant</b>", "unused"]
    np.savez(tmp_path / "a.npz", features=X, labels=Y % 2, class_names=names)
    data = load(tmp_path / "a.npz")
    assert data.train.class_names == data.test.class_names == tuple(names)
    assert data.notes == ("Class names without a row: 1 of 3.",)
    chosen = np.array(names)[Y]
    np.savez(tmp_path / "b.npz", features=X, labels=chosen, class_names=names)
    assert load_source(tmp_path / "b.npz", "all").class_names == tuple(names)
    save_file(
        {"features": X, "labels": Y}, tmp_path / "c.safetensors", {"class_names": json.dumps(names)}
    )
    assert named(load_source(tmp_path / "c.safetensors", "all")) == list(chosen)
    table = pa.table({"label": Y, "embedding": X.tolist()})
    info = {"info": {"features": {"label": {"_type": "ClassLabel", "names": names}}}}
    pq.write_table(
        table.replace_schema_metadata({"huggingface": json.dumps(info)}), tmp_path / "d.parquet"
    )
    assert named(load_source(tmp_path / "d.parquet", "all")) == list(chosen)


def test_parts_share_one_coding_even_where_types_differ(tmp_path: Path) -> None:
    np.savez(tmp_path / "train.npz", features=X, labels=np.array([2**63 - 1, 5, 7])[Y])
    np.savez(
        tmp_path / "test.npz", features=X, labels=np.array([2**64 - 1, 5, 2**63 - 1], np.uint64)[Y]
    )
    data = load(tmp_path)
    names = ("5", "7", str(2**63 - 1), str(2**64 - 1))
    assert data.train.class_names == data.test.class_names == names
    assert named(data.test)[:3] == [names[3], "5", names[2]]
    assert data.notes == (f"Classes of test that are not in train: 1 ('{2**64 - 1}').",)
    only_names = Table(X, Labels.of(Y), "a", ("x", "y", "z"))
    names, codes = shared_coding([Table(X, Labels.of(Y), "b"), only_names])
    assert names == ("x", "y", "z")
    assert np.array_equal(codes[0], codes[1])


@pytest.mark.parametrize(
    ("stored", "loaded"),
    [
        ("uint8", "float32"),
        ("int16", "float32"),
        ("bool", "float32"),
        ("float16", "float32"),
        ("float32", "float32"),
        (">f4", "float32"),
        ("float64", "float64"),
        ("longdouble", "float64"),
        ("int64", "float32"),
    ],
)
def test_types_of_features(stored: str, loaded: str, tmp_path: Path) -> None:
    x = np.abs(X * 20 + 60).astype(stored)
    np.savez(tmp_path / "a.npz", features=x, labels=Y)
    whole = load_source(tmp_path / "a.npz", "all")
    assert whole.x.dtype == np.dtype(loaded)
    assert whole.x.dtype.isnative
    assert np.array_equal(whole.x, x)


def test_large_whole_numbers_lose_nothing_and_both_parts_get_one_type(tmp_path: Path) -> None:
    x = np.full((N, D), 7)
    np.savez(tmp_path / "train.npz", features=x, labels=Y)
    x = x + 2**24
    np.savez(tmp_path / "test.npz", features=x, labels=Y)
    data = load(tmp_path)
    whole = load_source(tmp_path, "all")
    assert data.train.x.dtype == data.test.x.dtype == whole.x.dtype == np.float64
    assert np.array_equal(data.test.x, x)


def test_bfloat16(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file as save_tensors

    x = torch.tensor(X).bfloat16()
    save_tensors({"features": x, "labels": torch.tensor(Y)}, tmp_path / "a.safetensors")
    assert np.array_equal(load_source(tmp_path / "a.safetensors", "all").x, x.float().numpy())


def test_split_column_and_ids(tmp_path: Path) -> None:
    split = np.array(["train", "test", "train", "valid"])[np.arange(N) % 4]
    ids = [f"img/{i}.jpg" for i in range(N)]
    np.savez(tmp_path / "a.npz", features=X, labels=Y, split=split, ids=ids)
    parquet(tmp_path / "a.parquet", Y, id=ids, split=split)
    for path in (tmp_path / "a.npz", tmp_path / "a.parquet"):
        data = load(path)
        assert data.split == "given"
        rows = np.flatnonzero(split == "test")
        assert data.test.ids.tolist() == [ids[row] for row in rows]
        assert np.array_equal(data.test.x, X[rows])
        assert np.array_equal(data.train.x, X[split == "train"])
        assert data.notes == ("Rows left out for their split ('valid'): 6.",)
    only = parquet(tmp_path / "embeddings.parquet", Y, split=["test"] * N)
    assert len(load_source(only)) == N
    undivided = parquet(tmp_path / "all.parquet", Y, split=["all"] * N)
    assert load(undivided).split.startswith("stratified")


def test_shards_are_one_table(tmp_path: Path) -> None:
    for part, kinds in {
        "train": (pa.int32(), pa.int64()),
        "test": (pa.int64(), pa.int64()),
    }.items():
        for i, kind in enumerate(kinds):
            rows = slice(10 * i, 10 + 14 * i)
            labels = pa.array(Y[rows] + (2**40 if kind == pa.int64() else 0), kind)
            parquet(tmp_path / f"{part}-0000{i}-of-00002.parquet", labels, X[rows])
    parquet(tmp_path / "validation-00000-of-00001.parquet", Y)
    data = load(tmp_path)
    assert np.array_equal(data.train.x, X)
    assert data.test.ids.tolist() == list(range(N))
    offset = np.where(np.arange(N) < 10, 0, 2**40)
    assert named(data.train) == [str(v) for v in Y + offset]
    assert "'validation-00000-of-00001.parquet'" in data.notes[0]


def test_parquet_of_other_names_and_many_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metriscope.data.parquet._ROWS", 7)
    for i, rows in enumerate((slice(0, 9), slice(9, N))):
        parquet(tmp_path / f"part{i}.parquet", pa.array(Y[rows].astype(str)), X[rows])
    data = load(tmp_path)
    assert data.split == "stratified 80/20, seed 0"
    for part in (data.train, data.test):
        assert np.array_equal(part.x, X[part.ids])
        assert np.array_equal(part.y, Y[part.ids])


def test_folder_with_train_only_is_split_and_says_so(tmp_path: Path) -> None:
    write_npz(tmp_path, "train")
    data = load(tmp_path)
    assert data.split.startswith("stratified")
    assert data.notes[0] == "The folder has no test part, so its train part is split."


def test_a_dataset_name_is_the_dataset_and_a_path_is_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "digits").mkdir()
    write_npz(tmp_path / "digits", "train")
    monkeypatch.chdir(tmp_path)
    assert load_source("digits", "all").x.shape == (1797, 64)
    for own in ("./digits", "digits/train.npz", Path("digits")):
        assert load_source(own, "all").x.shape == (N, D)


def test_listing_datasets_imports_no_heavy_package() -> None:
    code = (
        "import sys, metriscope.data\n"
        "from metriscope.data.datasets import DATASETS\n"
        "assert {'digits', 'synthetic'} <= set(DATASETS.names())\n"
        "assert DATASETS.describe('synthetic').parameters['mode_spread'] == 1.4\n"
        "heavy = {'torch', 'sklearn', 'pyarrow', 'safetensors', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def real_features() -> Path:
    given = os.environ.get("METRISCOPE_TEST_DATA")
    data = Path(given) if given else Path(__file__).parents[2] / "shared" / "data"
    return data / "cifar10-mobilenetv2"


@pytest.mark.skipif(
    not real_features().exists(), reason="cifar10-mobilenetv2 is absent: set METRISCOPE_TEST_DATA"
)
def test_cifar10_features() -> None:
    data = load(real_features())
    assert (data.name, data.split, data.notes) == ("cifar10-mobilenetv2", "given", ())
    assert data.train.x.shape == (50_000, 1280)
    assert data.train.x.dtype == np.float32
    assert data.test.counts.tolist() == [1000] * 10
    assert data.train.class_names[3] == "cat"


def test_bad_names_and_options_are_refused() -> None:
    for source, words in {
        "digts": "did you mean digits?",
        "synthetic:esy": "did you mean easy?",
        "synthetic:n_clases=3": "did you mean n_classes?",
        "synthetic:n_classes=2.5": "n_classes is '2.5'; it must be a whole number",
        "synthetic:easy,hard": "'hard' has no value",
        "digits:easy": "unknown preset of digits",
    }.items():
        with pytest.raises(InputError) as caught:
            load(source)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
