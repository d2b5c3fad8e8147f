"""Models of timm, which a stand-in plays here."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from tests.fake_timm import CONFIGS, create_model, install
from tests.tiny_models import error_of, features, of, some_pictures


def test_timm_is_as_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    found = of("timm:tiny.test")
    assert found.recipe["weights"]["source"] == "timm/tiny.test"
    config = CONFIGS["tiny.test"]
    mean, sd = (torch.tensor(v).reshape(3, 1, 1) for v in (config.mean, config.std))
    batch = []
    for picture in some_pictures():
        w, h = picture.size  # the shorter side becomes floor(24 / 0.875) = 27
        size = (27, int(27 * h / w)) if w <= h else (int(27 * w / h), 27)
        pixels = np.asarray(picture.resize(size, Image.Resampling.BICUBIC))
        top, left = round((size[1] - 24) / 2), round((size[0] - 24) / 2)
        cut = torch.from_numpy(pixels[top : top + 24, left : left + 24].copy()).permute(2, 0, 1)
        batch.append((cut / 255 - mean) / sd)
    with torch.no_grad():
        expected = create_model("tiny.test", pretrained=True, num_classes=0)(torch.stack(batch))
    torch.testing.assert_close(features(found), expected, rtol=1e-4, atol=1e-5)


def test_timm_squashes_where_the_model_was_trained_so(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    extractor = of("timm:tiny.squash").load("cpu", "float32")
    picture = some_pictures()[1]
    expected = np.asarray(picture.resize((24, 24), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(extractor.prepare(picture).transpose(1, 2, 0), expected)


def test_timm_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    assert "pip install timm" in error_of("timm:tiny.test")
    install(monkeypatch)
    assert "did you mean tiny.test" in error_of("timm:tinny.test")
    assert "unknown pretrained model" in error_of("timm:tiny")
    assert "unknown pretrained model" in error_of("timm:")
    assert "Invalid pretrained tag" in error_of("timm:tiny.none")
    assert "crop_mode 'border'" in error_of("timm:tiny.border")
    assert "cannot be loaded" in error_of("timm:tiny.offline")
