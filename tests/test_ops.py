"""Distances, masks and moments against the plainest way to compute them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metriscope import ops
from tests.spaces import exact_squared, unit

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


def test_a_block_of_pairs_keeps_to_its_memory() -> None:
    z = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    pieces = [len(piece) for piece in ops.squared_pair_blocks(z, block_bytes=48_000)]
    assert max(pieces) * 8 <= 48_000
