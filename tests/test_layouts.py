"""The layouts of the original archives, on samples that are laid out as they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from metriscope.data.hub_layout import parquet_parts
from metriscope.data.layouts import cars, cifar_batches, cub, idx, tiny_imagenet
from metriscope.data.pictures import Files, Pictures
from metriscope.types import InputError
from tests import layouts
from tests.layouts import read, refused


def names_of(pictures: Pictures) -> list[str]:
    """The class name of each picture."""
    assert pictures.class_names is not None
    values = pictures.labels.values
    return [pictures.class_names[int(values[code])] for code in pictures.labels.codes]


def paths_of(pictures: Pictures) -> list[Path]:
    assert isinstance(pictures.shelf, Files)
    return list(pictures.shelf.paths)


def test_each_layout_recognises_its_own_only(tmp_path: Path) -> None:
    layouts.write_cifar(tmp_path / "cifar_batches", 1)
    layouts.write_idx(tmp_path / "idx", 2, 2)
    layouts.write_cub(tmp_path / "cub")
    layouts.write_cars(tmp_path / "cars")
    layouts.write_tiny_imagenet(tmp_path / "tiny_imagenet")
    layouts.save(tmp_path / "class_folders" / "a" / "1.png", layouts.pixels(8, 8))
    for module in (cifar_batches, idx, cub, cars, tiny_imagenet):
        own = module.__name__.rpartition(".")[2]
        found = [path.name for path in tmp_path.iterdir() if module.recognises(path)]
        assert found == [own]


# --------------------------------------------------------------------------------------------- CUB


@pytest.mark.parametrize("parent", [False, True])
def test_cub(tmp_path: Path, parent: bool) -> None:
    place = tmp_path / "CUB_200_2011"
    listed = layouts.write_cub(place)
    parts = read(tmp_path if parent else place)
    assert parts["train"].ids.tolist() == [p for i, p in enumerate(listed) if i % 3 != 2]
    assert parts["test"].ids.tolist() == listed[2::3]
    assert parts["train"].class_names == parts["test"].class_names
    for pictures in parts.values():
        assert paths_of(pictures) == [place / "images" / name for name in pictures.ids]
        assert all(path.is_file() for path in paths_of(pictures))
        assert names_of(pictures) == [name.partition("/")[0] for name in pictures.ids.tolist()]


def test_cub_classes_are_those_of_the_list_not_of_the_path(tmp_path: Path) -> None:
    listed = layouts.write_cub(tmp_path)
    labels = [f"{i + 1} {3 - i % 3}" for i in range(len(listed))]
    (tmp_path / "image_class_labels.txt").write_text("\n".join(labels))
    assert {n[:3] for n in names_of(read(tmp_path)["test"])} == {"001"}


def test_cub_lists_that_do_not_fit(tmp_path: Path) -> None:
    listed = layouts.write_cub(tmp_path)

    def with_line(file: str, line: str, *words: str) -> None:
        whole = (tmp_path / file).read_text()
        (tmp_path / file).write_text(whole.replace(whole.splitlines()[0], line, 1))
        refused(tmp_path, *words)
        (tmp_path / file).write_text(whole)

    with_line("image_class_labels.txt", "", "image_class_labels.txt", "1 ('1')", "one archive")
    with_line("train_test_split.txt", "99 1", "2 ('1', '99')")
    with_line("train_test_split.txt", "1 2", "'2' is neither 0 nor 1")
    with_line("image_class_labels.txt", "1 7", "no name for class '7'")
    with_line("images.txt", "1", "images.txt", "'1' has no value")
    with_line("images.txt", f"2 {listed[0]}", "'2' comes twice")
    for outside in ("../secret.jpg", "/etc/passwd", "a/../../b.jpg", "..\\b.jpg"):
        with_line("images.txt", f"1 {outside}", "images.txt", "not below its folder")
    (tmp_path / "classes.txt").unlink()
    refused(tmp_path, "classes.txt: no such file")


def test_cub_pictures_that_are_not_there(tmp_path: Path) -> None:
    listed = layouts.write_cub(tmp_path)
    (tmp_path / "images" / listed[0]).unlink()
    assert len(read(tmp_path)["train"]) == 8  # whoever decodes it says so
    shutil.rmtree(tmp_path / "images")
    refused(tmp_path, "none of the 12 pictures", listed[0])


# -------------------------------------------------------------------------------------------- Cars


@pytest.mark.parametrize("labelled", ["", "devkit"])
@pytest.mark.parametrize("parent", [False, True])
def test_cars(tmp_path: Path, labelled: str, parent: bool) -> None:
    place = tmp_path / "stanford_cars"
    layouts.write_cars(place, labelled=labelled)
    parts = read(tmp_path if parent else place)
    assert {part: len(p) for part, p in parts.items()} == {"train": 9, "test": 6}
    for part, pictures in parts.items():
        assert pictures.ids.tolist()[1] == f"cars_{part}/00002.jpg"
        assert all(path.is_file() for path in paths_of(pictures))
        assert names_of(pictures) == [layouts.CARS[i % 3] for i in range(len(pictures))]


def test_cars_in_one_list(tmp_path: Path) -> None:
    layouts.write_cars_one_list(tmp_path)
    parts = read(tmp_path)
    assert parts["test"].ids.tolist() == [f"car_ims/{i:06d}.jpg" for i in (3, 6, 9, 12)]
    assert names_of(parts["test"]) == [layouts.CARS[i] for i in (0, 1, 2, 0)]
    assert names_of(parts["train"])[:4] == [layouts.CARS[i] for i in (0, 0, 1, 1)]
    assert all(path.is_file() for path in paths_of(parts["train"]))


def test_cars_as_found_in_the_wild(tmp_path: Path) -> None:
    layouts.write_cars(tmp_path)
    for part in ("cars_train", "cars_test"):
        (tmp_path / part).rename(tmp_path / "aside")
        (tmp_path / part).mkdir()
        (tmp_path / "aside").rename(tmp_path / part / part)
    row = {"relative_im_path": "car_ims/000001.jpg", "class": 1, "test": 0}
    layouts.matlab(tmp_path / "cars_annos.mat", annotations=[row], class_names=list(layouts.CARS))
    parts = read(tmp_path)
    assert parts["test"].ids.tolist()[0] == "cars_test/cars_test/00001.jpg"
    assert all(path.is_file() for part in parts.values() for path in paths_of(part))


def test_cars_without_test_labels(tmp_path: Path) -> None:
    layouts.write_cars(tmp_path, labelled=None)
    refused(tmp_path, "cars_test_annos_withlabels.mat is missing", "no labels")
    devkit = tmp_path / "devkit"
    shutil.copy(devkit / "cars_test_annos.mat", devkit / "cars_test_annos_withlabels.mat")
    refused(tmp_path, "no field 'class'", "list without labels")


def test_cars_files_that_do_not_fit(tmp_path: Path) -> None:
    layouts.write_cars(tmp_path)
    train = tmp_path / "devkit" / "cars_train_annos.mat"
    for row, words in (
        ({"class": 4, "fname": "00001.jpg"}, ["classes outside 1 to 3"]),
        ({"class": 0, "fname": "00001.jpg"}, ["classes outside 1 to 3"]),
        ({"class": "x", "fname": "00001.jpg"}, ["no whole number"]),
        ({"class": 1, "fname": "../../00001.jpg"}, ["not below its folder"]),
        ({"class": 1, "fname": "9.jpg"}, ["none of the 2 pictures"]),
    ):
        layouts.matlab(train, annotations=[row, row])
        refused(tmp_path, train.name, *words)
    layouts.matlab(train, other=["x", "y"])
    refused(tmp_path, train.name, "no 'annotations'")
    train.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(300))
    refused(tmp_path, train.name, "damaged")
    (tmp_path / "devkit" / "cars_meta.mat").unlink()
    refused(tmp_path, "cars_meta.mat is missing")


# ------------------------------------------------------------------------------------ Tiny ImageNet


@pytest.mark.parametrize("parent", [False, True])
def test_tiny_imagenet(tmp_path: Path, parent: bool) -> None:
    place = tmp_path / "tiny-imagenet-200"
    layouts.write_tiny_imagenet(place)
    notes: list[str] = []
    parts = tiny_imagenet.read(tmp_path if parent else place, notes)
    assert notes == [
        "Left out: the 3 pictures of test, which have no labels; val is the test part."
    ]
    assert {part: len(p) for part, p in parts.items()} == {"train": 12, "test": 6}
    names = ("n01443537 goldfish", "n01629819 European fire salamander", "n01641577 bullfrog")
    assert parts["train"].class_names == parts["test"].class_names == names
    train, test = parts["train"], parts["test"]
    assert [n[:9] for n in names_of(train)] == [p.split("/")[1] for p in train.ids.tolist()]
    assert test.ids.tolist()[:3] == [f"val/images/val_{i}.JPEG" for i in (0, 3, 1)]
    assert [n[:9] for n in names_of(test)] == [w for w in layouts.WNIDS for _ in range(2)]
    assert all(path.is_file() for path in paths_of(train) + paths_of(test))


def test_tiny_imagenet_with_val_sorted_into_classes(tmp_path: Path) -> None:
    layouts.write_tiny_imagenet(tmp_path)
    for line in (tmp_path / "val" / "val_annotations.txt").read_text().splitlines():
        name, wnid, *_ = line.split("\t")
        target = tmp_path / "val" / wnid / name
        target.parent.mkdir(exist_ok=True)
        (tmp_path / "val" / "images" / name).rename(target)
    (tmp_path / "val" / "images").rmdir()
    test = read(tmp_path)["test"]
    assert [n[:9] for n in names_of(test)] == [p.split("/")[1] for p in test.ids.tolist()]
    assert len(test) == 6


def test_tiny_imagenet_as_found_in_the_wild(tmp_path: Path) -> None:
    layouts.write_tiny_imagenet(tmp_path, unlabelled=0)
    empty = tmp_path / "train" / WNID / "images"
    shutil.rmtree(empty)
    empty.mkdir()
    layouts.save(tmp_path / "val" / "images" / "extra.JPEG", layouts.pixels(8, 8))
    notes: list[str] = []
    assert len(tiny_imagenet.read(tmp_path, notes)["train"]) == 8
    assert notes == [
        f"Classes without a picture in train: 1 ('{WNID}').",
        "Left out of val, without an annotation: 1 ('extra.JPEG').",
    ]
    (tmp_path / "words.txt").write_bytes(f"{WNID}\tcr\xeape, pancake\n".encode("latin1"))
    assert read(tmp_path)["test"].class_names == (
        layouts.WNIDS[0],
        f"{WNID} cr�pe",
        layouts.WNIDS[2],
    )
    annotations = tmp_path / "val" / "val_annotations.txt"
    whole = annotations.read_text()
    annotations.write_text(whole.replace(WNID, "n99999999"))
    refused(tmp_path, "val_annotations.txt", "'n99999999' is not in wnids.txt")
    annotations.write_text(whole.replace("val_0.JPEG", "../val_0.JPEG"))
    refused(tmp_path, "not below its folder")
    annotations.unlink()
    refused(tmp_path, "val_annotations.txt: no such file")


WNID = layouts.WNIDS[1]


# ------------------------------------------------------------------------------ Parquet of the hub


@pytest.mark.parametrize("below", ["", "data", "plain_text"])
@pytest.mark.parametrize("suffix", ["", "-1359597a978bc4fa"])
def test_parquet_of_the_hub(tmp_path: Path, below: str, suffix: str) -> None:
    (tmp_path / below).mkdir(exist_ok=True)
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "train-00000-of-00001.parquet").touch()
    for name in ("train-00001-of-00002", "train-00000-of-00002", "valid-00000-of-00001"):
        (tmp_path / below / f"{name}{suffix}.parquet").touch()
    parts = parquet_parts(tmp_path)
    assert parts is not None
    found = {part: [path.name for path in paths] for part, paths in parts.items()}
    assert found == {
        "train": [f"train-0000{i}-of-00002{suffix}.parquet" for i in range(2)],
        "test": [f"valid-00000-of-00001{suffix}.parquet"],
    }
    (tmp_path / below / "test-00000-of-00001.parquet").touch()
    parts = parquet_parts(tmp_path)
    assert parts is not None
    assert parts["test"][0].name.startswith("test")


def test_folders_without_parquet_of_the_hub(tmp_path: Path) -> None:
    (tmp_path / "photos.parquet").touch()
    (tmp_path / "train.npz").touch()
    (tmp_path / "contrast-00000-of-00001.parquet").touch()
    assert parquet_parts(tmp_path) is None
    (tmp_path / "train.parquet").touch()
    assert parquet_parts(tmp_path) == {"train": [tmp_path / "train.parquet"]}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["train-00000-of-00002"], ["of the 2 shards of 'train', number 00001 is missing"]),
        (["train-00000-of-00001", "train"], ["each hold the same part"]),
        (["train-00000-of-00001", "train-00000-of-00001-0123456789abcdef"], ["2 files for the 1"]),
        (
            ["train-00000-of-00001", "train-00000-of-00002", "train-00001-of-00002"],
            ["'train, 1 in all', 'train, 2 in all'", "keep the files of one"],
        ),
        (["a/train", "b/test"], ["'a', 'b' each hold", "give one"]),
    ],
)
def test_shards_that_do_not_fit(tmp_path: Path, names: list[str], words: list[str]) -> None:
    for name in names:
        path = tmp_path / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    with pytest.raises(InputError) as caught:
        parquet_parts(tmp_path)
    for word in words:
        assert word in str(caught.value)
