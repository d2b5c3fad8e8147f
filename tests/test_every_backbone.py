"""What holds for every registered backbone, whatever it computes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from metriscope.data.backbones import BACKBONES, DEFAULT, resolve
from metriscope.data.backbones.base import Backbone, Extractor
from metriscope.data.pictures import Arrays, Pictures
from metriscope.data.table import Labels
from tests import tiny_models
from tests.fake_timm import install
from tests.tiny_models import digest, some_pictures

ALL = BACKBONES.names()
# Named backbone → the kind of tiny model that it takes from a folder.
FOLDERS = {"clip-vit-b32": "whole clip", "vit-b32": "vit", "dinov2-small": "dinov2", "hf": "swin"}
# … and what follows the name of the others.
ARGUMENTS = {"pixels": "", "cnn": "", "timm": "tiny.test"}


def colours(n: int = 7, side: int = 12) -> list[Pictures]:
    """Two parts of RGB noise."""
    pixels = np.random.default_rng(1).integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    parts = (pixels[: n // 2], pixels[n // 2 :])
    return [
        Pictures(Arrays(part, []), Labels.of(np.zeros(len(part), int), "noise"), "noise")
        for part in parts
    ]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {kind: tiny_models.save(kind, root / kind) for kind in FOLDERS.values()}


@pytest.fixture
def make(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Backbone]:
    install(monkeypatch)

    def sample(name: str) -> Backbone:
        assert name in FOLDERS or name in ARGUMENTS, f"no sample of {name} in this test"
        argument = str(folders[FOLDERS[name]]) if name in FOLDERS else ARGUMENTS[name]
        return resolve(f"{name}:{argument}", colours(), digest)

    return sample


def rows(extractor: Extractor, batch: int) -> torch.Tensor:
    """Features of some pictures, in batches of this size."""
    x = torch.from_numpy(np.stack([extractor.prepare(picture) for picture in some_pictures()]))
    return torch.cat([extractor.forward(part) for part in x.split(batch)])


def test_the_default_is_one() -> None:
    assert DEFAULT in ALL


@pytest.mark.parametrize("name", ALL)
def test_is_described(name: str) -> None:
    entry = BACKBONES.describe(name)
    assert 20 < len(entry.summary) < 100
    assert entry.parameters == {}


@pytest.mark.parametrize("name", ALL)
def test_recipe_is_json_deterministic_and_complete(
    name: str, make: Callable[[str], Backbone]
) -> None:
    recipe = make(name).recipe
    assert json.loads(json.dumps(recipe, allow_nan=False)) == recipe
    assert make(name).recipe == recipe
    assert {"tensor", "weights", "preprocessing"} <= set(recipe)
    assert "/tmp" not in json.dumps(recipe)  # where files lie decides nothing


@pytest.mark.parametrize("name", ALL)
def test_name_begins_as_registered_and_is_no_path(
    name: str, make: Callable[[str], Backbone]
) -> None:
    found = make(name).name
    assert found == name or found.startswith(f"{name}:")
    assert "/" not in found


@pytest.mark.parametrize("name", ALL)
def test_extracts_what_it_declares(name: str, make: Callable[[str], Backbone]) -> None:
    extractor = make(name).load("cpu", "float32")
    for picture in some_pictures():
        prepared = extractor.prepare(picture)
        assert prepared.shape == extractor.shape
        assert prepared.dtype in (np.uint8, np.float32)
    features = rows(extractor, 6)
    assert features.shape == (6, extractor.dim)
    assert features.dtype == torch.float32
    assert not features.requires_grad
    assert features.isfinite().all()
    assert (features.std(0) > 0).any()  # pictures differ


@pytest.mark.parametrize("name", ALL)
def test_a_row_depends_on_its_picture_alone(name: str, make: Callable[[str], Backbone]) -> None:
    extractor = make(name).load("cpu", "float32")
    together = rows(extractor, 6)
    torch.testing.assert_close(rows(extractor, 1), together, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(rows(extractor, 4), together, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_loading_again_gives_the_same(name: str, make: Callable[[str], Backbone]) -> None:
    backbone = make(name)
    first, second = (rows(backbone.load("cpu", "float32"), 3) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("name", ALL)
def test_bfloat16_gives_float32_close_by(name: str, make: Callable[[str], Backbone]) -> None:
    backbone = make(name)
    exact = rows(backbone.load("cpu", "float32"), 6)
    rough = rows(backbone.load("cpu", "bfloat16"), 6)
    assert rough.dtype == torch.float32
    assert torch.cosine_similarity(exact, rough).min() > 0.99
