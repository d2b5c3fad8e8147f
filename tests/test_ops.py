"""Distances, masks, moments and neighbours against the plainest way to compute them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from metriscope import ops
from tests.spaces import cone, unit


def exact_squared(q: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Squared distances from differences, in extended precision."""
    d = q[:, None, :].astype(np.longdouble) - g[None, :, :].astype(np.longdouble)
    return (d**2).sum(2)


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


# ------------------------------------------------------------------------------------- distances


def test_normalize_gives_unit_rows_and_leaves_a_zero_row_with_a_finite_gradient() -> None:
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    z = ops.normalize(x)
    assert z.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0.0, 0.0]]
    z.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_euclidean_is_the_distance_of_differences(rng: np.random.Generator) -> None:
    z = unit(rng.standard_normal((12, 5)))
    z[7] = z[2]
    d = ops.euclidean(torch.from_numpy(z).float().double()).numpy()
    want = np.sqrt(exact_squared(z.astype(np.float32), z.astype(np.float32))).astype(float)
    np.testing.assert_allclose(d, want, atol=1e-7, rtol=1e-12)
    assert d[7, 2] == d[2, 7] == 0
    assert (np.diag(d) == 0).all()


def test_euclidean_has_gradient_zero_between_equal_rows_and_the_right_one_elsewhere() -> None:
    z = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    z.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: (ops.euclidean(z) * weights).fill_diagonal_(0), (z,))
    same = torch.ones(4, 3, dtype=torch.float64, requires_grad=True)
    ops.euclidean(same).sum().backward()
    assert same.grad is not None
    assert same.grad.tolist() == torch.zeros(4, 3).tolist()


def test_euclidean_is_float64_for_float32_rows_and_its_gradient_float32() -> None:
    z = torch.eye(3, requires_grad=True)
    d = ops.euclidean(z)
    d.sum().backward()
    assert d.dtype == torch.float64
    assert z.grad is not None
    assert z.grad.dtype == torch.float32


@pytest.mark.parametrize("block_bytes", [1, 8 * 25 * 3, 1 << 25])
@pytest.mark.parametrize("spread", [1.0, 1e-6])
def test_squared_pair_blocks_have_every_pair_once(
    block_bytes: int, spread: float, rng: np.random.Generator
) -> None:
    z = np.ones((25, 4)) / 2 + spread * rng.standard_normal((25, 4))
    got = torch.cat(
        list(ops.squared_pair_blocks(torch.from_numpy(z), block_bytes=block_bytes))
    ).numpy()
    want = exact_squared(z, z)[np.triu_indices(25, 1)].astype(float)
    # Coordinates near 1/2 carry 1e-16, which is 1e-10 of a spread of 1e-6.
    np.testing.assert_allclose(np.sort(got), np.sort(want), rtol=1e-8)


def test_squared_pair_blocks_of_one_row_are_empty() -> None:
    assert sum(len(piece) for piece in ops.squared_pair_blocks(torch.ones(1, 3))) == 0


# ------------------------------------------------------------------------------ masks and moments


def test_masks_of_a_batch() -> None:
    labels = torch.tensor([4, 1, 4])
    assert ops.same_class(labels).int().tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    assert ops.positives(labels).int().tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]


def test_masked_logsumexp_ignores_what_is_masked_and_survives_an_empty_row() -> None:
    x = torch.tensor([[1.0, 700.0, 2.0], [3.0, 4.0, 5.0]], dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True, False, True], [False, False, False]])
    out = ops.masked_logsumexp(x, mask)
    assert out[0].item() == pytest.approx(np.log(np.e + np.e**2))
    assert -np.inf < out[1].item() < -1e300
    out.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_class_moments_leave_absent_classes_out(rng: np.random.Generator) -> None:
    z, y = rng.standard_normal((20, 3)), rng.choice([2, 5, 2**40], 20)
    moments = ops.class_moments(torch.from_numpy(z), torch.from_numpy(y))
    assert moments.codes.tolist() == [2, 5, 2**40]
    for i, code in enumerate([2, 5, 2**40]):
        assert moments.counts[i] == (y == code).sum()
        np.testing.assert_allclose(moments.sums[i], z[y == code].sum(0), rtol=1e-13)
        np.testing.assert_allclose(moments.means[i], z[y == code].mean(0), rtol=1e-13)


def test_upper_pairs_are_each_pair_once() -> None:
    matrix = torch.arange(9.0).reshape(3, 3)
    assert ops.upper_pairs(matrix).tolist() == [1.0, 2.0, 5.0]
    assert ops.upper_pairs(torch.ones(1, 1)).tolist() == []


# ------------------------------------------------------------------------------------- neighbours


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
    pieces = [len(piece) for piece in ops.squared_pair_blocks(z, block_bytes=48_000)]
    assert max(pieces) * 8 <= 48_000
