"""Folders that ``datasets`` saved: pictures or embeddings, with the splits people have."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

pytest.importorskip("datasets", reason="the package datasets is absent")

from datasets import (
    ClassLabel,
    Dataset,
    DatasetDict,
    Features,
    Image,
    List,
    Value,
    disable_progress_bars,
)

from metriscope.data import load
from metriscope.data.decoding import decode
from metriscope.data.digests import Digests
from metriscope.data.on_disk import HubRows, read, recognises
from metriscope.data.pictures import Pictures
from metriscope.data.table import Table
from metriscope.types import InputError

disable_progress_bars()
CATS = ClassLabel(names=["cat", "dog"])


def picture(shade: int) -> dict[str, Any]:
    file = io.BytesIO()
    Pillow.new("L", (2, 2), shade).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def pictures(shades: Sequence[int], labels: Sequence[int] | None = None, **more: Any) -> Dataset:
    held = {"img": [picture(s) for s in shades], "label": labels or [s % 2 for s in shades], **more}
    kinds = {name: Value("string") for name in more}
    return Dataset.from_dict(held, features=Features({"img": Image(), "label": CATS, **kinds}))


def vectors(x: np.ndarray, kind: Any = None, **more: Any) -> Dataset:
    held = {"embedding": x.tolist(), "label": (np.arange(len(x)) % 2).tolist(), **more}
    kinds = {name: Image() for name in more}
    kind = kind or List(Value("float32"))
    return Dataset.from_dict(held, features=Features({"embedding": kind, "label": CATS, **kinds}))


def save(folder: Path, **splits: Dataset) -> Path:
    DatasetDict(splits).save_to_disk(folder)
    return folder


def shades(part: Any, start: int = 0, stop: int | None = None) -> list[int]:
    raws = part.shelf.read(start, len(part) if stop is None else stop)
    return [np.asarray(decode(raw))[0, 0, 0] for raw in raws]


def labels(part: Any) -> list[Any]:
    return [part.labels.values[code] for code in part.labels.codes]


def read_quietly(folder: Path) -> dict[str, Any]:
    notes: list[str] = []
    parts: dict[str, Any] = dict(read(folder, notes))
    assert notes == []
    return parts


def test_pictures_of_a_dict(tmp_path: Path) -> None:
    values = list(range(150))
    ids = [f"p{i}" for i in values]
    save(tmp_path / "d", train=pictures(values, id=ids), test=pictures([7, 8, 9]))
    assert recognises(tmp_path / "d")
    assert recognises(tmp_path / "d/train")
    assert not recognises(tmp_path)
    parts = read_quietly(tmp_path / "d")
    assert list(parts) == ["train", "test"]
    train = parts["train"]
    assert isinstance(train, Pictures)
    assert train.class_names == ("cat", "dog")
    assert labels(train) == [v % 2 for v in values]
    assert train.ids.tolist() == ids
    assert train.origin == str(tmp_path / "d/train")
    assert shades(train) == values
    for start, stop in ((0, 1), (63, 65), (10, 149), (149, 400), (5, 5)):
        assert shades(train, start, stop) == values[start:stop]
    assert shades(parts["test"]) == [7, 8, 9]


def test_one_dataset_of_several_files(tmp_path: Path) -> None:
    pictures(range(10)).save_to_disk(tmp_path / "d", num_shards=3)
    assert len(list((tmp_path / "d").glob("*.arrow"))) == 3
    parts = read_quietly(tmp_path / "d")
    assert list(parts) == ["all"]
    assert shades(parts["all"]) == list(range(10))
    assert len(parts["all"].shelf.files) == 3


def test_identity_is_of_the_content(tmp_path: Path) -> None:
    digest = Digests(tmp_path / "cache")
    for name, values in (("a", [1, 2]), ("b", [1, 2]), ("c", [1, 4])):
        pictures(values).save_to_disk(tmp_path / name)
    shelves = [read_quietly(tmp_path / name)["all"].shelf for name in "abc"]
    a, b, c = (shelf.identity(digest) for shelf in shelves)
    assert a == b != c
    assert (
        HubRows(
            shelves[0].dataset.rename_column("img", "other"), "other", shelves[0].files
        ).identity(digest)
        != a
    )


def test_pictures_by_path_only_beside_the_files(tmp_path: Path) -> None:
    for name in ("d/in.png", "out.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(picture(5)["bytes"])
    cells = [{"bytes": None, "path": str(tmp_path / name)} for name in ("d/in.png", "out.png")]
    features = Features({"img": Image(decode=False), "label": CATS})
    dataset = Dataset.from_dict({"img": cells, "label": [0, 1]}, features=features)
    shelf = HubRows(dataset, "img", [tmp_path / "d/data.arrow"])
    assert list(shelf.read(0, 2)) == [tmp_path / "d/in.png", b""]


@pytest.mark.parametrize("width", [-1, 3])
def test_embeddings(tmp_path: Path, width: int) -> None:
    x = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    kind = List(Value("float32"), length=width)
    save(tmp_path / "d", train=vectors(x, kind), test=vectors(x[:10], kind))
    parts = read_quietly(tmp_path / "d")
    assert isinstance(parts["train"], Table)
    assert np.array_equal(parts["train"].x, x)
    assert np.array_equal(parts["test"].x, x[:10])
    assert labels(parts["train"]) == [0, 1] * 20
    assert parts["train"].class_names == ("cat", "dog")
    data = load(tmp_path / "d")
    assert (data.split, data.train.class_names, len(data.test)) == ("given", ("cat", "dog"), 10)


def test_embeddings_beside_pictures(tmp_path: Path) -> None:
    vectors(np.eye(4), photo=[picture(1)] * 4).save_to_disk(tmp_path / "d")
    notes: list[str] = []
    assert np.array_equal(read(tmp_path / "d", notes)["all"].x, np.eye(4))  # type: ignore[union-attr]
    assert notes == [f"{tmp_path / 'd'} has embeddings, so its pictures ('photo') are not used."]


def test_which_split_is_which_part(tmp_path: Path) -> None:
    one = pictures([1, 2])
    notes: list[str] = []
    save(tmp_path / "a", train=one, validation=pictures([3, 4]), extra=one)
    parts = read(tmp_path / "a", notes)
    assert {part: shades(held) for part, held in parts.items()} == {"train": [1, 2], "test": [3, 4]}
    assert notes == [
        "There is no split 'test', so 'validation' serves as test.",
        "Splits left aside: 'extra'.",
    ]
    notes.clear()
    save(tmp_path / "b", train=one, validation=pictures([3, 4]), test=pictures([5, 6]))
    assert shades(read(tmp_path / "b", notes)["test"]) == [5, 6]
    assert notes == ["Splits left aside: 'validation'."]
    save(tmp_path / "c", whatever=one)
    assert list(read_quietly(tmp_path / "c")) == ["all"]
    save(tmp_path / "d", train=one)
    assert list(read_quietly(tmp_path / "d")) == ["train"]


def test_what_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(folder: Path, *words: str) -> None:
        with pytest.raises(InputError) as caught:
            read(folder, [])
        message = str(caught.value)
        assert all(word in message for word in words), message
        assert message.count("\n") <= 1

    one = pictures([1, 2])
    refused(save(tmp_path / "a", fold1=one, fold2=one), "'fold1', 'fold2'", "'train' and 'test'")
    refused(save(tmp_path / "b", train=one.remove_columns("label")), "no labels (it holds 'img')")
    refused(save(tmp_path / "c", train=one.remove_columns("img")), "neither", "(it holds 'label')")
    hidden = pictures([1, 2, 3], [-1, -1, -1])
    refused(save(tmp_path / "d", train=one, test=hidden), "d/test", "every label is -1")
    (arrow,) = save(tmp_path / "e", train=one).glob("train/*.arrow")
    data = arrow.read_bytes()
    for broken in (data[: len(data) // 2], b"", b"nonsense" * 20):
        arrow.write_bytes(broken)
        refused(tmp_path / "e", "incomplete or damaged", "save_to_disk")
    arrow.unlink()
    refused(tmp_path / "e", "incomplete or damaged")
    (save(tmp_path / "f", train=one) / "dataset_dict.json").write_text("{")
    refused(tmp_path / "f", "incomplete or damaged")
    monkeypatch.setitem(sys.modules, "datasets", None)
    refused(tmp_path / "a", "pip install 'metriscope[images]'")


def test_pictures_beside_the_files_are_part_of_their_identity(tmp_path: Path) -> None:
    """A dataset may hold paths instead of bytes; another picture there is another dataset."""
    names = [str(tmp_path / f"{i}.png") for i in range(3)]
    for i, name in enumerate(names):
        Pillow.new("L", (4, 4), i).save(name)
    (tmp_path / "rows.arrow").write_bytes(b"the rows")
    cells = [{"bytes": None, "path": name} for name in names]
    rows = Dataset.from_dict({"img": cells}, features=Features({"img": Image()}))
    shelf = HubRows(rows, "img", [tmp_path / "rows.arrow"])
    assert list(shelf.read(0, 3)) == [Path(name) for name in names]
    first = shelf.identity(Digests(tmp_path / "cache"))
    assert shelf.identity(Digests(tmp_path / "cache")) == first
    Pillow.new("L", (4, 4), 99).save(names[1])
    assert shelf.identity(Digests(tmp_path / "cache")) != first
