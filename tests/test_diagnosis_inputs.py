"""What ``metriscope.diagnose`` refuses, in one or two lines; labels and rows that meet by id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import save_file

import metriscope
from metriscope.data import load_source
from metriscope.types import Embeddings, InputError
from tests import test_bad_data
from tests.helpers import AS_LOADED
from tests.test_diagnosis import NAMES, rows

X, Y = rows(n=30)
IDS = np.array([f"img{i}" for i in range(30)])


def refused(*words: str, **options: Any) -> str:
    """The message; it has every one of ``words`` and no more than two lines."""
    source = options.pop("source", X)
    with pytest.raises(InputError) as caught:
        metriscope.diagnose(source, options.pop("labels", None), **options)
    message = str(caught.value)
    for word in words:
        assert word in message, message
    assert message.count("\n") <= 1, message
    return message


def changed(x: np.ndarray, row: int, value: float) -> np.ndarray:
    out = x.astype(float)
    out[row] = value
    return out


# --------------------------------------------------------------------------------------- the rows


def test_rows_that_cannot_be_used() -> None:
    refused("NaN or infinite values in row 7 ", source=changed(X, 7, np.nan), labels=Y)
    refused("NaN or infinite values in row 7 ", source=changed(X, 7, np.inf), labels=Y, sample=9)
    refused("zero vectors", "row 7 ", "zero_vectors", source=changed(X, 7, 0), labels=Y)
    refused("every row is a zero vector", source=0 * X, labels=Y, zero_vectors="drop")
    refused("memory: 30 rows but 29 labels", labels=Y[:29])
    refused("features must be a matrix", source=X[0], labels=Y)
    refused("features must be a matrix", source=X[None], labels=Y)
    refused("no data", source=X[:0], labels=Y[:0])
    refused("real numbers", source=X.astype(complex), labels=Y)
    refused("x and y must be arrays", source=[[1.0], [1.0, 2.0]], labels=[0, 1])
    refused("30 rows but ids of shape (29,)", labels=Y, ids=IDS[:29])
    refused("labels have shape (30, 2)", labels=np.eye(2)[Y % 2])
    refused("no label in row 4 ", labels=np.where(np.arange(30) == 4, np.nan, 1.0))
    refused("no label in row 4 ", labels=[None if i == 4 else "a" for i in range(30)])


@pytest.mark.parametrize("labels", [None, Y])
def test_what_is_no_array(labels: Any) -> None:
    from scipy.sparse import csr_matrix

    refused("x is of type dict, not an array", source={}, labels=labels)
    refused("x is None, not an array", source=None, labels=labels)
    refused("x is of type int, not an array", source=3, labels=labels)
    refused("x is a sparse matrix; give x.toarray()", source=csr_matrix(X), labels=labels)
    refused("x is a sparse matrix", source=(csr_matrix(X), Y))


def test_arrays_need_labels() -> None:
    assert "vectors without labels" in refused("memory")
    refused("vectors without labels", source=torch.from_numpy(X))
    refused("give (x, y) or (x, y, ids), not 1", source=(X,))
    refused("bring their own labels", source=(X, Y), labels=Y)
    refused("bring their own labels", source=Embeddings(X, Y, tuple(NAMES)), labels=Y)


def test_options_that_are_none(tmp_path: Path) -> None:
    refused("only is 'geometri'", "geometry, retrieval, findings", labels=Y, only="geometri")
    refused("only is empty", labels=Y, only=())
    refused("split is 'dev'", "train, test, all", labels=Y, split="dev")
    refused("zero_vectors is 'no'", labels=Y, zero_vectors="no")
    refused("sample is 1; it must be 2 or more", labels=Y, sample=1)
    refused("queries is 0", labels=Y, queries=0)
    refused("resamples is 0", labels=Y, resamples=0)
    refused("confidence is 95", "between 0 and 1", labels=Y, confidence=95)
    refused("seed is -1", labels=Y, seed=-1)
    refused("unknown device 'gpu'", labels=Y, device="gpu")
    refused("memory is not divided", labels=Y, split="train")
    refused("gallery_labels", "goes with a gallery", labels=Y, gallery_labels=Y)
    np.savez(tmp_path / "a.npz", features=X, labels=Y, split=["train"] * 30)
    refused("no test part; it has train", source=tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", features=X, labels=Y)
    refused("has labels of its own, and labels= was given too", source=tmp_path / "b.npz", labels=Y)
    refused("ids= goes with arrays", source=tmp_path / "b.npz", ids=IDS)
    refused("brings its own labels", source="digits", labels=Y)


def test_pictures_are_sent_to_embed(tmp_path: Path) -> None:
    image = {"image": [{"bytes": b"", "path": None}] * 3, "label": [0, 1, 2]}
    pq.write_table(pa.table(image), tmp_path / "p.parquet")
    refused("holds pictures, not vectors", "metriscope embed", source=tmp_path / "p.parquet")


def test_one_class_is_examined() -> None:
    found = metriscope.diagnose(X, np.zeros(30, int))
    assert found.scores["recall@1"] == 1
    assert found.about["classes"] == 1
    assert [note[:14] for note in found.about["notes"]] == ["One class only"]
    one = metriscope.diagnose(X[:1], Y[:1])
    assert [note[:12] for note in one.about["notes"]] == ["One row only"]
    assert not metriscope.diagnose(X, Y).about["notes"]
    assert not metriscope.diagnose(X, np.zeros(30, int), gallery=(X, Y)).about["notes"]


@pytest.mark.parametrize("sample", [2, 3, 9, 10, np.int64(12)])
def test_small_samples(sample: int) -> None:
    found = metriscope.diagnose(X, Y, sample=sample, queries=np.int32(5), seed=np.int64(1))
    assert (found.about["sample_rows"], found.about["rows"]) == (sample, 30)
    found.to_json()


# ------------------------------------------------------------------------ galleries, training data


def test_another_dimension_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "g.npz", features=X[:, :5], labels=Y)
    said = refused("8 dimensions", "5", "one model", labels=Y, gallery=tmp_path / "g.npz")
    assert "g.npz" in said
    refused("8 dimensions", "the gallery 5", labels=Y, gallery=(X[:, :5], Y))
    refused("8 dimensions", "the training embeddings 5", labels=Y, train=(X[:, :5], Y))


def test_labels_in_one_of_two_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "with.npz", features=X, labels=Y)
    np.savez(tmp_path / "without.npz", features=X)
    np.save(tmp_path / "without.npy", X)
    pq.write_table(pa.table({"embedding": X.tolist()}), tmp_path / "without.parquet")
    save_file({"features": X}, tmp_path / "without.safetensors")
    for suffix in ("npz", "npy", "parquet", "safetensors"):
        bare, named = tmp_path / f"without.{suffix}", tmp_path / "with.npz"
        refused(
            f"without.{suffix}: no labels of the gallery, but of the embeddings",
            "--gallery-labels",
            source=named,
            gallery=bare,
        )
        refused(f"without.{suffix}: no labels", "--labels", source=bare, gallery=named)
        refused(f"without.{suffix}: no labels of the training embeddings", source=named, train=bare)
    refused("no labels of the gallery, but of the embeddings", labels=Y, gallery=X)


def test_ids_that_name_no_row() -> None:
    many = np.tile(X, (6, 1)), np.tile(Y, 6), np.zeros(180, int)
    words = "the gallery has 180 rows with the id '0'", "give each row its own"
    refused(*words, labels=Y, ids=np.arange(30), gallery=many)
    refused(*words, labels=Y, ids=np.arange(30), gallery=many, sample=170)


def notes(*, ids: Any, gallery_ids: Any, sample: int = 100) -> list[str]:
    given = metriscope.diagnose(
        X, Y, ids=ids, gallery=(X, Y, gallery_ids), only="retrieval", sample=sample
    )
    return list(given.about["notes"])


@pytest.mark.parametrize("sample", [100, 29])
def test_ids_that_leave_out_nothing_or_all(sample: int) -> None:
    other = np.array([f"other{i}" for i in range(30)])
    assert notes(ids=IDS, gallery_ids=IDS, sample=sample) == []
    (said,) = notes(ids=IDS, gallery_ids=other, sample=sample)
    assert said == "No id of memory occurs in the gallery: nothing was left out."
    by_class = np.char.add("c", Y.astype(str))  # all rows of a class have one id
    said = notes(ids=IDS, gallery_ids=np.where(Y == 2, IDS, other), sample=sample)
    assert said == []
    said = notes(ids=by_class, gallery_ids=np.where(np.arange(30) < 25, by_class, "x"))
    few = len({*Y[25:]})
    assert f"30 of {len(X)} rows of memory share their id with another row: 'c0'" in said[0]
    assert "30 of 30 rows of the gallery share their id" in said[1]
    lost = int((~np.isin(Y, Y[25:])).sum())
    assert few < 5
    assert said[2].startswith(f"{lost} of 30 queries have no row of their class in the gallery but")


# ----------------------------------------------------------------------------- labels by their id


def shuffled(folder: Path, name: str, ids: Any, labels: np.ndarray) -> Path:
    """A file of labels with ids, in another order."""
    order = np.random.default_rng(0).permutation(len(labels))
    ids, labels, path = np.asarray(ids)[order], labels[order], folder / name
    if path.suffix == ".npz":
        np.savez(path, labels=labels, ids=ids)
    elif path.suffix == ".csv":
        lines = [f"{i},{label}" for i, label in zip(ids, labels, strict=True)]
        path.write_text("\n".join(["id,label", *lines]) + "\n")
    else:
        pq.write_table(pa.table({"id": ids, "label": labels}), path)
    return path


@pytest.mark.parametrize("numbers", [True, False])
@pytest.mark.parametrize("suffix", [".npz", ".csv", ".parquet"])
def test_labels_are_matched_by_id(suffix: str, numbers: bool, tmp_path: Path) -> None:
    ids: Any = 1000 + np.arange(30) if numbers else IDS
    beside = shuffled(tmp_path, f"l{suffix}", ids, NAMES[Y])
    want = metriscope.diagnose(X, NAMES[Y], only="retrieval")
    np.savez(tmp_path / "a.npz", features=X, ids=ids)
    pq.write_table(pa.table({"embedding": X.tolist(), "id": ids}), tmp_path / "a.parquet")
    for source in ("a.npz", "a.parquet"):
        found = metriscope.diagnose(tmp_path / source, beside, only="retrieval")
        assert found.per_class == want.per_class
        again = load_source(tmp_path / source, "all", labels=beside)
        assert [again.class_names[c] for c in again.y] == NAMES[Y].tolist()
    assert metriscope.diagnose(X, beside, ids=ids, only="retrieval").per_class == want.per_class


def test_labels_of_more_rows_than_there_are(tmp_path: Path) -> None:
    beside = shuffled(tmp_path, "l.csv", IDS, NAMES[Y])
    found = metriscope.diagnose(X[:20], beside, ids=IDS[:20], only="retrieval")
    assert found.per_class == metriscope.diagnose(X[:20], NAMES[Y[:20]], only="retrieval").per_class
    pq.write_table(pa.table({"embedding": X[:20].tolist(), "id": IDS[:20]}), tmp_path / "a.parquet")
    assert metriscope.diagnose(tmp_path / "a.parquet", beside).about["rows"] == 20


def test_ids_that_do_not_match(tmp_path: Path) -> None:
    beside = shuffled(tmp_path, "l.csv", [f"pic{i}" for i in range(25)] + list(IDS[:5]), NAMES[Y])
    words = ("no label for 25 ids", "'img10', 'img11'", "and 20 more", "'pic")
    refused(*words, source=X, labels=beside, ids=IDS)
    np.savez(tmp_path / "a.npz", features=X, ids=IDS)
    pq.write_table(pa.table({"embedding": X.tolist(), "id": IDS}), tmp_path / "a.parquet")
    for source in ("a.npz", "a.parquet"):
        refused(*words, source, "l.csv", source=tmp_path / source, labels=beside)
    twice = shuffled(tmp_path, "t.npz", [*IDS[:29], "img0"], NAMES[Y])
    refused("more than one label for 1 ids", "'img0'", labels=twice, ids=IDS)


def without_ids(folder: Path, x: np.ndarray) -> list[Path]:
    """The same rows in every format, without ids."""
    np.save(folder / "w.npy", x)
    np.savez(folder / "w.npz", features=x)
    save_file({"features": x}, folder / "w.safetensors")
    pq.write_table(pa.table({"embedding": x.tolist()}), folder / "w.parquet")
    return sorted(folder.glob("w.*"))


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".parquet"])
def test_labels_with_ids_for_rows_without(suffix: str, tmp_path: Path) -> None:
    """By position they would be the labels of other rows."""
    named = shuffled(tmp_path, f"l{suffix}", IDS, NAMES[Y])
    numbered = shuffled(tmp_path, f"n{suffix}", np.arange(30), NAMES[Y])
    want = metriscope.diagnose(X, NAMES[Y], only="retrieval").per_class
    words = (f"l{suffix} has ids ('img", "has none to match", "take the ids out")
    for source in (*without_ids(tmp_path, X), X):
        refused(*words, source=source, labels=named)
        assert metriscope.diagnose(source, numbered, only="retrieval").per_class == want
        if isinstance(source, Path):
            again = load_source(source, "all", labels=numbered)
            assert [again.class_names[c] for c in again.y] == NAMES[Y].tolist()
            with pytest.raises(InputError, match="has none to match"):
                load_source(source, "all", labels=named)
    np.savez(tmp_path / "few.npz", features=X[:9])
    refused("9 rows but 30 labels", source=tmp_path / "few.npz", labels=numbered)


def test_a_row_without_an_id(tmp_path: Path) -> None:
    ids = [None if i == 3 else f"a{i}" for i in range(30)]
    pq.write_table(
        pa.table({"embedding": X.tolist(), "id": ids, "label": Y}), tmp_path / "a.parquet"
    )
    refused("no id in row 3 ", source=tmp_path / "a.parquet")


# ------------------------------------------------------------------------- what comparisons refuse

npz, parquet = test_bad_data.npz, test_bad_data.parquet
for _name in AS_LOADED.split():
    globals()[f"test_as_loaded_{_name}"] = getattr(test_bad_data, f"test_{_name}")


@pytest.fixture(autouse=True)
def _refused_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests of ``load`` above are tests of ``diagnose`` here."""

    def geometry(source: Any, **options: Any) -> Any:
        return metriscope.diagnose(source, only="geometry", **options)

    monkeypatch.setattr(test_bad_data, "load", geometry)
