"""The generator does what its parameters say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from metriscope import ops
from metriscope.data import load, load_source
from metriscope.data.datasets.synthetic import PRESETS, synthetic
from metriscope.types import InputError


def same_class_neighbours(source: str) -> float:
    """Share of rows whose nearest other row by cosine has their class."""
    whole = load_source(source, "all")
    z, y = ops.normalize(torch.tensor(whole.x).double()), torch.tensor(whole.y)
    hits = [(y[index[:, 0]] == y[rows]) for rows, index, _ in ops.neighbour_blocks(z, None, 1)]
    return float(torch.cat(hits).double().mean())


def make(**params: Any) -> tuple[np.ndarray, np.ndarray]:
    table = synthetic(**params)
    return table.x.astype(float), table.labels.codes


CLEAN: dict[str, Any] = {"mode_spread": 1.0, "overlap_prob": 0.0, "outlier_frac": 0.0}


def test_defaults_are_those_of_the_study() -> None:
    whole = load_source("synthetic", "all")
    assert whole.x.shape == (2000, 128)
    assert whole.x.dtype == np.float32
    assert whole.counts.tolist() == [200] * 10
    assert whole.origin == "synthetic"


def test_means_lie_on_the_sphere_of_the_radius() -> None:
    x, y = make(**{**CLEAN, "mode_spread": 0.0}, radius=3.0)
    assert np.allclose(np.linalg.norm(x, axis=1), 3.0, rtol=1e-6)
    assert len(np.unique(x.round(4), axis=0)) == 10
    assert all(len(np.unique(x[y == c].round(4), axis=0)) == 1 for c in range(10))


def test_spread_is_the_standard_deviation() -> None:
    x, y = make(**{**CLEAN, "mode_spread": 2.5})
    within = np.concatenate([x[y == c] - x[y == c].mean(0) for c in range(10)])
    # 256,000 values: the relative standard error of the SD is 0.0014; 200 rows shrink it by 0.0025
    assert within.std() == pytest.approx(2.5, rel=0.01)


def test_overlap_moves_samples_to_other_classes_and_keeps_their_labels() -> None:
    x, y = make(**{**CLEAN, "mode_spread": 0.0}, radius=1.0)
    means = np.stack([x[y == c][0] for c in range(10)])
    x, y = make(**{**CLEAN, "mode_spread": 0.0, "overlap_prob": 0.3}, radius=1.0)
    lies_in = np.argmax(x @ means.T, axis=1)
    moved = lies_in != y
    assert moved.mean() == pytest.approx(0.3, abs=0.04)  # SD 0.01
    assert np.bincount(lies_in[moved], minlength=10).min() > 30  # 60 expected, SD 7
    assert np.bincount(y).tolist() == [200] * 10
    x, y = make(**{**CLEAN, "mode_spread": 0.0, "overlap_prob": 1.0}, radius=1.0)
    assert (np.argmax(x @ means.T, axis=1) != y).all()


def test_outliers_are_five_times_as_far() -> None:
    plain, y = make(**CLEAN)
    wild, _ = make(**{**CLEAN, "outlier_frac": 0.05})
    means = np.stack([make(**{**CLEAN, "mode_spread": 0.0})[0][y == c][0] for c in range(10)])
    ratio = np.linalg.norm(wild - means[y], axis=1) / np.linalg.norm(plain - means[y], axis=1)
    outlier = ratio > 2
    assert outlier.sum() == 100
    assert np.allclose(ratio[outlier], 5, rtol=1e-4)
    assert np.allclose(ratio[~outlier], 1, rtol=1e-4)


def test_families_are_nearer_to_themselves() -> None:
    x, y = make(**{**CLEAN, "mode_spread": 0.0}, n_classes=20, n_super=4, super_spread=0.3)
    means = np.stack([x[y == c][0] for c in range(20)])
    cosine = means @ means.T / 36.0
    kin = (np.arange(20)[:, None] % 4) == (np.arange(20)[None, :] % 4)
    # expected 1 / (1 + 0.3²) = 0.917 inside a family, 0 ± 0.09 outside
    assert cosine[kin & ~np.eye(20, dtype=bool)].min() > 0.8
    assert cosine[~kin].max() < 0.5


def test_imbalance_is_largest_over_smallest() -> None:
    _, y = make(n_classes=5, samples_per_class=160, imbalance=16.0)
    assert np.bincount(y).tolist() == [160, 80, 40, 20, 10]


def test_seed_decides_everything() -> None:
    first, again, other = make(seed=1)[0], make(seed=1)[0], make(seed=2)[0]
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


@pytest.mark.parametrize(
    ("preset", "share"),
    [
        ("default", 0.65),
        ("easy", 1.0),
        ("fine-grained", 0.87),
        ("fine-grained-hard", 0.44),
        ("long-tail", 0.65),
    ],
)
def test_presets_are_as_hard_as_their_docstring_says(preset: str, share: float) -> None:
    assert same_class_neighbours(f"synthetic:{preset}") == pytest.approx(share, abs=0.006)
    assert f"``{preset}``" in " ".join((synthetic.__doc__ or "").split())


def test_every_preset_loads() -> None:
    assert set(PRESETS) == {"default", "easy", "fine-grained", "fine-grained-hard", "long-tail"}
    for preset in PRESETS:
        data = load(f"synthetic:{preset}")
        assert data.name == f"synthetic:{preset}"
        assert data.test.counts.min() >= 2


def test_parameters_and_presets_in_the_source() -> None:
    assert load_source(
        "synthetic:n_classes=20,samples_per_class=5,mode_spread=1.4", "all"
    ).x.shape == (
        100,
        128,
    )
    whole = load_source("synthetic:fine-grained,n_classes=30,dim=16", "all")
    assert whole.x.shape == (30 * 40, 16)
    assert whole.origin == "synthetic:fine-grained,n_classes=30,dim=16"


@pytest.mark.parametrize(
    "params",
    [
        {"n_classes": 1},
        {"samples_per_class": 0},
        {"dim": 0},
        {"radius": 0.0},
        {"radius": float("inf")},
        {"mode_spread": -1.0},
        {"mode_spread": float("nan")},
        {"overlap_prob": 1.1},
        {"outlier_frac": -0.1},
        {"n_super": 11},
        {"super_spread": -0.1},
        {"imbalance": 0.5},
        {"seed": -1},
    ],
)
def test_parameters_out_of_range_are_refused(params: dict[str, Any]) -> None:
    (name,) = params
    with pytest.raises(InputError, match=f"synthetic: {name} is .*; it must be"):
        synthetic(**params)
