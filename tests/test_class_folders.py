"""Folders as people have them: nested, linked, with clutter, with or without train and test."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from metriscope.data.layouts.class_folders import read, recognises
from metriscope.data.pictures import Pictures
from metriscope.types import InputError


def picture(shade: int = 0) -> bytes:
    file = io.BytesIO()
    Image.new("L", (2, 2), shade).save(file, "PNG")
    return file.getvalue()


def make(root: Path, *names: str) -> Path:
    for i, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(i))
    return root


def labels(part: Pictures) -> list[Any]:
    return [part.labels.values[code] for code in part.labels.codes]


def paths(part: Pictures, root: Path) -> list[str]:
    found = part.shelf.read(0, len(part))
    return [path.relative_to(root).as_posix() for path in found if isinstance(path, Path)]


def read_quietly(root: Path) -> dict[str, Pictures]:
    notes: list[str] = []
    parts = read(root, notes)
    assert notes == []
    return parts


def test_one_folder_a_class(tmp_path: Path) -> None:
    make(tmp_path, "dog/b.png", "cat/2.JPG", "cat/10.jpeg", "cat/deep/er/a.webp", "cat-2/x.tiff")
    assert recognises(tmp_path)
    parts = read_quietly(tmp_path)
    assert list(parts) == ["all"]
    wanted = ["cat-2/x.tiff", "cat/10.jpeg", "cat/2.JPG", "cat/deep/er/a.webp", "dog/b.png"]
    part = parts["all"]
    assert part.ids.tolist() == wanted == paths(part, tmp_path)
    assert labels(part) == ["cat-2", "cat", "cat", "cat", "dog"]
    assert part.class_names is None
    assert part.origin == str(tmp_path)
    assert list(part.shelf.read(1, 3)) == [tmp_path / "cat/10.jpeg", tmp_path / "cat/2.JPG"]
    assert len({part.shelf.identity(lambda path: path.read_bytes().hex()) for _ in range(2)}) == 1


def test_train_and_test(tmp_path: Path) -> None:
    make(tmp_path, "Train/cat/1.png", "Train/dog/2.png", "testing/cat/3.png", "testing/emu/4.png")
    parts = read_quietly(tmp_path)
    assert list(parts) == ["train", "test"]
    assert parts["train"].ids.tolist() == ["Train/cat/1.png", "Train/dog/2.png"]
    assert labels(parts["train"]) == ["cat", "dog"]
    assert labels(parts["test"]) == ["cat", "emu"]
    assert paths(parts["test"], tmp_path) == ["testing/cat/3.png", "testing/emu/4.png"]


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_validation_stands_in_for_test(tmp_path: Path, name: str) -> None:
    make(tmp_path, "train/cat/1.png", "train/dog/2.png", f"{name}/cat/3.png")
    notes: list[str] = []
    assert read(tmp_path, notes)["test"].ids.tolist() == [f"{name}/cat/3.png"]
    assert notes == [f"There is no test folder, so '{name}' serves as test."]
    make(tmp_path, "test/dog/5.png")
    notes.clear()
    parts = read(tmp_path, notes)
    assert parts["test"].ids.tolist() == ["test/dog/5.png"]
    assert notes == [f"The folder '{name}' is left aside: there is a test folder."]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    make(tmp_path, "bus/1.png", "train/2.png", "car/3.png")
    assert labels(read_quietly(tmp_path)["all"]) == ["bus", "car", "train"]
    make(tmp_path, "train/steam/4.png")
    assert labels(read_quietly(tmp_path)["all"]) == ["bus", "car", "train", "train"]


def test_a_folder_that_holds_all_the_others_is_entered(tmp_path: Path) -> None:
    make(tmp_path, "photos/photos/cat/1.png", "photos/photos/dog/1.png", "photos/README.txt")
    notes: list[str] = []
    part = read(tmp_path / "photos", notes)["all"]
    assert labels(part) == ["cat", "dog"]
    assert part.ids.tolist() == ["cat/1.png", "dog/1.png"]
    assert len(notes) == 1
    assert "photos/photos, the only folder of" in notes[0]
    make(tmp_path, "one/cat/1.png", "one/cat/young/1.png")  # a class with pictures of its own
    assert labels(read(tmp_path / "one", [])["all"]) == ["cat", "cat"]


def test_a_test_folder_without_classes_is_noted(tmp_path: Path) -> None:
    make(tmp_path, "train/cat/1.png", "train/dog/2.png", "test/secret.png", "docs/how.png")
    notes: list[str] = []
    assert list(read(tmp_path, notes)) == ["train"]
    assert notes == ["Folders without classes in them, or of no part: 'docs', 'test'."]


def test_clutter_is_passed_over_and_the_rest_is_noted(tmp_path: Path) -> None:
    make(tmp_path, "cat/1.png", "dog/2.png")
    make(tmp_path, ".git/x.png", "__MACOSX/cat/._1.png", "cat/Thumbs.db", "cat/.2.png")
    make(tmp_path, "dog/@eaDir/2.png", "dog/.ipynb_checkpoints/2.png", "desktop.ini")
    assert read_quietly(tmp_path)["all"].ids.tolist() == ["cat/1.png", "dog/2.png"]
    make(tmp_path, "cat/readme.txt", "dog/a/labels.csv", "dog/noext", "lost.jpg", "list.txt")
    (tmp_path / "emu/none").mkdir(parents=True)
    (tmp_path / "fox").mkdir()
    notes: list[str] = []
    part = read(tmp_path, notes)["all"]
    assert part.ids.tolist() == ["cat/1.png", "dog/2.png"]
    assert part.labels.values == ("cat", "dog")
    assert notes == [
        f"Files that are no pictures by their suffix: 3 in {tmp_path} "
        "('cat/readme.txt', 'dog/noext', 'dog/a/labels.csv').",
        f"Pictures beside the class folders, which have no class: 1 in {tmp_path} ('lost.jpg').",
        f"Class folders without a picture: 2 in {tmp_path} ('emu', 'fox').",
    ]


def test_links_are_followed_but_never_in_circles(tmp_path: Path) -> None:
    make(tmp_path, "elsewhere/a.png", "elsewhere/sub/b.png", "photos/cat/1.png", "single.png")
    photos = tmp_path / "photos"
    (photos / "dog").symlink_to(tmp_path / "elsewhere")
    (photos / "cat/linked.png").symlink_to(tmp_path / "single.png")
    (photos / "cat/up").symlink_to(photos)
    (photos / "cat/self").symlink_to(photos / "cat/self")
    (photos / "cat/gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "elsewhere/sub/back").symlink_to(tmp_path / "elsewhere")
    notes: list[str] = []
    part = read(photos, notes)["all"]
    wanted = ["cat/1.png", "cat/gone.png", "cat/linked.png", "dog/a.png", "dog/sub/b.png"]
    assert part.ids.tolist() == wanted
    assert labels(part) == ["cat"] * 3 + ["dog"] * 2
    assert notes == [
        f"Files that are no pictures by their suffix: 1 in {photos} ('cat/self').",
    ]


def test_names_in_any_script_and_no_script(tmp_path: Path) -> None:
    names = ["猫/写真.png", "собака/1.png", "قطة/1.png", "e\u0301mu/1.png", "a b'c/1 2.png"]
    make(tmp_path, *names)
    raw = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(raw)  # noqa: PTH102 - Latin-1, as old archives have it
    Path(os.fsdecode(raw + b"/\xff.png")).write_bytes(picture())
    part = read_quietly(tmp_path)["all"]
    assert set(part.ids.tolist()) == {*names, "caf\\udce9/\\udcff.png"}
    assert "caf\\udce9" in part.labels.values
    assert all(isinstance(path, Path) and path.is_file() for path in part.shelf.read(0, len(part)))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            ["cat/a.txt", "dog/b.txt"],
            ["no pictures in its 2 class folders ('cat', 'dog')", ".jpeg"],
        ),
        (["train/1.png", "test/2.png"], ["no class folders in 'test', 'train'", "train/cat/1.jpg"]),
        (["train/1.png"], ["no class folders in 'train'"]),
        (["train/cat/1.png", "training/cat/1.png"], ["'train', 'training' each hold the train"]),
        (["train/cat/1.png", "train/dog/2.png", "test/cat/a.txt"], ["test", "no pictures"]),
    ],
)
def test_what_cannot_be_used(tmp_path: Path, names: list[str], words: list[str]) -> None:
    make(tmp_path, *names)
    with pytest.raises(InputError) as caught:
        read(tmp_path, [])
    message = str(caught.value)
    assert str(tmp_path) in message
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "cat/1.png", "cat/private/2.png", "dog/1.png")
    scandir = os.scandir

    def guarded(path: Any) -> Any:
        if Path(path).name == "private":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(InputError, match=r"cat/private: cannot be listed: Permission denied\."):
        read(tmp_path, [])


def test_recognising_looks_no_deeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "1.png", ".hidden/cat/1.png")
    assert not recognises(tmp_path)
    make(tmp_path, "cat/1.png")
    looked: list[Path] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (looked.append(path), scandir(path))[1])
    assert recognises(tmp_path)
    assert looked == [tmp_path]


def test_no_file_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, *(f"c{i % 3}/{i}.png" for i in range(60)))
    stats: list[Any] = []
    stat = Path.stat
    monkeypatch.setattr(Path, "stat", lambda *a, **k: (stats.append(a), stat(*a, **k))[1])
    part = read(tmp_path, [])["all"]
    assert len(part) == 60
    assert np.array_equal(np.bincount(part.labels.codes), [20, 20, 20])
    assert len(stats) < 20
