"""Shared by all tests: one thread, no network, small spaces with known geometry."""

from __future__ import annotations

import os

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
