"""A backbone without weights, which counts, and pictures made on the fly."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from metriscope.data.backbones.base import Backbone, Extractor
from metriscope.data.pictures import Digest, Pictures, Raw
from metriscope.data.table import Labels

DIM = 5


@dataclass
class Fake:
    """Pictures of 8 × 8 pixels → their product with a fixed matrix.

    Attributes:
        loads: how often it was loaded.
        sizes: pictures in each call of the model.
        before: called with each batch first.
        after: changes what the model returns.
    """

    loads: int = 0
    sizes: list[int] = field(default_factory=list)
    before: Callable[[torch.Tensor], None] = lambda x: None
    after: Callable[[torch.Tensor], torch.Tensor] = lambda y: y
    recipe: dict[str, Any] = field(default_factory=lambda: {"tensor": "product", "weights": "none"})
    size: int = 8
    dim: int = DIM

    def make(self, argument: str, pictures: Any, digest: Digest) -> Backbone:
        return Backbone("fake", self.recipe, self.load)

    def load(self, device: str, dtype: str) -> Extractor:
        self.loads += 1
        return Extractor(self.dim, (3, self.size, self.size), self.prepare, self.forward)

    def prepare(self, image: Image.Image) -> np.ndarray:
        pixels = np.asarray(image.resize((self.size, self.size)), np.float32)
        return pixels.transpose(2, 0, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.before(x)
        self.sizes.append(len(x))
        return self.after(x.flatten(1) @ self.matrix())

    def matrix(self) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.randn(3 * self.size**2, self.dim, generator=generator) / 255

    def by_hand(self, pixels: np.ndarray) -> np.ndarray:
        """Features of (n, 8, 8, 3) pictures."""
        x = torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.float32))
        return (x.flatten(1) @ self.matrix()).numpy()


@dataclass(frozen=True)
class Noise:
    """A shelf of random pictures: each is made when it is asked for."""

    count: int
    broken: tuple[int, ...] = ()
    name: str = "noise"
    side: int = 8

    def __len__(self) -> int:
        return self.count

    def read(self, start: int, stop: int) -> Iterator[Raw]:
        for row in range(start, stop):
            yield b"no picture" if row in self.broken else self.pixels(row)

    def pixels(self, row: int) -> np.ndarray:
        shape = (self.side, self.side, 3)
        return np.random.default_rng(row).integers(0, 256, shape, dtype=np.uint8)

    def identity(self, digest: Digest) -> str:
        return f"{self.name}-{self.count}-{self.broken}"

    def all_pixels(self) -> np.ndarray:
        return np.stack([self.pixels(row) for row in range(self.count)])


def noise(count: int, broken: tuple[int, ...] = (), name: str = "noise") -> Pictures:
    labels = Labels.of(np.arange(count) % 3)
    ids = np.array([f"c/{row}.png" for row in range(count)])
    return Pictures(Noise(count, broken, name), labels, name, ids=ids)


def files_of(folder: Path) -> dict[str, bytes]:
    """What an entry holds, without its lock."""
    return {
        os.fspath(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def fail(error: type[BaseException]) -> None:
    raise error
