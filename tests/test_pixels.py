"""Features that are the pixels: the shape all pictures get, and the numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metriscope.data.backbones import resolve
from metriscope.data.backbones._pixels import common_shape, fitted
from metriscope.data.pictures import Arrays, Digest, Files, Pictures, Raw
from metriscope.data.table import Labels
from metriscope.types import InputError
from tests.tiny_models import digest

RNG = np.random.default_rng(11)


def noise(n: int, *shape: int) -> np.ndarray:
    return RNG.integers(0, 256, (n, *shape), dtype=np.uint8)


def arrays(pixels: np.ndarray) -> Pictures:
    return Pictures(Arrays(pixels, []), Labels.of(np.zeros(len(pixels), int), "a"), "a")


def files(folder: Path, pixels: list[np.ndarray], broken: int = 0) -> Pictures:
    paths = [folder / f"{i}.png" for i in range(len(pixels) + broken)]
    for path in paths[:broken]:
        path.write_bytes(b"no picture")
    for path, picture in zip(paths[broken:], pixels, strict=True):
        Image.fromarray(picture).save(path)
    return Pictures(Files(paths), Labels.of(np.zeros(len(paths), int), "f"), "photos")


def features(text: str, pictures: Pictures) -> np.ndarray:
    from metriscope.data.decoding import decode

    extractor = resolve(text, [pictures], digest).load("cpu", "float32")
    prepared = [extractor.prepare(decode(raw)) for raw in pictures.shelf.read(0, len(pictures))]
    return extractor.forward(torch.from_numpy(np.stack(prepared))).numpy()


@pytest.mark.parametrize(
    ("pixels", "shape"),
    [
        (noise(5, 28, 28), (1, 28, 28)),
        (noise(5, 32, 32, 3), (3, 32, 32)),
        (noise(5, 20, 64, 3), (3, 20, 64)),
        (noise(5, 65, 20, 3), (3, 32, 32)),
        (np.repeat(noise(5, 9, 9, 1), 3, axis=3), (1, 9, 9)),  # grey, saved as RGB
    ],
)
def test_shape_of_pictures_of_one_size(pixels: np.ndarray, shape: tuple[int, int, int]) -> None:
    assert common_shape([arrays(pixels)]) == shape


def test_shape_of_several_sizes_and_parts(tmp_path: Path) -> None:
    mixed = files(tmp_path, [noise(1, 20, 30)[0], noise(1, 20, 31)[0]])
    assert common_shape([mixed]) == (1, 32, 32)
    assert common_shape([arrays(noise(3, 20, 30)), arrays(noise(3, 20, 30, 3))]) == (3, 20, 30)
    assert common_shape([arrays(noise(3, 20, 30)), arrays(noise(3, 20, 31))]) == (1, 32, 32)


def test_broken_pictures_are_passed_over(tmp_path: Path) -> None:
    assert common_shape([files(tmp_path, [noise(1, 8, 6)[0]], broken=4)]) == (1, 8, 6)
    for path in tmp_path.iterdir():
        path.write_bytes(b"no picture")
    paths = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match="photos: none of 5 pictures"):
        common_shape([Pictures(Files(paths), Labels.of(np.zeros(5, int), "f"), "photos")])


@dataclass(frozen=True, eq=False)
class Watched:
    """A shelf of many pictures that says what is read of it."""

    n: int
    read_rows: list[int]

    def __len__(self) -> int:
        return self.n

    def read(self, start: int, stop: int) -> Iterator[Raw]:
        assert stop == start + 1
        self.read_rows.append(start)
        yield np.zeros((4, 4), np.uint8)

    def identity(self, digest: Digest) -> str:
        raise NotImplementedError


def test_only_64_pictures_are_read_spread_over_all_parts() -> None:
    shelves = [Watched(70_000, []), Watched(30_000, [])]
    parts = [Pictures(s, Labels.of(np.zeros(len(s), int), "w"), "w") for s in shelves]
    assert common_shape(parts) == (1, 4, 4)
    first, second = (shelf.read_rows for shelf in shelves)
    assert len(first) + len(second) == 64
    assert (first[0], second[-1]) == (0, 29_999)
    assert len(first) == 45  # 64 · 0.7
    assert np.diff([*first, *(70_000 + row for row in second)]).max() < 2_000


def test_pixels_are_standardised_each_picture_by_itself() -> None:
    pixels = noise(6, 5, 4, 3)
    pixels[2] = 77  # constant: no SD
    pixels[3] = 10
    pixels[3, 0, 0, 0] = 11  # one step in one value
    found = features("pixels", arrays(pixels))
    x = pixels.transpose(0, 3, 1, 2).reshape(6, 60).astype(float)
    sd = np.maximum(x.std(1, keepdims=True), 1 / np.sqrt(60))
    np.testing.assert_allclose(found, (x - x.mean(1, keepdims=True)) / sd, atol=1e-6)
    assert np.all(found[2] == 0)
    alone = features("pixels:3x5x4", arrays(pixels[1:2]))
    np.testing.assert_array_equal(alone[0], found[1])


def test_cnn_pixels_are_fractions_channels_first() -> None:
    pixels = noise(3, 6, 5, 3)
    found = features("cnn", arrays(pixels))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.reshape(3, 3, 6, 5), pixels.transpose(0, 3, 1, 2) / 255)
    grey = noise(3, 6, 5)
    np.testing.assert_allclose(features("cnn", arrays(grey)), grey.reshape(3, -1) / 255)


@pytest.mark.parametrize("name", ["pixels", "cnn"])
def test_names_say_the_shape(name: str) -> None:
    pictures = [arrays(noise(3, 9, 8, 3))]
    for argument, shape in (
        ("", "3x9x8"),
        ("5x6", "3x5x6"),
        ("1x5x6", "1x5x6"),
        ("3x256x1", "3x256x1"),
    ):
        assert resolve(f"{name}:{argument}", pictures, digest).name == f"{name}:{shape}"
    assert resolve(name, pictures, digest).name == f"{name}:3x9x8"


@pytest.mark.parametrize("argument", ["8", "0x8", "2x8x8", "8x257", "8x-1", "1x8x8x8", "٣x8", " "])
def test_what_is_no_shape(argument: str) -> None:
    with pytest.raises(InputError, match="is no shape; write pixels:HEIGHTxWIDTH"):
        resolve(f"pixels:{argument}", [arrays(noise(3, 9, 8))], digest)


def test_recipe_follows_the_shape_and_the_formula() -> None:
    recipes = [
        resolve(text, [], digest).recipe
        for text in ("pixels:1x8x8", "pixels:3x8x8", "pixels:1x8x9", "cnn:1x8x8")
    ]
    assert all(a != b for i, a in enumerate(recipes) for b in recipes[:i])


def test_resizing_averages_what_it_leaves_out() -> None:
    chequered = np.indices((64, 64)).sum(0) % 2 * np.uint8(255)
    picture = Image.fromarray(chequered.astype(np.uint8)).convert("RGB")
    small = fitted(picture, (3, 8, 8))
    assert small.shape == (3, 8, 8)
    assert small.dtype == np.uint8
    assert 118 <= small.min() <= small.max() <= 138
