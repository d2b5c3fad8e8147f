"""The float32 search: as exact as sorting every distance, and only where float32 can decide."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from metriscope import ops
from metriscope.ops.neighbours import Gallery
from metriscope.ops.ranking import settled, smallest
from tests.spaces import exact_squared, unit

N = 450  # above what is searched in float32 for ten neighbours


def _random(rng: np.random.Generator) -> np.ndarray:
    return unit(rng.standard_normal((N, 12)))


def _clustered(rng: np.random.Generator, spread: float = 0.2) -> np.ndarray:
    return unit(
        rng.standard_normal((9, 12))[np.arange(N) % 9] + spread * rng.standard_normal((N, 12))
    )


def _cone(rng: np.random.Generator, spread: float) -> np.ndarray:
    return unit(rng.standard_normal((1, 12))) + spread * rng.standard_normal((N, 12))


def _outliers(rng: np.random.Generator) -> np.ndarray:
    return np.concatenate([_cone(rng, 1e-4)[3:], np.eye(12)[:2], -_cone(rng, 1e-4)[:1]])


SPACES: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "random": _random,
    "clustered": _clustered,
    "tight clusters": lambda rng: _clustered(rng, 1e-3),
    "collapsed clusters": lambda rng: _clustered(rng, 1e-5),
    "cone": lambda rng: _cone(rng, 1e-6),
    "narrow cone": lambda rng: _cone(rng, 1e-9),
    "outliers": _outliers,
    "one dimension": lambda rng: np.sort(rng.standard_normal((N, 1)), 0),
    "pairs": lambda rng: _random(rng)[rng.integers(0, N // 2, N)],
    "huge": lambda rng: 1e30 * _random(rng),
    "tiny": lambda rng: 1e-60 * _random(rng),
}


def ranked(q: np.ndarray, g: np.ndarray | None, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices and exact squared distances; a chain of ties, as wide as documented, by index."""
    scale = 2.0 ** np.frexp(np.abs(q).max())[1]
    rows = q if g is None else g
    d2 = exact_squared(q / scale, rows / scale)
    if g is None:
        np.fill_diagonal(d2, np.inf)
    r = np.linalg.norm((q - np.median(rows, 0)) / scale, axis=1)
    order = np.argsort(d2, axis=1, kind="stable")
    for row, near in enumerate(order):
        rising = d2[row, near]
        gap = np.diff(rising[np.isfinite(rising)])
        split = gap > 2.0**-43 * (r[row] + np.sqrt(rising[1 : len(gap) + 1])) ** 2
        group = np.concatenate([[0], np.cumsum(split)])
        order[row, : len(group)] = near[: len(group)][np.lexsort((near[: len(group)], group))]
    index = order[:, :k]
    return index, np.take_along_axis(d2, index, 1).astype(float) * scale**2


def blocks(q: np.ndarray, g: np.ndarray | None, k: int, **more: int) -> tuple[Tensor, Tensor]:
    gallery = None if g is None else torch.from_numpy(g)
    found = list(ops.neighbour_blocks(torch.from_numpy(q), gallery, k, **more))
    return torch.cat([index for _, index, _ in found]), torch.cat([d2 for *_, d2 in found])


def indices(x: np.ndarray, k: int) -> Tensor:
    among, rows = Gallery(torch.from_numpy(x)), torch.arange(len(x))
    parts = list(among.parts(len(x), 8 * 3 * len(x) * 64))
    return torch.cat([among.nearest_index(among.z[p], rows[p], k) for p in parts])


@pytest.fixture
def by_float64(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many queries each call of the float64 way was given."""
    calls: list[int] = []
    whole = Gallery._by_float64

    def counted(
        self: Gallery, queries: Tensor, own: Tensor | None, k: int
    ) -> tuple[Tensor, Tensor]:
        calls.append(len(queries))
        return whole(self, queries, own, k)

    monkeypatch.setattr(Gallery, "_by_float64", counted)
    return calls


@pytest.mark.parametrize("case", SPACES)
def test_every_space_is_ranked_as_by_all_exact_distances(
    case: str, rng: np.random.Generator
) -> None:
    x = SPACES[case](rng)
    want, d2 = ranked(x, None, 10)
    index, squared = blocks(x, None, 10, block_bytes=8 * 3 * N * 100)
    np.testing.assert_array_equal(index.numpy(), want)
    np.testing.assert_array_equal(indices(x, 10).numpy(), want)
    middle = np.square(x - np.median(x, 0)).sum(1, keepdims=True)
    assert (np.abs(squared.numpy() - d2) <= 1e-12 * (middle + d2)).all()


@pytest.mark.parametrize("case", ["random", "clustered", "cone", "pairs", "tight clusters"])
def test_queries_are_searched_among_others(case: str, rng: np.random.Generator) -> None:
    g = SPACES[case](rng)
    q = (g[::3] + g[1::3]) / 2 + 1e-3 * (g[::3] - g[2::3])
    for k in (1, 20):
        np.testing.assert_array_equal(blocks(q, g, k)[0].numpy(), ranked(q, g, k)[0])


@pytest.mark.parametrize("scale", [1.0, 1 / 3, 1e-6])
def test_ties_of_a_lattice_go_to_the_lower_index(scale: float, rng: np.random.Generator) -> None:
    x = rng.integers(-3, 4, (N, 3)).astype(float)
    want, _ = ranked(x, None, 7)
    np.testing.assert_array_equal(blocks(x * scale, None, 7)[0].numpy(), want)
    np.testing.assert_array_equal(indices(x * scale, 7).numpy(), want)


@pytest.mark.parametrize("case", SPACES)
def test_sets_of_the_nearest_are_exact_at_their_cuts(case: str, rng: np.random.Generator) -> None:
    x = SPACES[case](rng)
    among, rows = Gallery(torch.from_numpy(x)), torch.arange(N)
    got, want = among.nearest_index(among.z, rows, 9, (2, 9)), ranked(x, None, 9)[0]
    for cut in (2, 9):
        np.testing.assert_array_equal(np.sort(got[:, :cut], 1), np.sort(want[:, :cut], 1))


@pytest.mark.parametrize("case", ["random", "clustered", "cone", "narrow cone"])
def test_ordinary_spaces_need_no_float64_product(
    case: str, rng: np.random.Generator, by_float64: list[int]
) -> None:
    x = SPACES[case](rng)
    blocks(x, None, 10)
    indices(x, 10)
    assert by_float64 == []


def test_what_float32_cannot_decide_is_done_in_float64(
    rng: np.random.Generator, by_float64: list[int]
) -> None:
    x = _random(rng)
    x[::3] = x[:1] + 1e-4 * rng.standard_normal((150, 12))
    np.testing.assert_array_equal(indices(x, 10).numpy(), ranked(x, None, 10)[0])
    assert 150 <= sum(by_float64) <= 160


def test_float32_is_not_tried_in_every_block_where_it_fails(
    rng: np.random.Generator, by_float64: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    candidates = Gallery._candidates

    def counted(self: Gallery, queries: Tensor, scores: Tensor, m: int) -> object:
        tried.append(len(queries))
        return candidates(self, queries, scores, m)

    monkeypatch.setattr(Gallery, "_candidates", counted)
    x = unit(rng.standard_normal((2, 12)))[np.arange(N) % 2] + 1e-8 * rng.standard_normal((N, 12))
    blocks(x, None, 10, block_bytes=8 * 3 * N * 10)
    assert sum(by_float64) == N
    assert 0 < tried.count(10) <= 3 * N / 10 / 3


def test_a_product_of_fewer_digits_is_noticed(
    rng: np.random.Generator, by_float64: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    x = _random(rng)
    want = indices(x, 10)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (indices(x, 10) == want).all()
    assert by_float64 == []
    exact = Gallery._float32.func  # type: ignore[attr-defined]

    def rounded(self: Gallery) -> tuple[Tensor, float, float]:
        columns, scale, e = exact(self)
        return columns.bfloat16().float(), scale, e

    monkeypatch.setattr(Gallery, "_float32", property(rounded))
    assert (indices(x, 10) == want).all()
    assert sum(by_float64) == N


@pytest.mark.parametrize("far", [1e10, 1e35, 1e38, 1e45])
def test_queries_out_of_the_range_of_float32(
    far: float, rng: np.random.Generator, by_float64: list[int]
) -> None:
    g = _random(rng)
    q = np.concatenate([g[:30] + 0.01, far * _random(rng)[:30]])
    want = np.concatenate([ranked(part, g, 4)[0] for part in (q[:30], q[30:])])
    index, _ = blocks(q, g, 4, block_bytes=8 * 3 * N * 30)
    np.testing.assert_array_equal(index.numpy(), want)
    assert by_float64 == [30]


def test_float32_rows_are_ranked_as_their_exact_values(rng: np.random.Generator) -> None:
    x = _random(rng).astype(np.float32)
    np.testing.assert_array_equal(indices(x, 10).numpy(), ranked(x.astype(float), None, 10)[0])


@pytest.mark.parametrize("n", [64 * 9, 64 * 40, 100, 1000])
@pytest.mark.parametrize("m", [1, 5, 20])
def test_the_smallest_by_chunks_are_the_smallest(n: int, m: int, rng: np.random.Generator) -> None:
    for scores in (rng.standard_normal((30, n)), rng.integers(0, 30, (30, n)).astype(float)):
        values, columns = smallest(torch.from_numpy(scores), m)
        np.testing.assert_array_equal(np.sort(values.numpy(), 1), np.sort(scores, 1)[:, :m])
        np.testing.assert_array_equal(np.take_along_axis(scores, columns.numpy(), 1), values)
        assert all(len(set(row)) == m for row in columns.tolist())


def test_a_chain_of_ties_is_settled_at_its_end() -> None:
    squared = torch.tensor([[1.0, 2, 3, 4]]).double()
    tie = torch.tensor([[False, True, True]])
    one = torch.ones(1, 1).double()
    for k, beyond, final in ((1, 1.5, True), (2, 3.5, False), (2, 4 + 1e-12, False), (2, 5, True)):
        assert settled(squared, tie, k, beyond * one, one).tolist() == [final]
    assert settled(squared, tie, 4, torch.inf * one, one).tolist() == [True]


@pytest.mark.parametrize("case", ["random", "tight clusters", "collapsed clusters", "pairs"])
def test_recall_is_that_of_the_exact_order(case: str, rng: np.random.Generator) -> None:
    x, y = SPACES[case](rng), rng.integers(0, 60, N)
    y[:3] = [100, 101, 102]
    order, _ = ranked(x, None, N - 1)
    same, asked = y[order] == y[:, None], np.bincount(y)[y] > 1
    got = ops.recall(torch.from_numpy(x), torch.from_numpy(y), (1, 5, 10))
    want = [same[asked, :k].any(1).mean() for k in (1, 5, 10)]
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-14)
    assert 0 < want[0] < want[2]


def test_recall_of_few_rows() -> None:
    z, y = torch.eye(3).double(), torch.tensor([0, 1, 0])
    assert ops.recall(z, y, (10, 1)).tolist() == [1, 0.5]  # all are equally far
    assert ops.recall(z, torch.arange(3), (1,)).isnan().all()
    assert ops.recall(z[:1], y[:1], (1,)).isnan().all()


@pytest.mark.parametrize("ks", [(), (0,), (1, -1)])
def test_recall_of_no_neighbours_is_refused(ks: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="ks must be numbers from 1"):
        ops.recall(torch.eye(3), torch.tensor([0, 0, 1]), ks)
