"""Nearest neighbours against a sort of all exact distances."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from metriscope import ops
from tests.spaces import cone, exact_squared, unit


def exact_neighbours(q: np.ndarray, g: np.ndarray | None, k: int) -> np.ndarray:
    d2 = exact_squared(q, q if g is None else g)
    if g is None:
        np.fill_diagonal(d2, np.inf)
    return np.argsort(d2, axis=1, kind="stable")[:, :k]


def search(
    q: np.ndarray, g: np.ndarray | None, k: int, block_bytes: int = 1 << 25
) -> tuple[np.ndarray, np.ndarray]:
    gallery = None if g is None else torch.from_numpy(g)
    blocks = list(ops.neighbour_blocks(torch.from_numpy(q), gallery, k, block_bytes=block_bytes))
    covered = [i for part, _, _ in blocks for i in range(part.start, part.stop)]
    assert covered == list(range(len(q)))
    index = torch.cat([index for _, index, _ in blocks]).numpy()
    return index, torch.cat([squared for _, _, squared in blocks]).numpy()


@pytest.mark.parametrize("k", [1, 7, 8, 31])
@pytest.mark.parametrize("block_bytes", [1, 8 * 3 * 32 * 5, 1 << 25])
@pytest.mark.parametrize("leave_one_out", [True, False])
def test_neighbours_are_exact(
    k: int, block_bytes: int, leave_one_out: bool, rng: np.random.Generator
) -> None:
    q = unit(rng.standard_normal((32, 6)))
    g = None if leave_one_out else unit(rng.standard_normal((32, 6)))
    index, squared = search(q, g, k, block_bytes)
    want = exact_neighbours(q, g, k)
    np.testing.assert_array_equal(index, want)
    d2 = np.take_along_axis(exact_squared(q, q if g is None else g), want, 1).astype(float)
    np.testing.assert_allclose(squared, d2, atol=1e-14)


@settings(max_examples=60, deadline=None)
@given(
    points=st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=2, max_size=24),
    k=st.integers(1, 23),
    block_bytes=st.sampled_from([1, 8 * 3 * 24 * 2, 1 << 25]),
    scale=st.sampled_from([1.0, 1 / 3, 1e-6]),
)
def test_equal_distances_go_to_the_lower_index(
    points: list[tuple[int, int]], k: int, block_bytes: int, scale: float
) -> None:
    lattice = np.array(points, float)
    k = min(k, len(lattice) - 1)
    index, _ = search(lattice * scale, None, k, block_bytes)
    np.testing.assert_array_equal(index, exact_neighbours(lattice, None, k))


def test_copies_of_a_point_are_ties_whatever_the_block(rng: np.random.Generator) -> None:
    base = unit(rng.standard_normal((150, 24)))
    rows = rng.integers(0, 150, 900)
    rank = np.argsort(exact_squared(base, base), axis=1, kind="stable")
    order = np.argsort(rank, axis=1)  # (150, 150) how near, in whole numbers
    for k, block_bytes in ((30, 1), (30, 1 << 25), (700, 1 << 22)):
        index, _ = search(base[rows], None, k, block_bytes)
        near = order[rows][:, rows].astype(float)
        np.fill_diagonal(near, np.inf)
        np.testing.assert_array_equal(index, np.argsort(near, axis=1, kind="stable")[:, :k])


@pytest.mark.parametrize("spread", [1e-3, 1e-6, 1e-9])
def test_a_collapsed_cone_ranks_as_finely_as_any_space(spread: float) -> None:
    x, _ = cone(3, spread)
    index, squared = search(x, None, 10)
    want = exact_neighbours(x, None, 10)
    np.testing.assert_array_equal(index, want)
    d2 = np.take_along_axis(exact_squared(x, x), want, 1).astype(float)
    np.testing.assert_allclose(squared, d2, rtol=1e-9)


def test_an_outlier_does_not_blur_a_cone() -> None:
    x, _ = cone(3, 1e-6)
    x = np.concatenate([x, np.zeros_like(x[:1]), -x[:1]])
    index, _ = search(x, None, 10)
    np.testing.assert_array_equal(index[:-2], exact_neighbours(x, None, 10)[:-2])


def test_queries_far_from_the_gallery_find_their_neighbours(rng: np.random.Generator) -> None:
    g = np.ones((40, 3)) / np.sqrt(3) + 1e-3 * rng.standard_normal((40, 3))
    q = unit(rng.standard_normal((10, 3)))
    index, _ = search(q, g, 12)
    np.testing.assert_array_equal(index, exact_neighbours(q, g, 12))


def test_identical_rows_are_neighbours_in_the_order_of_rows() -> None:
    x = np.tile(unit(np.array([[0.3, -0.7, 0.2]])), (9, 1))
    index, squared = search(x, None, 8)
    assert index.tolist() == [[j for j in range(9) if j != i] for i in range(9)]
    assert (squared < 1e-30).all()


@pytest.mark.parametrize(("gallery", "k"), [(None, 5), (None, 0), (torch.ones(3, 2), 4)])
def test_impossible_numbers_of_neighbours_are_refused(gallery: Tensor | None, k: int) -> None:
    with pytest.raises(ValueError, match="k must be between 1 and"):
        next(ops.neighbour_blocks(torch.ones(5, 2), gallery, k))


def test_a_block_keeps_to_its_memory() -> None:
    z = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    sizes = [p.stop - p.start for p, _, _ in ops.neighbour_blocks(z, None, 3, block_bytes=48_000)]
    assert max(sizes) * 200 * 8 * 3 <= 48_000
    assert len(sizes) == 20
