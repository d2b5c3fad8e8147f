"""Pictures in Parquet: which column, in which order, at what memory, and what is refused."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from metriscope.data.decoding import BrokenPicture, decode
from metriscope.data.digests import Digests
from metriscope.data.parquet_pictures import ParquetRows, image_column, read_parquet_pictures
from metriscope.data.pictures import Pictures
from metriscope.types import InputError


def picture(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (2, 2), shade).save(file, "PNG")
    return file.getvalue()


def cells(shades: Sequence[int]) -> list[dict[str, Any]]:
    return [{"bytes": picture(shade), "path": f"{shade}.png"} for shade in shades]


def write(path: Path, columns: dict[str, Any], features: Any = None, **options: Any) -> Path:
    table = pa.table(columns)
    if features:
        about = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": about})
    pq.write_table(table, path, **options)
    return path


def shades(pictures: Pictures, start: int = 0, stop: int | None = None) -> list[int]:
    raws = pictures.shelf.read(start, len(pictures) if stop is None else stop)
    return [decode(raw).getpixel((0, 0))[0] for raw in raws]  # type: ignore[index]


def refused(paths: Sequence[Path], *words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_parquet_pictures(paths)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert message.count("\n") <= 1


# -------------------------------------------------------------------------------------- the column


def test_which_column(tmp_path: Path) -> None:
    def column(columns: dict[str, Any], features: Any = None) -> str | None:
        return image_column(write(tmp_path / "a.parquet", {**columns, "label": [0, 1]}, features))

    images, binary = cells([1, 2]), [picture(1), picture(2)]
    assert column({"img": images}) == "img"
    assert column({"photo": binary}) == "photo"
    assert column({"photo": pa.array(binary, pa.large_binary())}) == "photo"
    assert column({"thumb": images, "image": images}) == "image"
    assert column({"mask": images, "picture": binary}) == "picture"
    assert column({"photo": [{"bytes": b"", "name": "x"}] * 2}) == "photo"
    said = {"mask": {"_type": "Value"}, "scan": {"_type": "Image"}, "label": {"_type": "Value"}}
    assert column({"image": images, "scan": images}, said) == "scan"
    assert column({"image": images}, {"image": "odd", "label": None}) == "image"
    assert column({"embedding": [[1.0], [2.0]]}) is None
    assert column({"embedding": [[1.0], [2.0]], "id": binary}) is None
    assert column({"image": [[0, 1], [2, 3]]}) is None
    assert column({"image": ["a.png", "b.png"]}, {"image": {"_type": "Image"}}) is None


# --------------------------------------------------------------------------------------- the rows


@pytest.mark.parametrize("group", [1, 7, 100, 1000])
def test_rows_in_order_from_anywhere(tmp_path: Path, group: int) -> None:
    """Shards of 100 and 130 rows, of row groups that batches do not divide."""
    values = [i % 251 for i in range(230)]
    paths = []
    for name, part in (("a", values[:100]), ("b", values[100:])):
        columns = {"image": cells(part), "label": [v % 3 for v in part]}
        paths.append(write(tmp_path / f"{name}.parquet", columns, row_group_size=group))
    pictures = read_parquet_pictures(paths)
    assert len(pictures) == 230
    assert pictures.origin == str(tmp_path)
    assert pictures.ids.tolist() == list(range(230))
    assert [pictures.labels.values[c] for c in pictures.labels.codes] == [v % 3 for v in values]
    for start, stop in ((0, 230), (0, 1), (99, 101), (100, 230), (63, 66), (37, 193), (229, 230)):
        assert shades(pictures, start, stop) == values[start:stop]
    assert shades(pictures, 5, 5) == []
    assert shades(pictures, 225, 999) == values[225:]


def test_row_groups_before_the_start_are_not_read(tmp_path: Path) -> None:
    columns = {"image": cells(range(100)), "label": [0, 1] * 50}
    path = write(tmp_path / "a.parquet", columns, row_group_size=10, compression="none")
    pictures = read_parquet_pictures([path])
    data = path.read_bytes()
    end = pq.ParquetFile(path).metadata.row_group(0).column(0).total_compressed_size
    path.write_bytes(b"PAR1" + bytes(end) + data[end + 4 :])  # the first pictures are gone
    assert shades(pictures, 30, 40) == list(range(30, 40))
    with pytest.raises(InputError, match=r"a\.parquet"):
        list(pictures.shelf.read(0, 10))


def test_labels_names_ids_and_split(tmp_path: Path) -> None:
    features = {"label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}
    columns = {
        "img": cells([10, 20, 30]),
        "label": [1, 0, 1],
        "id": ["x", "y", "z"],
        "split": ["train", "train", "test"],
    }
    pictures = read_parquet_pictures([write(tmp_path / "a.parquet", columns, features)])
    assert pictures.class_names == ("cat", "dog")
    assert [pictures.labels.values[c] for c in pictures.labels.codes] == [1, 0, 1]
    assert pictures.ids.tolist() == ["x", "y", "z"]
    assert pictures.split is not None
    assert pictures.split.tolist() == ["train", "train", "test"]
    assert pictures.origin == str(tmp_path / "a.parquet")


def test_pictures_beside_the_file_and_never_outside_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/in.png").write_bytes(picture(7))
    (tmp_path / "out.png").write_bytes(picture(9))
    (folder / "link.png").symlink_to(tmp_path / "out.png")
    outside = ["../out.png", str(tmp_path / "out.png"), "link.png", "a\0b", "x" * 9000, ""]
    column = [{"bytes": None, "path": "sub/in.png"}, {"bytes": None, "path": "gone.png"}]
    column += [{"bytes": None, "path": path} for path in outside]
    column += [None, {"bytes": picture(3), "path": "../out.png"}]
    columns = {"image": column, "label": list(range(len(column)))}
    pictures = read_parquet_pictures([write(folder / "a.parquet", columns)])
    found = list(pictures.shelf.read(0, len(pictures)))
    assert found[:2] == [folder / "sub/in.png", folder / "gone.png"]
    assert found[2:6] + found[7:] == [b""] * 6 + [picture(3)]
    with pytest.raises(BrokenPicture, match="too long"):
        decode(found[6])


@pytest.mark.parametrize("statistics", [True, False])
def test_identity_is_of_the_content(tmp_path: Path, statistics: bool) -> None:
    digest = Digests(tmp_path / "cache")

    def identity(columns: dict[str, Any], name: str = "a") -> str:
        labelled = {**columns, "label": list(range(len(columns["image"])))}
        path = write(tmp_path / f"{name}.parquet", labelled, write_statistics=statistics)
        return read_parquet_pictures([path]).shelf.identity(digest)

    images, other = cells([1, 2]), cells([1, 3])
    first = identity({"image": images})
    assert first == identity({"image": images}, "b")
    assert first != identity({"image": other}, "c")
    path = write(tmp_path / "two.parquet", {"x": images, "y": other, "label": [0, 1]})
    rows = (ParquetRows([path], column, [2]).identity(digest) for column in "xy")
    assert len(set(rows)) == 2
    beside = {"image": [{"bytes": None, "path": "p.png"}, {"bytes": None, "path": "x" * 9000}]}
    beside["image"] += [{"bytes": b"", "path": None}]
    (tmp_path / "p.png").write_bytes(picture(1))
    before = identity(beside, "d")
    (tmp_path / "p.png").write_bytes(picture(200))
    assert identity(beside, "d") != before


# -------------------------------------------------------------------------------- what is refused


def test_what_cannot_be_used(tmp_path: Path) -> None:
    path, images = tmp_path / "a.parquet", cells([1, 2, 3])
    refused([write(path, {"image": images})], "no labels (it holds 'image')", "'label'")
    refused([write(path, {"label": [1, 2]})], "no column of pictures (it holds 'label')")
    refused([write(path, {"image": images, "label": [0, None, 1]})], "no label in row 1 (")
    refused([write(path, {"image": images, "label": [-1] * 3})], "every label is -1", "validation")
    other = write(tmp_path / "b.parquet", {"img": images, "label": [0, 1, 0]})
    write(path, {"image": images, "label": [0, 1, 0]})
    refused([path, other], "b.parquet", "no pictures in 'image' (it holds 'img', 'label')")
    refused([write(path, {"image": pa.array([], pa.binary()), "label": pa.array([], pa.int64())})],
            "no pictures in it")  # fmt: skip


def test_some_labels_of_minus_one_are_refused(tmp_path: Path) -> None:
    names = {"label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}
    columns = {"image": cells([1, 2, 3, 4]), "label": [0, 1, -1, 0]}
    refused([write(tmp_path / "a.parquet", columns, names)], "no label in row 2 (")
    pictures = read_parquet_pictures([write(tmp_path / "a.parquet", columns)])
    assert set(pictures.labels.values) == {-1, 0, 1}  # without class names, a class like any other


def test_damaged_files(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"image": cells(range(50)), "label": [0, 1] * 25})
    data = path.read_bytes()
    for broken in (b"", data[:-20], data[: len(data) // 2], b"\x80\x04" + data[2:], b"PAR1" * 9):
        path.write_bytes(broken)
        for read in (image_column, lambda path: read_parquet_pictures([path])):
            with pytest.raises(InputError, match=r"a\.parquet"):
                read(path)


# ---------------------------------------------------------------------------------------- at size


def test_memory_stays_flat_in_one_row_group(tmp_path: Path) -> None:
    """250 MB of pictures in one row group: far less than that is added, in a process of its own."""
    rng, rows = np.random.default_rng(0), 25_000
    column = pa.array([rng.bytes(10_000) for _ in range(rows)])
    write(tmp_path / "a.parquet", {"image": column, "label": np.arange(rows) % 2},
          row_group_size=rows, compression="none")  # fmt: skip
    assert pq.ParquetFile(tmp_path / "a.parquet").metadata.num_row_groups == 1
    code = (
        "import sys, psutil, pyarrow.parquet\n"
        "from pathlib import Path\n"
        "from metriscope.data.parquet_pictures import read_parquet_pictures\n"
        "pictures = read_parquet_pictures([Path(sys.argv[1])])\n"
        "rss = psutil.Process().memory_info\n"
        "before = most = rss().rss\n"
        "for i, raw in enumerate(pictures.shelf.read(0, len(pictures))):\n"
        "    assert len(raw) == 10_000\n"
        "    most = max(most, rss().rss) if i % 500 == 0 else most\n"
        "assert i == 24_999\n"
        "print(most - before)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.parquet")]
    added = int(subprocess.run(command, check=True, capture_output=True).stdout)
    assert psutil.virtual_memory().total > added
    assert added < 120e6


def real(name: str) -> Path:
    given = os.environ.get("METRISCOPE_TEST_DATA")
    data = Path(given) if given else Path(__file__).parents[2] / "shared" / "data"
    return data / name


@pytest.mark.parametrize(
    ("name", "column", "size"), [("cifar10", "img", 32), ("mnist", "image", 28)]
)
def test_real_pictures(name: str, column: str, size: int) -> None:
    path = real(name) / "test-00000-of-00001.parquet"
    if not path.exists():
        pytest.skip(f"{name} is absent: set METRISCOPE_TEST_DATA")
    assert image_column(path) == column
    pictures = read_parquet_pictures([path])
    assert len(pictures) == 10_000
    assert pictures.class_names is not None
    assert len(pictures.class_names) == 10
    assert sorted(pictures.labels.values) == list(range(10))
    some = [decode(raw) for raw in pictures.shelf.read(9_000, 9_200)]
    assert {image.size for image in some} == {(size, size)}
    assert np.std([np.asarray(image).mean() for image in some]) > 5
