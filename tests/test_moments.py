"""Class moments, spectra and summaries against extended precision, whatever the order of rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metriscope import ops
from metriscope.ops import spectra
from tests.spaces import exact_squared, unit


def cone(spread: float, n: int = 60, d: int = 5, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around one axis, and labels; class 3 comes last and class 2 has one row."""
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, n)
    y[n // 2] = 2
    y[-n // 4 :] = 3
    x = 1 / np.sqrt(d) + spread * (rng.standard_normal((classes, d))[y] + rng.normal(size=(n, d)))
    return unit(x), y


def exact(z: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Counts, means, squares and scatter by definition, in extended precision."""
    z = z.astype(np.longdouble)
    members = [z[y == c] for c in np.unique(y)]
    means = np.array([rows.mean(0) for rows in members])
    rest = [rows - mean for rows, mean in zip(members, means, strict=True)]
    return {
        "counts": np.array([len(rows) for rows in members]),
        "means": means,
        "squares": np.array([(r**2).sum() for r in rest]),
        "scatter": np.sum([r.T @ r for r in rest], 0),
    }


def added(z: np.ndarray, y: np.ndarray, cuts: list[int]) -> ops.MomentSums:
    sums = ops.MomentSums(z.shape[1])
    for rows in np.split(np.arange(len(z)), cuts):
        sums.add(torch.from_numpy(z[rows]), torch.from_numpy(y[rows]))
    return sums


def assert_exact(sums: ops.MomentSums, z: np.ndarray, y: np.ndarray, rtol: float) -> None:
    want, got = exact(z, y), sums.result()
    assert got.codes.tolist() == np.unique(y).tolist()
    assert got.counts.tolist() == want["counts"].tolist()
    step = float(np.abs(want["means"] - want["means"][0]).max())
    np.testing.assert_allclose(got.means, want["means"], rtol=4e-16, atol=rtol * step)
    scale = float(want["squares"].max())
    np.testing.assert_allclose(got.squares, want["squares"], rtol=rtol, atol=1e-3 * rtol * scale)
    np.testing.assert_allclose(sums.scatter, want["scatter"], atol=rtol * scale)


@pytest.mark.parametrize("spread", [1.0, 1e-6, 1e-9])
@pytest.mark.parametrize("cuts", [[], [30], [*range(1, 60)], [0, 1, 1, 59]])
def test_sums_of_blocks_are_the_definition(spread: float, cuts: list[int]) -> None:
    z, y = cone(spread)
    # A mean near 1 holds 1e-16, which is that much of a spread.
    assert_exact(added(z, y, cuts), z, y, 1e-14 + 3e-16 / spread)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 60), max_size=8), st.integers(0, 2**32 - 1), st.booleans())
def test_any_order_and_any_merge_give_the_same(cuts: list[int], seed: int, late: bool) -> None:
    z, y = cone(1e-6)
    order = np.random.default_rng(seed).permutation(len(z))
    parts = [added(z[rows], y[rows], []) for rows in np.split(order, sorted(cuts))]
    total = ops.MomentSums(z.shape[1])
    for part in parts[::-1] if late else parts:
        total.merge(part)
    assert_exact(total, z, y, 1e-9)


def test_an_outlier_that_comes_first_costs_no_digits() -> None:
    z, y = cone(1e-6)
    z = np.concatenate([-z[:2], z])
    y = np.concatenate([[0, 1], y])
    for cuts in ([1, 2], [2], [10]):
        assert_exact(added(z, y, cuts), z, y, 1e-14)
    rows = added(z, y, [2])
    others = rows.result().squares[2:]  # classes without an outlier keep theirs
    np.testing.assert_allclose(others, exact(z, y)["squares"][2:], rtol=1e-9, atol=0)


def test_a_million_equal_rows_have_no_spread() -> None:
    z = torch.nn.functional.normalize(torch.arange(1.0, 4, dtype=torch.float64), dim=0)
    sums = ops.MomentSums(3)
    for _ in range(20):
        sums.add(z.expand(50_000, 3).contiguous(), torch.zeros(50_000, dtype=torch.int64))
    found = sums.result()
    assert found.counts.tolist() == [1e6]
    assert (found.means[0] - z).abs().max() < 1e-15
    assert found.squares[0] < 1e-24
    whole = ops.class_moments(z.expand(100_000, 3), torch.zeros(100_000, dtype=torch.int64))
    assert (whole.means[0] - z).abs().max() < 1e-15
    assert whole.squares[0] < 1e-24


def test_codes_may_come_late_and_leave_gaps(rng: np.random.Generator) -> None:
    sums = ops.MomentSums(2)
    sums.add(torch.ones(1, 2, dtype=torch.float64), torch.tensor([3]))
    sums.add(torch.zeros(2, 2, dtype=torch.float64), torch.tensor([900, 3]))
    found = sums.result()
    assert found.codes.tolist() == [3, 900]
    assert found.means.tolist() == [[0.5, 0.5], [0, 0]]
    assert found.squares.tolist() == [pytest.approx(1), 0]
    np.testing.assert_allclose(sums.scatter, np.full((2, 2), 0.5))


def test_moments_of_rows_in_memory_are_those_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for spread in (1.0, 1e-6):
        z, y = cone(spread, 300)
        whole = ops.class_moments(torch.from_numpy(z), torch.from_numpy(y))
        blocks = added(z, y, [7, 100, 200]).result()
        np.testing.assert_allclose(whole.means, blocks.means, rtol=1e-15)
        np.testing.assert_allclose(whole.squares, blocks.squares, rtol=1e-14 / spread, atol=0)


@pytest.mark.parametrize("n", [0, 1, 300])
def test_gram_is_the_product(n: int, rng: np.random.Generator) -> None:
    x = torch.from_numpy(rng.standard_normal((n, 7)))
    np.testing.assert_allclose(ops.moments.gram(x), x.T @ x, rtol=1e-12, atol=1e-12)


def test_unit_rows_of_every_size() -> None:
    x = np.array([[3.0, 4], [3e-7, 4e-7], [0, 0], [3e200, 4e200], [np.nan, 1], [np.inf, 1]])
    z, norms = ops.unit_rows(torch.from_numpy(x.copy()))
    np.testing.assert_allclose(z[:4], [[0.6, 0.8], [0.3, 0.4], [0, 0], [0.6, 0.8]], rtol=1e-15)
    assert norms[0] == 5
    assert (norms[:4] < 1e-6).tolist() == [False, True, True, False]
    assert norms.isfinite().tolist() == [True] * 4 + [False] * 2


# ----------------------------------------------------------------------------------------- spectra


def spectrum(*values: float, n: int = 90, wide: int = 12) -> np.ndarray:
    """(n, wide) with these singular values, and 1 for the others."""
    rng = np.random.default_rng(1)
    left, _ = np.linalg.qr(rng.standard_normal((n, wide)))
    right, _ = np.linalg.qr(rng.standard_normal((wide, wide)))
    s = np.ones(wide)
    s[: len(values)] = values
    return np.asarray((left * np.sort(s)[::-1]) @ right.T)


MATRICES: dict[str, Callable[[], np.ndarray]] = {
    "all large": lambda: spectrum(0.3, 0.2, 7, 1e-3),
    "some tiny": lambda: spectrum(1e-9, 3e-10, 0.1),
    "one at rounding": lambda: spectrum(1e-17, 50, 0.1),
    "no gap": lambda: spectrum(*10.0 ** -np.arange(12)),
    "too small a gap": lambda: spectrum(1.2e-4, 8e-5, 7e-5),
    "most tiny": lambda: spectrum(*[1e-8] * 9),
    "an empty column": lambda: np.pad(spectrum(0.1), ((0, 0), (0, 1))),
    "zero": lambda: np.zeros((40, 9)),
    "more columns than rows": lambda: spectrum(1e-9, 0.1).T.copy(),
}


@pytest.mark.parametrize("wide", [4, 512])
@pytest.mark.parametrize("name", MATRICES)
def test_singular_values_are_those_of_numpy(
    name: str, wide: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spectra, "_WIDE", wide)
    x = MATRICES[name]()
    got = ops.singular_values(torch.from_numpy(x))
    want = np.linalg.svd(x, compute_uv=False)
    assert got.shape == want.shape
    assert (got.diff() <= 1e-15 * want[0]).all()
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=4e-15 * want[0])


def test_wide_matrices_without_a_gap_are_factored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectra, "_WIDE", 4)
    found: list[tuple[int, ...]] = []
    monkeypatch.setattr(spectra, "triangle", lambda x: found.append(x.shape) or x)
    widths = {}
    for name in ("all large", "some tiny", "no gap", "too small a gap", "most tiny"):
        found.clear()
        ops.singular_values(torch.from_numpy(MATRICES[name]()))
        widths[name] = [shape[1] for shape in found]
    assert widths.pop("all large") == []
    assert widths.pop("some tiny") == [2]
    assert set(map(tuple, widths.values())) == {(12,)}


@pytest.mark.parametrize("shape", [(3, 8), (8, 8), (50, 8)])
def test_triangle_has_the_product_of_its_matrix(
    shape: tuple[int, int], rng: np.random.Generator
) -> None:
    x = torch.from_numpy(rng.standard_normal(shape))
    r = ops.triangle(x)
    assert r.shape == (min(shape[0], 8), 8)
    np.testing.assert_allclose(r.T @ r, x.T @ x, atol=1e-13)


# ------------------------------------------------------------------------------- pairs, summaries


@pytest.mark.parametrize("block_bytes", [8, 8 * 49, 1 << 26])
@pytest.mark.parametrize("spread", [1.0, 1e-6])
@pytest.mark.parametrize("clumped", [False, True])
def test_pair_distances_have_every_pair_once(
    block_bytes: int, spread: float, clumped: bool, rng: np.random.Generator
) -> None:
    x = 0.5 + spread * rng.standard_normal((23, 9))
    if clumped:
        x[20] = x[3]
        x[21] = x[4] + 1e-12
    pieces = list(ops.pair_distances(torch.from_numpy(x), block_bytes=block_bytes))
    assert max(map(len, pieces)) * 8 <= max(block_bytes, 8)
    want = np.sqrt(exact_squared(x, x))[np.triu_indices(23, 1)].astype(float)
    got = np.sort(torch.cat(pieces).numpy())
    # Centring rounds coordinates near 1/2 once more.
    np.testing.assert_allclose(got, np.sort(want), rtol=1e-13, atol=2e-16)
    assert (got[0] == 0) == clumped


def test_a_summary_of_pieces_is_that_of_all(rng: np.random.Generator) -> None:
    values = 1 + 1e-9 * rng.standard_normal(500)
    pieces = [torch.from_numpy(p) for p in np.split(values, [0, 3, 3, 100, 499])]
    found = ops.summary(iter(pieces))
    assert found is not None
    exact = values.astype(np.longdouble)
    assert float(found.mean) == pytest.approx(float(exact.mean()), rel=1e-15)
    assert float(found.sd) == pytest.approx(float(exact.std()), rel=1e-6)
    alone = ops.summary([torch.tensor([4.0])])
    assert alone is not None
    assert (float(alone.mean), float(alone.sd)) == (4, 0)
    assert ops.summary([]) is None
    assert ops.summary([torch.empty(0)]) is None
