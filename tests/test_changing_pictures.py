"""Features must not stay under the content of pictures that changed meanwhile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metriscope.data.pictures import Files, Pictures
from metriscope.data.table import Labels
from metriscope.types import InputError
from tests.fake_backbone import Fake
from tests.test_extraction import matrix, run


def test_pictures_that_change_while_they_are_read(fake: Fake, tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(20)]
    for i, path in enumerate(paths):
        Image.new("RGB", (8, 8), (i, i, i)).save(path)
    labels = Labels.of(np.arange(20) % 2)

    def overwrite(x: torch.Tensor) -> None:
        Image.new("RGB", (8, 8), "red").save(paths[19])

    fake.before = overwrite
    with pytest.raises(InputError, match="pictures changed while they were read"):
        run(tmp_path / "cache", Pictures(Files(paths), labels, "photos"))
    assert not list((tmp_path / "cache").glob("features/*/*.parquet"))
    fake.before = lambda x: None
    made = run(tmp_path / "cache", Pictures(Files(paths), labels, "photos"))
    red = torch.tensor([255.0, 0, 0]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    assert np.allclose(matrix(made)[1][19], (red.flatten(1) @ fake.matrix()).numpy()[0], atol=1e-4)
