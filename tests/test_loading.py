"""Pictures become tables: each row keeps its own label, id, split and features."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from metriscope import compare
from metriscope.data import Extraction, embed, load, load_source, loading, memory
from metriscope.data.pictures import Pictures
from metriscope.data.sources import Found
from metriscope.data.table import Labels
from metriscope.types import Dataset, Embeddings, InputError
from tests.fake_backbone import Noise
from tests.helpers import tiny_dataset

CLASSES = ("oak", "elm", "fir", "yew")
N = 40
BROKEN = (0, 7, 8, 21, 39)  # at both ends, in the middle, two together
GOOD = [row for row in range(N) if row not in BROKEN]
ROWS = range(N)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("METRISCOPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def class_of(row: int) -> str:
    """Neither constant, nor periodic in any number of broken pictures here."""
    return CLASSES[(row * row // 3 + row) % 4]


def id_of(row: int) -> str:
    return f"p{row}"


def png(row: int) -> bytes:
    """Grey all over: row + 1, so that no picture is black."""
    data = io.BytesIO()
    Image.new("L", (8, 8), row + 1).save(data, "PNG")
    return data.getvalue()


def parquet(
    path: Path, rows: Sequence[int] = ROWS, names: Sequence[str] = (), **columns: Any
) -> Path:
    """Those pictures, the ones of ``BROKEN`` torn; ``columns`` over the usual ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    given = {
        "image": [b"torn" if row in BROKEN else png(row) for row in rows],
        "label": [class_of(row) for row in rows],
        "id": [id_of(row) for row in rows],
    }
    table = pa.table({**given, **columns})
    if names:  # as the ``datasets`` library says what integer labels mean
        label = {"names": list(names), "_type": "ClassLabel"}
        about = json.dumps({"info": {"features": {"label": label}}})
        table = table.replace_schema_metadata({"huggingface": about})
    pq.write_table(table, path)
    return path


def folders(root: Path, rows: Sequence[int] = ROWS) -> Path:
    """The same, as a file a picture in a folder a class."""
    for row in rows:
        path = root / class_of(row) / f"{id_of(row)}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"torn" if row in BROKEN else png(row))
    return root


def rows_of(fake: Any, x: np.ndarray) -> list[int]:
    """The picture of each row of features, by its grey value."""
    unit = fake.by_hand(np.ones((1, 8, 8, 3), np.uint8))[0]
    greys = x @ unit / (unit @ unit)
    assert np.allclose(x, np.outer(greys, unit), rtol=1e-3, atol=1e-4)  # of a plain picture
    rows = np.rint(greys)
    assert np.allclose(greys, rows, atol=1e-2)
    return [int(row) - 1 for row in rows]


def require_own(fake: Any, part: Embeddings) -> list[int]:
    """The pictures of a part, each of which has its own class and id."""
    rows = rows_of(fake, part.x)
    assert [part.class_names[code] for code in part.y] == [class_of(row) for row in rows]
    assert part.ids.tolist() == [id_of(row) for row in rows]
    return rows


def watched(fake: Any) -> list[int]:
    """Filled with the pictures that the model sees, without the grey one that it is tried on."""
    seen: list[int] = []
    fake.before = lambda x: seen.extend(g - 1 for g in x[:, 0, 0, 0].int().tolist() if g <= N)
    return seen


def split_of(row: int) -> str:
    return ("train", "test", "train", "spare")[row * 5 // 3 % 4]


def of_split(split: str) -> list[int]:
    return [row for row in GOOD if split_of(row) == split]


def test_broken_pictures_shift_nothing(tmp_path: Path, fake: Any) -> None:
    path = parquet(tmp_path / "trees.parquet")
    whole = load_source(path, "all", backbone="fake")
    assert require_own(fake, whole) == GOOD
    data = load(path, backbone="fake")
    train, test = require_own(fake, data.train), require_own(fake, data.test)
    assert sorted(train + test) == GOOD
    assert len(test) >= 2 * len(CLASSES)
    note = next(note for note in data.notes if "cannot be read, left out: 5 of 40" in note)
    for row in BROKEN:
        assert f"'{id_of(row)}': " in note


def test_folders_of_train_and_test_with_broken_pictures_in_both(tmp_path: Path, fake: Any) -> None:
    folders(tmp_path / "both" / "train", range(25))
    folders(tmp_path / "both" / "test", range(25, N))
    data = load(tmp_path / "both", backbone="fake")
    for part, rows in ((data.train, range(25)), (data.test, range(25, N))):
        found = rows_of(fake, part.x)
        assert sorted(found) == [row for row in rows if row in GOOD]
        named = [f"{part.split}/{class_of(row)}/{id_of(row)}.png" for row in found]
        assert part.ids.tolist() == named
        assert [part.class_names[code] for code in part.y] == [class_of(row) for row in found]
    assert sum("cannot be read, left out" in note for note in data.notes) == 2


def test_split_column_with_broken_pictures_in_both_parts(tmp_path: Path, fake: Any) -> None:
    assert {split_of(row) for row in BROKEN} >= {"train", "test"}
    path = parquet(tmp_path / "trees.parquet", split=[split_of(row) for row in ROWS])
    data = load(path, backbone="fake")
    assert data.split == "given"
    assert require_own(fake, data.train) == of_split("train")
    assert require_own(fake, data.test) == of_split("test")
    left = f"Rows left out for their split ('spare'): {len(of_split('spare'))}."
    assert left in data.notes


@pytest.mark.parametrize("name", ["a.parquet", "a.npz"])
@pytest.mark.parametrize("part", ["all", "test"])
def test_embed_of_a_split_column(tmp_path: Path, fake: Any, name: str, part: Any) -> None:
    path = parquet(tmp_path / "trees.parquet", split=[split_of(row) for row in ROWS])
    written = embed(path, tmp_path / name, backbone="fake", part=part)
    expected = ["train", "test", "spare"] if part == "all" else ["test"]
    assert sorted(np.unique(written.split)) == sorted(expected)
    if name == "a.npz":
        with np.load(tmp_path / name) as file:
            x, ids, split = file["features"], file["ids"].tolist(), file["split"].tolist()
            labels = file["class_names"][file["labels"]].tolist()
    else:
        table = pq.read_table(tmp_path / name)
        x = np.array(table["embedding"].to_pylist(), np.float32)
        ids, split, labels = (table[k].to_pylist() for k in ("id", "split", "label"))
    rows = rows_of(fake, x)
    assert sorted(rows) == [row for row in GOOD if split_of(row) in expected]
    assert ids == [id_of(row) for row in rows]
    assert labels == [class_of(row) for row in rows]
    assert split == [split_of(row) for row in rows]


def test_embed_of_the_test_folder_does_no_work_on_train(tmp_path: Path, fake: Any) -> None:
    folders(tmp_path / "both" / "train", range(25))
    folders(tmp_path / "both" / "test", range(25, N))
    seen = watched(fake)
    written = embed(tmp_path / "both", tmp_path / "a.npz", backbone="fake", part="test")
    expected = [row for row in range(25, N) if row in GOOD]
    assert sorted(seen) == expected
    assert set(written.split) == {"test"}
    with np.load(tmp_path / "a.npz") as file:
        assert sorted(rows_of(fake, file["features"])) == expected
    embed(tmp_path / "both", tmp_path / "b.npz", backbone="fake")
    assert sorted(seen) == GOOD  # and what there was is not done again


def test_a_part_alone_has_the_shape_and_the_codes_of_all(tmp_path: Path) -> None:
    for part, size, rows in (("train", 8, range(1, 6)), ("test", 12, range(9, 14))):
        for row in rows:
            path = tmp_path / "both" / part / class_of(row) / f"{row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = Image.new("L", (size, size), 0)
            image.putpixel((0, 0), 200)
            image.save(path)
    both = embed(tmp_path / "both", tmp_path / "a.npz", backbone="pixels")
    test = embed(tmp_path / "both", tmp_path / "b.npz", backbone="pixels", part="test")
    assert test.dim == both.dim == 32 * 32  # as sizes differ
    assert test.class_names == both.class_names
    assert np.array_equal(test.y, both.y[both.split == "test"])


def test_class_disjoint_pools_both_parts_in_the_order_of_classes(tmp_path: Path, fake: Any) -> None:
    rows = [row for row in range(32) if row not in BROKEN]
    number = {row: (2, 10, 1, 11)[row % 4] for row in rows}  # as text, 10 and 11 come before 2
    for part, some in (("train", rows[:17]), ("test", rows[17:])):
        ids = [str(i) for i in range(len(some))]  # the same in both
        labels = [number[row] for row in some]
        parquet(tmp_path / "both" / f"{part}.parquet", some, id=ids, label=labels)
    data = load(tmp_path / "both", backbone="fake", protocol="disjoint")
    assert data.split == "class-disjoint, classes 1-2 train, 3-4 test"
    assert data.train.class_names == ("1", "2", "10", "11")
    for part, classes in ((data.train, (1, 2)), (data.test, (10, 11))):
        found = rows_of(fake, part.x)
        assert found == [row for row in rows if number[row] in classes]
        assert [int(part.class_names[code]) for code in part.y] == [number[row] for row in found]
        places = [rows.index(row) for row in found]
        named = [f"train:{at}" if at < 17 else f"test:{at - 17}" for at in places]
        assert part.ids.tolist() == named
    assert len(data.train) + len(data.test) == len(rows)


@pytest.mark.parametrize("both", [False, True])
def test_too_few_classes_for_a_disjoint_split(tmp_path: Path, fake: Any, both: bool) -> None:
    three = [row for row in ROWS if class_of(row) != "yew"]
    if both:
        folders(tmp_path / "trees" / "train", three[::2])
        folders(tmp_path / "trees" / "test", three[1::2])
    else:
        folders(tmp_path / "trees", three)
    for ask in (load, load_source):
        with pytest.raises(InputError, match="of 3, 1 would train and 2 test"):
            ask(tmp_path / "trees", backbone="fake", protocol="disjoint")
        assert fake.loads == 0, ask


def test_a_part_that_is_not_there(tmp_path: Path, fake: Any) -> None:
    one = parquet(tmp_path / "one.parquet")
    with pytest.raises(InputError, match="no train part; it has all"):
        embed(one, tmp_path / "a.npz", backbone="fake", part="train")
    known = parquet(tmp_path / "known.parquet", split=["train"] * 39 + ["spare"])
    with pytest.raises(InputError, match="no test part; it has"):
        embed(known, tmp_path / "a.npz", backbone="fake", part="test")
    folders(tmp_path / "half" / "test")
    with pytest.raises(InputError, match="no train part; "):
        embed(tmp_path / "half", tmp_path / "a.npz", backbone="fake", part="train")
    with pytest.raises(InputError, match="no test part; "):
        load(known, backbone="fake")
    for ask in (load, lambda *args, **how: load_source(*args, "train", **how)):
        with pytest.raises(InputError, match="no train part; "):
            ask(tmp_path / "half", backbone="fake")
        assert fake.loads == 0, ask
    assert not (tmp_path / "a.npz").exists()


def test_pictures_too_small_for_the_network(tmp_path: Path) -> None:
    path = parquet(tmp_path / "trees.parquet")
    with pytest.raises(InputError, match=r"cnn:3x4x4.*8x8 or larger"):
        compare(path, backbone="cnn:3x4x4", train_backbone=True, out=tmp_path / "out", jobs=1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "asked",
    [{"backbone": "pixels"}, {"split": "disjoint"}, {"backbone": "cnn", "train_backbone": True}],
)
def test_a_dataset_as_an_object_is_taken_as_it_is(tmp_path: Path, asked: dict[str, Any]) -> None:
    data = tiny_dataset()
    with pytest.raises(InputError, match=r"Dataset"):
        compare(data, losses=["triplet"], seeds=1, epochs=1, jobs=1, out=tmp_path / "out", **asked)
    assert not (tmp_path / "out").exists()


def lost(data: Dataset) -> list[str]:
    return [note for note in data.notes if note.startswith("Classes with no picture")]


def test_a_class_of_broken_pictures_only_is_noted(tmp_path: Path, fake: Any) -> None:
    labels = ["ash" if row in BROKEN else class_of(row) for row in ROWS]
    data = load(parquet(tmp_path / "trees.parquet", label=labels), backbone="fake")
    (note,) = lost(data)
    assert "'ash'" in note
    assert not any(name in note for name in CLASSES)
    said: list[str] = []
    how = Extraction(notify=said.append)
    embed(tmp_path / "trees.parquet", tmp_path / "a.npz", backbone="fake", images=how)
    assert note in said
    assert require_own(fake, data.train)  # the others are as they were
    folders(tmp_path / "whole", GOOD)
    assert not lost(load(tmp_path / "whole", backbone="fake"))


def test_it_is_noted_by_its_name_where_labels_are_numbers(tmp_path: Path, fake: Any) -> None:
    numbers = [4 if row in BROKEN else CLASSES.index(class_of(row)) for row in ROWS]
    path = parquet(tmp_path / "trees.parquet", names=(*CLASSES, "ash"), label=numbers)
    (note,) = lost(load(path, backbone="fake"))
    assert "'ash'" in note


@pytest.mark.parametrize("backbone", ["pixels:1x8x8", "cnn:1x8x8"])
def test_a_black_picture_is_kept(tmp_path: Path, backbone: str) -> None:
    rng = np.random.default_rng(0)
    for row in range(16):
        pixels = np.zeros((8, 8)) if row == 5 else rng.integers(0, 256, (8, 8))
        path = tmp_path / "photos" / "ab"[row % 2] / f"{row:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    data = load(tmp_path / "photos", backbone=backbone)
    ids = np.concatenate([data.train.ids, data.test.ids])
    x = np.concatenate([data.train.x, data.test.x])
    assert len(ids) == 16
    assert not x[ids.tolist().index("b/05.png")].any()
    named = [note for note in data.notes if "b/05.png" in note]
    assert len(named) == (backbone == "pixels:1x8x8")
    assert not any("a/" in note for note in named)


def test_fingerprint_is_of_the_pictures_not_of_the_last_bits(
    tmp_path: Path, fake: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = parquet(tmp_path / "trees.parquet")
    before = load(path, backbone="fake")
    cache.rename(tmp_path / "old")
    monkeypatch.setitem(memory.LARGEST, "cpu", 2)
    fake.after = lambda y: torch.nextafter(y, torch.tensor(torch.inf))  # as another machine may
    after = load(path, backbone="fake")
    assert fake.loads == 2
    assert max(fake.sizes[-10:]) == 2
    assert not np.array_equal(before.train.x, after.train.x)
    assert np.allclose(before.train.x, after.train.x, atol=1e-5)
    assert before.fingerprint == after.fingerprint


def test_fingerprint_of_other_data_is_another(fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    split = np.array(["train", "test"])[np.arange(N) % 3 // 2]
    y = np.arange(N) % 4
    usual = Pictures(Noise(N), Labels.of(y), "noise", CLASSES, np.arange(N), split)

    def fingerprint(how: str = "fake", protocol: Any = "closed", **changes: Any) -> str:
        found = Found("noise", "noise", {"all": replace(usual, **changes)})
        monkeypatch.setattr(loading, "find", lambda source, labels: found)
        return load("noise", backbone=how, protocol=protocol).fingerprint

    found = {
        "usual": fingerprint(),
        "pictures": fingerprint(shelf=Noise(N, name="others")),
        "labels": fingerprint(labels=Labels.of(np.roll(y, 1))),
        "class names": fingerprint(class_names=CLASSES[::-1]),
        "ids": fingerprint(ids=np.arange(N) + 1),
        "split": fingerprint(split=np.roll(split, 1)),
        "protocol": fingerprint(protocol="disjoint"),
        "backbone": fingerprint("pixels"),
    }
    assert fingerprint() == found["usual"]
    fake.recipe = {**fake.recipe, "weights": "others"}
    found["weights"] = fingerprint()
    assert len(set(found.values())) == len(found), found


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.parametrize("name", ["a.parquet", "a.npz", "a.safetensors", "folder"])
def test_names_that_are_not_utf8(tmp_path: Path, fake: Any, name: str) -> None:
    odd = os.fsdecode(b"caf\xe9")
    folders(tmp_path / "both", range(9, 21))
    (tmp_path / "both" / odd).mkdir()
    for row in (1, 2, 3):
        (tmp_path / "both" / odd / f"{odd}{row}.png").write_bytes(png(row))
    (tmp_path / "both" / odd / f"{odd}4.png").write_bytes(b"torn")
    data = load(tmp_path / "both", backbone="fake")
    shown = data.train.class_names[0]  # among oak, elm, fir, yew
    shown.encode()  # is text now
    assert shown.startswith("caf")
    assert len(data.train.class_names) == 1 + len(CLASSES)
    assert any("4.png" in note and "caf" in note for note in data.notes)
    said: list[str] = []
    how = Extraction(notify=said.append)
    written = embed(tmp_path / "both", tmp_path / name, backbone="fake", images=how)
    "\n".join([*said, *data.notes]).encode()
    assert written.class_names == data.train.class_names
    back = load_source(tmp_path / name, "all")
    rows = rows_of(fake, back.x)
    assert sorted(rows) == [1, 2, 3, *range(9, 21)]
    expected = [shown if row < 4 else class_of(row) for row in rows]
    assert [back.class_names[code] for code in back.y] == expected
    if name != "a.safetensors":  # which has no ids
        ids = [
            f"{shown}/{shown}{row}.png" if row < 4 else f"{class_of(row)}/{id_of(row)}.png"
            for row in rows
        ]
        assert back.ids.tolist() == ids
