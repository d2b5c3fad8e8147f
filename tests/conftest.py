"""Shared by all tests: one thread, no network, shape annotations checked at run time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxtyping import install_import_hook

# Before anything of metriscope is imported. The tower lets an int stand where a float is due.
install_import_hook(
    [
        "metriscope.ops",
        "metriscope.losses",
        "metriscope.samplers.uniform",
        "metriscope.samplers.m_per_class",
        "metriscope.diagnostics",
        "metriscope.network",
        "metriscope.train",
    ],
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",
)

import numpy as np
import pytest
import torch

from metriscope.types import Embeddings

os.environ["HF_HUB_OFFLINE"] = "1"
torch.set_num_threads(1)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def make_embeddings(x: np.ndarray, y: np.ndarray, split: str = "test") -> Embeddings:
    """Embeddings with class names ``c0``, ``c1``, …"""
    y = np.asarray(y, np.int64)
    return Embeddings(np.asarray(x, float), y, tuple(f"c{i}" for i in range(y.max() + 1)), split)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The backbone ``fake``, with shards of 16 pictures and batches of at most 8."""
    from metriscope.data import cache, memory
    from metriscope.data.backbones import BACKBONES
    from tests.fake_backbone import Fake

    fake = Fake()
    monkeypatch.setitem(BACKBONES._objects, "fake", fake.make)
    monkeypatch.setattr(cache, "SHARD", 16)
    monkeypatch.setitem(memory.LARGEST, "cpu", 8)
    return fake


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a kind of tiny model, which no test may change."""
    from tests import tiny_models

    root = tmp_path_factory.mktemp("models")

    def folder(kind: str) -> Path:
        path = root / kind
        return path if path.exists() else tiny_models.save(kind, path)

    return folder


@pytest.fixture
def own(saved: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of it to break."""
    return lambda kind: Path(shutil.copytree(saved(kind), tmp_path / "model"))
