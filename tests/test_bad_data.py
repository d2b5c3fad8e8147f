"""Bad input is refused in one or two lines that name the file, the reason and the way out."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from metriscope.data import load, load_source
from metriscope.types import InputError

N, D = 12, 4
X = np.random.default_rng(5).standard_normal((N, D)).astype(np.float32)
Y = np.arange(N) % 3

Place = Callable[..., Path]


@pytest.fixture
def npz(tmp_path: Path) -> Place:
    def write(name: str = "bad.npz", **arrays: Any) -> Path:
        np.savez(tmp_path / name, **{"features": X, "labels": Y, **arrays})
        return tmp_path / name

    return write


@pytest.fixture
def parquet(tmp_path: Path) -> Place:
    def write(name: str = "bad.parquet", **columns: Any) -> Path:
        held = {"label": Y, "embedding": X.tolist(), **columns}
        present = {key: value for key, value in held.items() if value is not None}
        pq.write_table(pa.table(present), tmp_path / name)
        return tmp_path / name

    return write


def refused(source: Any, *words: str, **options: Any) -> str:
    """The message; it has every one of ``words`` and no more than two lines."""
    with pytest.raises(InputError) as caught:
        load(source, **options)
    message = str(caught.value)
    for word in words:
        assert word in message, message
    assert message.count("\n") <= 1, message
    return message


# ------------------------------------------------------------------------------------ paths, files


def test_missing_paths(tmp_path: Path, npz: Place) -> None:
    npz("features.npz")
    refused(tmp_path / "feature.npz", "feature.npz", "no such file", "Did you mean features.npz?")
    refused("./digits", "./digits", "no such file or folder")
    refused("sinthetic", "'sinthetic'", "did you mean synthetic?", "digits")
    refused("", "no file or folder ''")
    refused("a" * 5000, "File name too long")


def test_missing_labels_file(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    refused(tmp_path / "x.npy", "gone.txt: no such file", labels=tmp_path / "gone.txt")
    (tmp_path / "l.json").write_text("[]")
    refused(tmp_path / "x.npy", "l.json", ".npy, .npz, .txt, .csv", labels=tmp_path / "l.json")


def test_unknown_suffix_lists_the_known_ones(tmp_path: Path) -> None:
    for name in ("data.xlsx", "noext"):
        (tmp_path / name).write_text("1")
        refused(tmp_path / name, name, ".npz, .npy, .parquet, .safetensors")


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".parquet", ".safetensors"])
def test_empty_files(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"bad{suffix}"
    path.touch()
    refused(path, str(path), "empty (0 bytes)")


def write_whole(path: Path) -> None:
    if path.suffix == ".npz":
        np.savez(path, features=X, labels=Y)
    elif path.suffix == ".npy":
        np.save(path, X)
    elif path.suffix == ".parquet":
        pq.write_table(pa.table({"label": Y, "embedding": X.tolist()}), path)
    else:
        save_file({"features": X, "labels": Y}, path)


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".parquet", ".safetensors"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.99])
def test_truncated_files(suffix: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / f"bad{suffix}"
    write_whole(path)
    data = path.read_bytes()
    path.write_bytes(data[: max(7, int(share * len(data)))])
    refused(path, str(path), "truncated or damaged?")


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".parquet"])
def test_files_of_another_kind(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"bad{suffix}"
    path.write_text("<html>404</html>")
    refused(path, str(path), f"not a {suffix} file", "suffix")


def test_damaged_bytes_inside(tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    write_whole(path)
    data = bytearray(path.read_bytes())
    data[200] ^= 0xFF
    path.write_bytes(data)
    refused(path, str(path), "truncated or damaged?", "BadZipFile")


def test_a_header_that_asks_for_too_much_memory(tmp_path: Path) -> None:
    path = tmp_path / "labels.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f8", "fortran_order": False, "shape": (2**55,)}
        )
    np.save(tmp_path / "x.npy", X)
    refused(tmp_path / "x.npy", str(path), "damaged", labels=path)


class Bomb:
    """Writes a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_pickles_are_never_loaded(tmp_path: Path, npz: Place) -> None:
    went_off = tmp_path / "went_off"
    bombs = np.array([Bomb(went_off)] * N, dtype=object)
    words = ("pickled Python objects", "never loaded", "astype")
    np.save(tmp_path / "a.npy", bombs, allow_pickle=True)
    refused(tmp_path / "a.npy", "a.npy", *words)
    for protocol in range(2, 6):
        (tmp_path / "b.npy").write_bytes(pickle.dumps(bombs, protocol))
        refused(tmp_path / "b.npy", "b.npy", *words)
    refused(npz("c.npz", features=bombs), "c.npz: the array 'features'", *words)
    refused(npz("d.npz", labels=bombs), "d.npz: the array 'labels'", *words)
    refused(npz("e.npz", class_names=bombs[:3]), "e.npz: the array 'class_names'", *words)
    np.save(tmp_path / "x.npy", X)
    refused(tmp_path / "x.npy", "a.npy", *words, labels=tmp_path / "a.npy")
    assert not went_off.exists()
    pickle.loads(pickle.dumps(Bomb(went_off)))
    assert went_off.exists()  # the bomb was live


def test_permission_denied(npz: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    path = npz()

    def deny(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", deny)
    refused(path, str(path), "no permission to read it")
    monkeypatch.setattr(Path, "iterdir", deny)
    refused(path.parent, str(path.parent), "Permission denied")


def test_folders_without_a_source(tmp_path: Path, npz: Place) -> None:
    refused(tmp_path, str(tmp_path), "nor train.* and test.*", "Parquet")
    npz("mine.npz")
    refused(tmp_path, "nor train.* and test.*")
    npz("test.npz")
    refused(tmp_path, "no train part", "give both")
    assert len(load_source(tmp_path)) == N
    with pytest.raises(InputError, match="no train part; it has test"):
        load_source(tmp_path, "train")
    (tmp_path / "train.npz").mkdir()
    refused(tmp_path, "no train part")
    refused(tmp_path / "train.npz", "nor train.* and test.*")


def test_folders_that_are_ambiguous(tmp_path: Path, npz: Place, parquet: Place) -> None:
    npz("train.npz")
    npz("test.npz")
    refused(tmp_path, "--labels goes with one file", "train_labels", labels=tmp_path / "l.npy")
    parquet("train.parquet")
    refused(tmp_path, "'train.npz', 'train.parquet'", "each hold the same part")


def test_a_missing_shard(tmp_path: Path, parquet: Place) -> None:
    parquet("train-00000-of-00003.parquet")
    parquet("train-00002-of-00003.parquet")
    refused(tmp_path, "of the 3 shards of 'train', number 00001 is missing")


def test_shards_that_differ(tmp_path: Path, parquet: Place) -> None:
    parquet("train-00000-of-00002.parquet")
    parquet("train-00001-of-00002.parquet", embedding=X[:, :3].tolist())
    refused(tmp_path, "train-00001-of-00002.parquet", "3", "4", "all shards and rows must be alike")


# ---------------------------------------------------------------------------------------- features


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_named_as_in_the_file(
    value: float, npz: Place, parquet: Place
) -> None:
    x = X.copy()
    x[[3, 7], [0, 2]] = value
    for path in (npz(features=x), parquet(embedding=x.tolist())):
        refused(path, str(path), "NaN or infinite", "rows 3, 7 (counted from 0)")


def test_zero_vectors(npz: Place) -> None:
    x = np.abs(X * 50).astype(np.uint8) + 1
    x[[2, 9]] = 0
    path = npz(features=x)
    refused(path, str(path), "zero vectors", "rows 2, 9", "--zero-vectors drop or keep")
    kept = load(path, zero_vectors="keep")
    assert len(kept.train) + len(kept.test) == N
    assert "Zero vectors kept" in kept.notes[0]
    dropped = load(path, zero_vectors="drop")
    ids = np.concatenate([dropped.train.ids, dropped.test.ids])
    assert sorted(ids) == [i for i in range(N) if i not in (2, 9)]
    assert np.array_equal(dropped.test.x, x[dropped.test.ids])
    assert "Zero vectors left out: 2" in dropped.notes[0]
    assert "rows 2, 9" in dropped.notes[0]
    refused(npz(features=x * 0), "every row is a zero vector", zero_vectors="drop")
    refused(npz(features=X * 1e-9), "norm below 1e-06")
    refused(path, "error, keep, drop", zero_vectors="maybe")


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (X[:, 0], "matrix (rows, dimensions), not of shape (12,)"),
        (X.reshape(N, 2, 2), "not of shape (12, 2, 2)"),
        (np.float32(3), "not of shape ()"),
        (X[:0], "no data"),
        (X[:, :0], "no data"),
        (X.astype(str), "real numbers, not <U"),
        (X.astype(complex), "real numbers, not complex128"),
        (np.zeros((N, D), "datetime64[s]"), "real numbers"),
    ],
)
def test_features_of_other_shapes_and_types(features: Any, words: str, npz: Place) -> None:
    path = npz(features=features, labels=Y[: np.shape(features)[0] if np.ndim(features) else N])
    refused(path, str(path), words)


def test_huge_but_finite_features_are_no_error(npz: Place) -> None:
    x = X.astype(np.float64) * 1e200
    assert np.array_equal(load_source(npz(features=x), "all").x, x)


def test_train_and_test_of_different_width(tmp_path: Path, npz: Place) -> None:
    npz("train.npz")
    npz("test.npz", features=X[:, :3])
    refused(tmp_path, "train has 4 dimensions and test 3")


def test_parquet_features(parquet: Place) -> None:
    ragged = X.tolist()
    ragged[5] = ragged[5][:2]
    refused(parquet(embedding=ragged), "has 2 values in row 5", "4 before it")
    holes: list[Any] = X.tolist()
    holes[6] = None
    refused(parquet(embedding=holes), "missing values in embedding, row 6")
    holes[6] = [1.0, None, 2.0, 3.0]
    refused(parquet(embedding=holes), "missing values in embedding, row 6")
    refused(parquet(embedding=X.astype(str).tolist()), "string", "real numbers")
    refused(parquet(embedding=X[:, 0]), "'embedding' is float", "list of numbers")
    refused(parquet(embedding=[{"bytes": b""}] * N), "struct", "list of numbers")
    refused(parquet(features=X.tolist()), "'features', 'embedding' could each be")
    refused(parquet(embedding=None, img=["x"] * N), "no embedding column", "'img'")
    refused(parquet(embedding=None, f0=Y, f2=Y), "f0, f1, … without a gap", "'f2'")
    refused(parquet(embedding=None, f0=["a"] * N), "f0 holds string")
    refused(parquet(embedding=None, f0=[None, *X[1:, 0].tolist()]), "missing values in f0, row 0")
    refused(parquet(label=Y[:0], embedding=pa.array([], pa.list_(pa.float32()))), "no data")


def test_rows_are_numbered_through_batches(parquet: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metriscope.data.parquet._ROWS", 5)
    holes: list[Any] = X.tolist()
    holes[11] = None
    refused(parquet(embedding=holes), "row 11")
    refused(parquet(label=[*range(8), None, 1, None, 1]), "no label in rows 8, 10")
    refused(parquet(label=[*map(float, range(8)), 0.5, 1.0, 1.0, 1.0]), "label 0.5 in row 8")


def test_rows_are_numbered_through_shards(tmp_path: Path, parquet: Place) -> None:
    whole = pa.array(Y, pa.int32())
    parquet("train-00000-of-00002.parquet", label=whole)
    parquet("train-00001-of-00002.parquet", label=pa.array([1, None, *Y[2:]], pa.int64()))
    refused(tmp_path, f"{tmp_path}: no label in row 13")


# ------------------------------------------------------------------------------------------ labels


def test_labels_of_another_length(tmp_path: Path, npz: Place) -> None:
    refused(npz(labels=Y[:-1]), "12 rows but 11 labels", "exactly one label")
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "y.txt").write_text("a\nb\n")
    refused(tmp_path / "x.npy", "x.npy: 12 rows but 2 labels", labels=tmp_path / "y.txt")
    (tmp_path / "y.csv").write_text("\ufeff", encoding="utf-8")
    refused(tmp_path / "x.npy", "12 rows but 0 labels", labels=tmp_path / "y.csv")


def test_no_labels(tmp_path: Path, parquet: Place) -> None:
    np.savez(tmp_path / "a.npz", features=X, target=Y)
    refused(tmp_path / "a.npz", "no labels", "'features', 'target'", "--labels FILE")
    np.savez(tmp_path / "b.npz", data=X, labels=Y)
    refused(tmp_path / "b.npz", "no features", "'data', 'labels'")
    np.savez(tmp_path / "c.npz", x=X, X=X, labels=Y)
    refused(tmp_path / "c.npz", "'x', 'X' could each be the features")
    np.save(tmp_path / "d.npy", X)
    refused(tmp_path / "d.npy", "d.npy: no labels", "--labels FILE")
    save_file({"features": X}, tmp_path / "e.safetensors")
    refused(tmp_path / "e.safetensors", "no labels", "'features'")
    refused(parquet(label=None), "no labels", "'embedding'")


def test_labels_in_two_places(tmp_path: Path, npz: Place) -> None:
    np.save(tmp_path / "y.npy", Y)
    refused(npz(), "has labels of its own", "y.npy", "leave out one", labels=tmp_path / "y.npy")
    refused("digits", "brings its own labels", labels=tmp_path / "y.npy")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (Y + 0.5, "label 0.5 in row 0 (counted from 0)"),
        (np.where(np.arange(N) == 4, 2.0**53 + 2, Y), "too large to be exact"),
        (np.where(np.arange(N) == 4, np.nan, Y), "no label in row 4"),
        (np.where(np.arange(N) == 4, np.inf, Y), "label inf in row 4"),
        (np.eye(3)[Y], "labels have shape (12, 3)"),
        (Y.astype(complex), "complex128; they must be integers or text"),
        (Y.astype("datetime64[s]"), "datetime64[s]; they must be integers or text"),
    ],
)
def test_labels_of_other_kinds(labels: Any, words: str, npz: Place) -> None:
    path = npz(labels=labels)
    refused(path, str(path), words)


def test_missing_and_strange_labels_in_parquet(parquet: Place) -> None:
    text = ["a", None, "b", *"abcabcabc"]
    refused(parquet(label=text), "no label in row 1", "label these rows or remove them")
    refused(parquet(label=pa.array(text).dictionary_encode()), "no label in row 1")
    refused(parquet(label=[1, None, *range(10)]), "no label in row 1")
    refused(parquet(label=[1.0, float("nan"), *map(float, range(10))]), "no label in row 1")
    refused(parquet(label=pa.nulls(N)), "no label in rows 0, 1, 2, 3, 4 and 7 more")
    refused(parquet(label=pa.array(Y, pa.timestamp("s"))), "timestamp", "integers or text")
    refused(parquet(labels=Y), "'labels', 'label' could each be the labels")


def test_text_files_of_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)

    def with_labels(name: str, data: bytes, *words: str) -> None:
        (tmp_path / name).write_bytes(data)
        refused(tmp_path / "x.npy", name, *words, labels=tmp_path / name)

    with_labels("a.txt", b"a\n\nb\n  \n" + b"c\n" * 8, "no label in rows 1, 3")
    with_labels("b.txt", b"\xff\xfe\n" * N, "not UTF-8")
    with_labels("c.txt", b"", "empty (0 bytes)")
    with_labels("d.csv", b"file,class\na,b\n", "2 columns", "'label'")
    with_labels("e.csv", b"label\na\nb,c\n", "in row 1", "quotes")
    with_labels("f.csv", b'"a\n', "cannot be read as .csv")


def test_class_names(npz: Place) -> None:
    refused(npz(class_names=["a", "b"]), "label '2' in row 2", "none of the 2 class_names")
    refused(npz(labels=Y - 1, class_names=["a", "b"]), "label '-1' in row 0")
    refused(npz(class_names=["a", "b", "a"]), "class_names has 'a' twice")
    refused(npz(class_names=[["a", "b", "c"]]), "class_names has shape (1, 3)")
    refused(npz(class_names=np.ones(3)), "class_names must be text, not float64")
    strange = npz(labels=np.array(["\x1b[31m\nx" * 50, "b", "c"])[Y], class_names=["b", "c"])
    assert "\x1b" not in refused(strange, "\\x1b[31m\\nx", "…", "in row 0")


def test_ids_and_split_columns(npz: Place) -> None:
    refused(npz(ids=np.arange(3)), "12 rows but ids of shape (3,)")
    refused(npz(split=["train"] * 3), "12 rows but split of shape (3,)")
    refused(npz(split=np.ones(N)), "split must be text, not float64")
    refused(npz(split=["fold1", "fold2"] * 6), "'fold1', 'fold2'", "'train' and 'test'")
    refused(npz(split=["train"] * N), "no test part")
