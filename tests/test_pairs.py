"""What the fast losses are made of: blocks of distances, rankings, codes, given gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metriscope import ops
from metriscope.ops import pairs
from tests.test_fast_losses import distances, space


def ranking(d: np.ndarray, y: np.ndarray, handicap: float) -> tuple[np.ndarray, np.ndarray]:
    """For every anchor and positive, negatives nearer than d + handicap; and the reverse."""
    same = y[:, None] == y
    pos = same & ~np.eye(len(y), dtype=bool)
    before = (d[:, None, :] < d[:, :, None] + handicap) & pos[:, :, None] & ~same[:, None, :]
    return before.sum(2), before.sum(1)


@pytest.mark.parametrize("handicap", [-1e-12, 0.25, 7.0])
@pytest.mark.parametrize("b", [1, 2, 33])
def test_rank_counts_and_orders(b: int, handicap: float) -> None:
    rng = np.random.default_rng(b)
    y = rng.integers(0, 4, b)
    d = rng.integers(0, 9, (b, b)) / 4  # ties, also at the handicap
    np.fill_diagonal(d, 0)
    for first in range(0, b, 8):
        rows = slice(first, first + 8)
        columns, negative, nearer = ops.rank(
            torch.from_numpy(d[rows]),
            torch.from_numpy(y),
            first,
            handicap - 1e-12,
            torch.empty(3, *d[rows].shape, dtype=torch.float64),
        )
        before, _ = ranking(d, y, handicap - 1e-12)
        for i, anchor in enumerate(range(first, min(first + 8, b))):
            order = columns[i].numpy()
            assert sorted(order) == list(range(b))
            assert np.array_equal(negative[i].numpy(), (y != y[anchor])[order])
            assert np.array_equal(nearer[i].numpy(), np.cumsum(y[order] != y[anchor]))
            others = (y[order] == y[anchor]) & (order != anchor)
            assert np.array_equal(nearer[i].numpy()[others], before[anchor][order[others]])
            far = d[anchor][order[y[order] != y[anchor]]]
            assert np.all(np.diff(far) >= 0)


def test_rank_of_a_very_long_row_keeps_twelve_digits() -> None:
    """17 bits are the column's: what is left is finer than the 1e-12 that counts as equal."""
    b = 70_000
    d = torch.linspace(0.5, 0.5 + 1e-12 * b, b, dtype=torch.float64)[None].flip(1)
    columns, negative, nearer = ops.rank(
        d, torch.arange(b) % 2, 1, 0.0, torch.empty(3, *d.shape, dtype=d.dtype)
    )
    assert columns[0, :-1].diff().max() < 0  # farthest column first in memory, last in the order
    assert columns[0, -1] == 1
    assert nearer[0, -1] == negative.sum() == b // 2


def test_rank_elsewhere_than_on_the_cpu_sorts_with_torch() -> None:
    d = torch.rand(5, 9, dtype=torch.float64)
    y = torch.tensor([0, 1, 0, 2, 1, 0, 0, 2, 1])
    memory = torch.empty(3, 5, 9, dtype=torch.float64)
    want = ops.rank(d, y, 2, 0.1, memory)
    elsewhere = ops.rank(d.to("meta"), y.to("meta"), 2, 0.1, memory.to("meta"))
    assert [(t.shape, t.dtype) for t in elsewhere] == [(t.shape, t.dtype) for t in want]


def test_pair_blocks_have_every_pair_once_and_add_up_their_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    z = space("random", 23)
    want = distances(z).square()
    weights = torch.rand(23, 23, dtype=torch.float64)
    for rows, upper in [(1, False), (5, False), (5, True), (100, True)]:
        monkeypatch.setitem(pairs.BLOCK, "cpu", rows * 23)
        blocks = ops.PairBlocks(z, upper=upper)
        assert not blocks.wanted
        gradient, seen = torch.zeros_like(z), torch.zeros(23, 23)
        for block, columns, squared in blocks:
            assert len(squared) <= rows
            assert torch.allclose(squared, want[block, columns], atol=1e-14)
            seen[block, columns] += 1
            w = weights[block, columns].triu(1) if upper else weights[block, columns]
            blocks.add_gradient(gradient, w, block, columns)
        assert (seen.triu() == torch.ones(23, 23).triu()).all()
        assert upper or (seen == 1).all()
        x = z.clone().requires_grad_()
        w = weights.triu(1) if upper else weights
        ((x[:, None] - x).square().sum(2) * w).sum().div(2).backward()
        assert x.grad is not None
        assert torch.allclose(gradient, x.grad)


def test_by_class_and_equality() -> None:
    y = torch.tensor([10**15, -4, 10**15, 7, -4, 10**15])
    order, start, size = ops.by_class(y)
    assert order.tolist() == [1, 4, 3, 0, 2, 5]
    assert start.tolist() == [3, 0, 3, 2, 0, 3]
    assert size.tolist() == [3, 2, 3, 1, 2, 3]
    for dtype in (torch.float32, torch.float64):
        same = ops.equality(start[:4], start, dtype)
        assert same.dtype == dtype
        assert torch.equal(same.bool(), ops.same_class(y)[:4])


def test_distances_to_keep_their_digits_and_have_gradient_0_between_equal_rows() -> None:
    z = (1 + 1e-6 * torch.randn(6, 3, dtype=torch.float64)).requires_grad_()
    other = torch.tensor([3, 0, 2, 5, 1, 1])
    want = (z.detach() - z.detach()[other]).norm(dim=1)
    assert torch.allclose(ops.distances_to(z, other), want, rtol=1e-14)
    assert torch.allclose(ops.distances_to(z, other, True), want**2, rtol=1e-14)
    ops.distances_to(z, torch.arange(6)).sum().backward()
    assert not z.grad.any()


def test_with_gradient_is_seen_by_autograd() -> None:
    z = torch.randn(3, 2, requires_grad=True)
    slope = torch.randn(3, 2)
    value = ops.with_gradient(z, torch.tensor(4.0, dtype=torch.float64), slope)
    assert value.item() == 4
    (gradient,) = torch.autograd.grad(value.square() / 2, z, create_graph=True)
    assert torch.allclose(gradient, 4 * slope)
    assert gradient.dtype == torch.float32
    with pytest.raises(RuntimeError, match="no second derivative"):
        gradient.sum().backward()
    assert not ops.with_gradient(z.detach(), torch.tensor(4.0), slope).requires_grad
