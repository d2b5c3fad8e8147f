"""Searches in a gallery, whole or a block at a time, against loops over exact distances."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metriscope import ops
from tests.spaces import cone, exact_squared, unit


def problem(seed: int, q: int, n: int, d: int = 6, classes: int = 4) -> tuple[np.ndarray, ...]:
    """Queries, their classes, a gallery, its classes; some rows twice, so that there are ties."""
    rng = np.random.default_rng(seed)
    z, g = unit(rng.standard_normal((q, d))), unit(rng.standard_normal((n, d)))
    g[n // 2 : n // 2 + n // 4] = g[: n // 4]
    return z, rng.integers(0, classes, q), g, rng.integers(0, classes, n)


def ranked(z: np.ndarray, g: np.ndarray, own: np.ndarray) -> list[list[int]]:
    """Each query's rows of the gallery, nearest first, equal ones by row, without its own."""
    far = exact_squared(z, g)
    return [
        [int(i) for i in np.argsort(far[q].round(14), kind="stable") if i not in own[q]]
        for q in range(len(z))
    ]


def some_own(seed: int, q: int, n: int, e: int) -> np.ndarray:
    own = np.random.default_rng(seed).integers(-1, n, (q, e))
    for row in own:  # each row of the gallery once
        row[: len(np.unique(row))] = np.unique(row)
        row[len(np.unique(row)) :] = -1
    return own


CASES = [(0, 30, 40, 1), (1, 25, 7, 2), (2, 40, 700, 1), (3, 20, 900, 40), (4, 5, 3, 3)]


@pytest.mark.parametrize(("seed", "q", "n", "e"), CASES)
def test_find_in_gallery_is_the_loop(seed: int, q: int, n: int, e: int) -> None:
    z, y, g, gy = problem(seed, q, n)
    own = some_own(seed, q, n, e)
    tensors = [torch.from_numpy(each) for each in (z, y, g, gy, own)]
    found, order = ops.find_in_gallery(*tensors), ranked(z, g, own)
    for i in range(q):
        near = order[i][:10]
        assert found.nearest[i, : len(near)].tolist() == near
        assert (found.nearest[i, len(near) :] == -1).all()
        assert found.squared[i, len(near) :].isinf().all()
        want = exact_squared(z[i : i + 1], g[near])[0].astype(float)
        assert found.squared[i, : len(near)].tolist() == pytest.approx(want, abs=1e-14)
        same = (gy[order[i]] == y[i]).astype(float)
        relevant = int(same.sum())
        assert found.relevant[i] == relevant
        assert found.hits[i] == same[:relevant].sum()
        if relevant:
            precision = same[:relevant].cumsum() / np.arange(1, relevant + 1)
            want = (precision * same[:relevant]).sum() / relevant
            assert float(found.precision[i]) == pytest.approx(want, abs=1e-12)
        else:
            assert found.precision[i].isnan()


def test_a_gallery_that_is_the_queries_gives_leave_one_out() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 5, 600)
    z = unit(rng.standard_normal((5, 16))[y] + rng.standard_normal((600, 16)))
    tz, ty = torch.from_numpy(z), torch.from_numpy(y)
    want = ops.find_neighbours(tz, ty)
    found = ops.find_in_gallery(tz, ty, tz, ty, torch.arange(600)[:, None])
    assert torch.equal(found.nearest, want.nearest)
    assert torch.equal(found.relevant, want.relevant)
    assert torch.equal(found.hits, want.hits)
    assert torch.equal(found.precision, want.precision)


@pytest.mark.parametrize("size", [5, 64, 600, 1300])
def test_blocks_find_what_one_search_finds(size: int) -> None:
    z, _, g, _ = problem(5, 50, 1300)
    tz, tg = torch.from_numpy(z), torch.from_numpy(g)
    so_far = ops.NearestSoFar(tz, 10)
    for block in tg.split(size):
        so_far.add(block)
    (_, index, squared) = next(iter(ops.neighbour_blocks(tz, tg, 10)))
    assert torch.equal(so_far.rows, index)
    assert torch.allclose(so_far.squared, squared, rtol=0, atol=1e-14)
    assert so_far.count == 1300


def test_blocks_of_a_collapsed_space_keep_their_order() -> None:
    x, _ = cone(3, 1e-7)
    z = torch.from_numpy(unit(np.repeat(x, 40, 0) + 1e-9 * np.random.default_rng(0).random((1, 5))))
    so_far = ops.NearestSoFar(z[:30], 5)
    for start in range(0, len(z), 200):
        so_far.add(z[start : start + 200])
    far = exact_squared(z[:30].numpy(), z.numpy())
    # Each point forty times: the first five of the nearest point's.
    assert so_far.rows.tolist() == [[40 * (q // 40) + i for i in range(5)] for q in range(30)]
    assert np.allclose(so_far.squared.numpy(), np.sort(far, 1)[:, :5].astype(float), atol=1e-25)


def test_own_rows_are_left_out_of_their_block() -> None:
    z, _, g, _ = problem(6, 20, 90)
    own = some_own(6, 20, 90, 3)
    so_far = ops.NearestSoFar(torch.from_numpy(z), 88)
    for start in range(0, 90, 20):
        here = np.where((own >= start) & (own < start + 20), own - start, -1)
        so_far.add(torch.from_numpy(g[start : start + 20]), torch.from_numpy(here))
    for i, want in enumerate(ranked(z, g, own)):
        rows = so_far.rows[i].tolist()
        assert rows[: len(want)] == want[:88]
        assert set(rows[len(want) :]) <= {ops.NO_ROW}
        assert so_far.squared[i, len(want) :].isinf().all()
