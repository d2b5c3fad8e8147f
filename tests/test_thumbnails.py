"""Small pictures of the rows that a report shows."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from metriscope import kept, views
from metriscope.data import thumbnails as making
from metriscope.data.sources import find
from metriscope.data.thumbnails import SIDE, thumbnails
from metriscope.types import Results
from tests.layouts import pixels, save, write_cifar
from tests.test_views_kept import comparison


def shade(jpeg: bytes) -> int:
    with Image.open(BytesIO(jpeg)) as image:
        assert image.format == "JPEG"
        assert max(image.size) <= SIDE
        return round(float(np.asarray(image).mean()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes below train and test; the shade of a picture says which it is."""
    for p, part in enumerate(("train", "test")):
        for c, name in enumerate(("cat", "dog")):
            for i in range(3):
                grey = np.full((90, 120), 100 * p + 40 * c + 10 * i + 20, np.uint8)
                save(tmp_path / "photos" / part / name / f"{i}.png", grey)
    return tmp_path / "photos"


def test_of_a_folder_the_rows_that_were_asked_for(folder: Path) -> None:
    ids = find(folder).pictures["test"].ids.tolist()
    assert len(ids) == 6
    found = thumbnails(folder, [ids[1], ids[4], "nobody"])
    assert {id: shade(jpeg) for id, jpeg in found.items()} == {ids[1]: 130, ids[4]: 170}


def png(grey: int) -> bytes:
    out = BytesIO()
    Image.fromarray(np.full((70, 30), grey, np.uint8)).save(out, "PNG")
    return out.getvalue()


def write(file: Path, greys: range, **options: Any) -> Path:
    pictures = [png(grey) if grey != 3 else b"no picture" for grey in greys]
    table = pa.table({"image": pictures, "label": [grey % 2 for grey in greys]})
    pq.write_table(table, file, **options)
    return file


def test_ids_of_both_parts_are_of_the_test_part_unless_they_say_which(tmp_path: Path) -> None:
    write(tmp_path / "train-00000-of-00001.parquet", range(10, 90, 10))
    write(tmp_path / "test-00000-of-00001.parquet", range(110, 170, 10))
    plain = thumbnails(tmp_path, ["0", "5", "7"])  # the test part has six
    assert {id: shade(jpeg) for id, jpeg in plain.items()} == {"0": 110, "5": 160, "7": 80}
    said = thumbnails(tmp_path, ["test:0", "train:0", "train:7"])
    assert {k: shade(v) for k, v in said.items()} == {"test:0": 110, "train:0": 10, "train:7": 80}


def test_of_parquet_and_of_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "_NEAR", 2)  # several stretches
    file = write(tmp_path / "made.parquet", range(12), row_group_size=5)
    found = thumbnails(file, ["1", "2", "3", "7", "11", "99"])  # 3 is broken
    assert {id: shade(jpeg) for id, jpeg in found.items()} == {"1": 1, "2": 2, "7": 7, "11": 11}
    write_cifar(tmp_path / "cifar")
    ids = find(tmp_path / "cifar").pictures["test"].ids
    assert list(thumbnails(tmp_path / "cifar", [str(ids[-1])])) == [str(ids[-1])]


def test_what_was_changed_since_is_left_out(folder: Path) -> None:
    ids = find(folder).pictures["test"].ids.tolist()
    (folder / ids[0]).write_bytes(b"no picture any more")
    assert list(thumbnails(folder, ids[:2])) == [ids[1]]


def test_without_pictures_there_are_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", features=np.eye(4, dtype=np.float32), labels=[0, 0, 1, 1])
    assert thumbnails(tmp_path / "f.npz", ["0"]) == {}
    assert thumbnails(tmp_path / "gone", ["0"]) == {}
    assert thumbnails("digits", ["0"]) == {}
    save(tmp_path / "photos" / "cat" / "1.png", pixels(8, 8))
    assert thumbnails(tmp_path / "photos", []) == {}


# ------------------------------------------------------------------------------------------- kept


def seen(folder: Path, results: Results, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    asked: list[Any] = []

    def made(source: str, ids: set[str]) -> dict[str, bytes]:
        asked.append(ids)
        return dict.fromkeys(ids, b"jpeg")

    monkeypatch.setattr(making, "thumbnails", made)
    views.keep_pictures(folder, results, "photos")
    return asked


def test_pictures_of_the_confusions_are_kept_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = comparison(tmp_path)
    views.complete(tmp_path, results)
    (asked,) = seen(tmp_path, results, monkeypatch)
    shown = set()
    for runs in results.by_loss().values():
        view = kept.read_view(tmp_path, runs[0].key)
        assert view is not None
        assert view.examples
        shown |= {id for pairs in view.examples for pair in pairs for id in pair}
    assert asked == shown
    assert kept.read_thumbnails(tmp_path) == dict.fromkeys(shown, b"jpeg")
    assert seen(tmp_path, results, monkeypatch) == []


def test_the_first_confusions_come_first_where_there_are_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = comparison(tmp_path)
    views.complete(tmp_path, results)
    monkeypatch.setattr(views, "MOST_PICTURES", 6)
    (asked,) = seen(tmp_path, results, monkeypatch)
    assert len(asked) == 6
    first = kept.read_view(tmp_path, results.runs[0].key)
    assert first is not None
    assert set(first.examples[0][0]) <= asked


def test_features_are_not_searched_for_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = comparison(tmp_path)
    views.complete(tmp_path, results)
    plain = Results(results.runs, about={**results.about, "backbone": "features"})
    assert seen(tmp_path, plain, monkeypatch) == []
    assert not (tmp_path / kept.THUMBNAILS).exists()
