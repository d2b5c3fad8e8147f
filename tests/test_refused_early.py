"""A ``split`` column that cannot be used is refused before its pictures are worked on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from metriscope.data import load
from metriscope.types import InputError
from tests.test_loading import ROWS, class_of, parquet


def odd(row: int) -> str:
    return "train" if row % 2 else "test"


SPLITS = {
    "split has the values 'dev'": ("closed", ["dev" for _ in ROWS]),
    "the train part has one class only": (
        "closed",
        ["train" if class_of(row) == "oak" else "test" if row % 2 else "spare" for row in ROWS],
    ),
    "a class-disjoint split needs at least 2 classes": (
        "disjoint",
        ["spare" if class_of(row) == "yew" else odd(row) for row in ROWS],
    ),
}


@pytest.mark.parametrize("said", SPLITS)
def test_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: Any, said: str
) -> None:
    monkeypatch.setenv("METRISCOPE_CACHE", str(tmp_path / "cache"))
    protocol, split = SPLITS[said]
    path = parquet(tmp_path / "trees.parquet", split=split)
    with pytest.raises(InputError, match=said):
        load(path, backbone="fake", protocol=protocol)  # type: ignore[arg-type]
    assert fake.loads == 0
