"""A diagnosis on the disk: what comes back is what was written, and nothing else is accepted."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metriscope.diagnosis import saving
from metriscope.diagnosis.result import Diagnosis
from metriscope.disk import StorageError
from metriscope.types import ClassRow, InputError, Item
from tests.examined import examined, nothing
from tests.pages import HOSTILE


def _same(a: Any, b: Any) -> bool:
    """Equal, with NaN equal to itself."""
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return (
        _same(tuple(vars(a).values()), tuple(vars(b).values())) if hasattr(a, "recall") else a == b
    )


@pytest.mark.parametrize("found", [examined(), examined(HOSTILE, HOSTILE), nothing(rows=3)])
def test_what_is_saved_is_loaded(tmp_path: Path, found: Any) -> None:
    saving.save(found, tmp_path / "new" / "folder")
    loaded = saving.load(tmp_path / "new" / "folder")
    assert isinstance(loaded, Diagnosis)
    assert loaded.scores == found.scores
    assert loaded.intervals == found.intervals
    assert _same(loaded.per_class, found.per_class)
    assert loaded.confusions == found.confusions
    assert loaded.items == found.items
    assert loaded.findings == found.findings
    assert loaded.about == found.about
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == [
        "classes.csv",
        "diagnosis.json",
        "items.csv",
        "report.html",
    ]


def test_json_is_strict_and_undefined_is_null() -> None:
    found = replace(
        examined(),
        scores={"recall@1": np.float64(0.5), "map@r": None, "nc1": float("nan"), "n": np.int64(3)},  # type: ignore[dict-item]
        items=(Item("outlier", np.int64(7), "a", None, None, float("inf")),),  # type: ignore[arg-type]
    )
    data = json.loads(json.dumps(saving.to_json(found), allow_nan=False))
    assert set(data) == {
        "format", "kind", "scores", "intervals", "per_class", "confusions", "items", "findings",
        "about",
    }  # fmt: skip
    assert (data["format"], data["kind"]) == (1, "diagnosis")
    assert data["scores"] == {"recall@1": 0.5, "map@r": None, "nc1": None, "n": 3}
    assert data["intervals"]["recall@1"] == [0.9051, 0.9184]
    assert data["items"][0]["id"] == 7
    assert data["items"][0]["value"] is None
    assert data["per_class"][-1]["recall"] is None
    assert data["per_class"][0]["interval"] == [0.4, 0.6]
    assert data["findings"][0]["verify"]


def test_an_older_diagnosis_is_replaced_and_other_files_are_left_alone(tmp_path: Path) -> None:
    saving.save(examined(), tmp_path)
    saving.save(examined(classes=3), tmp_path)
    assert len(saving.load(tmp_path).per_class) == 4


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("results.json", "holds a comparison"),
        ("runs/x/result.json", "holds a comparison"),
        ("photo.jpg", "holds other files (photo.jpg)"),
    ],
)
def test_a_folder_of_something_else_is_refused(tmp_path: Path, file: str, message: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError) as error:
        saving.save(examined(), tmp_path)
    assert message in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_place_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        saving.save(examined(), tmp_path / "file")
    with pytest.raises(StorageError, match="Not a directory"):
        saving.save(examined(), tmp_path / "file" / "folder")


def test_a_full_disk_leaves_the_older_diagnosis_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saving.save(examined(), tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(self: Path, *args: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageError, match="No space left on device"):
        saving.save(examined(classes=3), tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def _damage(**changes: Any) -> str:
    return json.dumps(saving.to_json(examined()) | changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is damaged"),
        (_damage()[:-40], "is damaged"),
        ("[]", "is damaged"),
        ("{}", "is damaged"),
        (_damage(format=2), "has format 2"),
        (_damage(kind="comparison"), "holds a 'comparison'"),
        (_damage(scores=[1.0]), "is damaged"),
        (_damage(scores={"recall@1": "high"}), "is damaged"),
        (_damage(intervals={"recall@1": [1.0]}), "is damaged"),
        (_damage(per_class=[{"name": "a"}]), "is damaged"),
        (_damage(per_class=[{**vars(ClassRow("a", 1, 1, 0.1)), "recall": "0.5"}]), "is damaged"),
        (_damage(items=[{"kind": "odd", "id": 1}]), "is damaged"),
        (_damage(findings=[{"code": "MS101"}]), "is damaged"),
        (_damage(findings=[{**saving.to_json(examined())["findings"][0], "value": "x"}]), "value"),
        (_damage(about=None), "is damaged"),
    ],
)
def test_a_damaged_file_is_refused_in_a_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "diagnosis.json").write_text(text)
    with pytest.raises(InputError) as error:
        saving.load(tmp_path)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_folder_without_a_diagnosis_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no diagnosis\.json"):
        saving.load(tmp_path)


def test_spreadsheets_get_numbers_and_no_formula(tmp_path: Path) -> None:
    evil = '=HYPERLINK("http://x","y")'
    found = examined(evil, "@SUM(1)")
    items = (*found.items, Item("outlier", -5, "+1", "-2", "\t=1", 0.5))
    saving.save(replace(found, items=items), tmp_path)
    with (tmp_path / "classes.csv").open(newline="", encoding="utf-8") as file:
        heads, first, *rest = csv.reader(file)
    assert heads == [
        "class", "rows", "queries", "spread", "recall@1", "low", "high", "confused_with", "lost",
    ]  # fmt: skip
    assert first == [f"'{evil}", "100", "100", "0.2", "0.5", "0.4", "0.6", "class 11", "0.2"]
    assert rest[-1] == ["alone", "1", "0", "", "", "", "", "", ""]
    with (tmp_path / "items.csv").open(newline="", encoding="utf-8") as file:
        heads, *rows = csv.reader(file)
    assert heads == ["kind", "id", "label", "other", "other_label", "value", "part"]
    assert ["mislabelled", "'@SUM(1)", f"'{evil}", "other.jpg", "dog", "0.98", "same"] in rows
    assert rows[-1] == ["outlier", "-5", "'+1", "'-2", "\\x09=1", "0.5", "same"]
    assert not any(cell.startswith(("=", "+", "@", "\t", "\r")) for row in rows for cell in row)
