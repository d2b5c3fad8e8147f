"""The diagnostics that only a diagnosis asks for, against brute force and real float32."""

from __future__ import annotations

import numpy as np
import pytest

from metriscope.diagnostics.base import measure
from tests.damages import Labelled, damaged, healthy, shuffled, spaced
from tests.spaces import Arrays, clumps, space, unit


def scores(name: str, made: Labelled | Arrays) -> dict[str, float]:
    x, y = (made.x, made.y) if isinstance(made, Labelled) else made
    return {k: v for k, v in measure(space(x, y), [name]).items() if v is not None}


# ------------------------------------------------------------------------------------------- hubs


def test_the_share_of_the_most_retrieved_rows_is_that_of_brute_force() -> None:
    made = healthy("small, tight")
    z = unit(made.x)
    d = ((z[:, None] - z[None]) ** 2).sum(2)
    np.fill_diagonal(d, np.inf)
    found = np.bincount(np.argsort(d, axis=1)[:, :10].ravel(), minlength=len(z))
    share = np.sort(found)[::-1][:4].sum() / (10 * len(z))
    assert scores("hubs", made)["hubness.top"] == pytest.approx(share)


@pytest.mark.parametrize("dim", [8, 200])
def test_hubs_of_many_dimensions_are_usual(dim: int) -> None:
    rng = np.random.default_rng(dim)
    y = np.arange(800) % 2
    x = 3 * spaced(rng, 2, dim)[y] + rng.standard_normal((800, dim)) / np.sqrt(dim)
    found = scores("hubs", (x, y))
    assert 0.6 < found["hubness.top"] / found["hubness.top.usual"] < 1.4
    assert (found["hubness.top.usual"] > 0.07) == (dim == 200)


def test_neither_wrong_labels_nor_clumps_move_what_is_usual() -> None:
    made = healthy("neural collapse")
    usual = scores("hubs", made)["hubness.top.usual"]
    noisy = shuffled(0.2)(made, np.random.default_rng(0))
    assert scores("hubs", noisy)["hubness.top.usual"] == pytest.approx(usual, rel=0.15)
    parts = damaged("three clumps a class", "neural collapse")
    assert scores("hubs", parts)["hubness.top.usual"] == pytest.approx(usual, rel=0.15)


def test_a_large_space_is_searched_with_a_part_of_its_rows() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(4_500) % 3
    x = spaced(rng, 3, 8)[y] + 0.5 * rng.standard_normal((4_500, 8))
    found = scores("hubs", (x, y))
    assert found["hubness.top"] == pytest.approx(found["hubness.top.usual"], rel=0.3)


# ---------------------------------------------------------------------------------------- float32


def test_what_float32_loses_is_what_a_float32_search_loses() -> None:
    made = damaged("beyond float32", "ten classes, tight")
    z, y = unit(made.x).astype(np.float32), made.y
    cos = z @ z.T
    np.fill_diagonal(cos, -1)
    real = 1 - (y[cos.argmax(1)] == y).mean()
    found = scores("float32", made)
    assert found["float32.unsure"] == pytest.approx(0.4)  # four of ten classes
    assert found["float32.lost"] == pytest.approx(real, abs=0.05)
    assert real > 0.15


def test_float32_ranks_a_healthy_space_and_a_neural_collapse() -> None:
    for base in ("ten classes, overlapping", "neural collapse"):
        assert scores("float32", healthy(base)) == {"float32.unsure": 0, "float32.lost": 0}


def test_wrong_labels_are_not_a_matter_of_float32() -> None:
    found = scores("float32", damaged("labels 20 %", "neural collapse"))
    assert found["float32.unsure"] > 0.5
    assert abs(found["float32.lost"]) < 0.03


# ------------------------------------------------------------------------------------------ norms


def test_norms_are_those_of_brute_force() -> None:
    made = damaged("scaled subset", "five classes, overlapping")
    x, z, y = made.x, unit(made.x), made.y
    length = np.linalg.norm(x, axis=1)
    by = {"cosine": z @ z.T, "dot": x @ x.T}
    by["euclid"] = -((x[:, None] - x[None]) ** 2).sum(2)
    for similarity in by.values():
        np.fill_diagonal(similarity, -np.inf)
    nearest = {name: similarity.argmax(1) for name, similarity in by.items()}
    recall = {name: (y[found] == y).mean() for name, found in nearest.items()}
    want = {"norms.cv": length.std() / length.mean()}
    for name in ("dot", "euclid"):
        want[f"norms.moved.{name}"] = (nearest[name] != nearest["cosine"]).mean()
        want[f"norms.lost.{name}"] = recall["cosine"] - recall[name]
    assert scores("norms", made) == pytest.approx(want)
    assert want["norms.lost.dot"] > 0.01


def test_vectors_that_were_normalised_need_no_search() -> None:
    x, y = clumps()
    found = scores("norms", (unit(x).astype(np.float16).astype(np.float64), y))
    assert 0 < found.pop("norms.cv") < 1e-3
    assert set(found.values()) == {0}


# ------------------------------------------------------------------------------------ class_clumps


def _cloud(
    dim: int, rows: int, parts: np.ndarray | None = None, seed: int = 0, apart: float = 3
) -> Arrays:
    """Six classes of Gaussian clouds; parts: places of the pieces of the first."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(6), rows)
    centres = apart * spaced(rng, 6, dim)
    x = centres[y] + rng.standard_normal((len(y), dim)) / np.sqrt(dim)
    if parts is not None:
        x[:rows] += parts[np.arange(rows) % len(parts)]
    return x, y


@pytest.mark.parametrize("dim", [3, 16, 200])
@pytest.mark.parametrize("rows", [10, 20, 100])
def test_a_cloud_is_no_clumps_in_any_dimension(dim: int, rows: int) -> None:
    for seed in range(3):
        made = _cloud(dim, rows, seed=seed)
        assert scores("class_clumps", made) == {"classes.clumped": 0}


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_a_class_in_far_places_is_clumps(parts: int) -> None:
    rng = np.random.default_rng(1)
    places = 4 * np.linalg.qr(rng.standard_normal((16, 16)))[0][:parts]
    for rows in (20, 100):
        made = _cloud(16, rows, places)
        assert scores("class_clumps", made) == {"classes.clumped": pytest.approx(1 / 6)}
        assert space(*made).clumped.tolist() == [True] + 5 * [False]
        x, y = made
        order = rng.permutation(len(y))
        assert scores("class_clumps", (x[order], 5 - y[order])) == scores("class_clumps", made)


def test_a_split_that_many_dimensions_make_possible_is_none() -> None:
    for seed in range(3):
        made = _cloud(200, 10, seed=seed, apart=0.7)  # halves of ten rows are as far as classes
        assert scores("class_clumps", made) == {"classes.clumped": 0}


def test_near_halves_few_rows_and_wrong_labels_are_no_clumps() -> None:
    rng = np.random.default_rng(1)
    near = 0.7 * np.linalg.qr(rng.standard_normal((200, 200)))[0][:2]
    assert scores("class_clumps", _cloud(200, 40, near)) == {"classes.clumped": 0}
    assert scores("class_clumps", _cloud(200, 40, near, apart=0.7))["classes.clumped"] > 0
    x, y = _cloud(16, 40)
    x[:4] += 4 * unit(rng.standard_normal((1, 16)))  # a tenth of the class, but four rows
    assert scores("class_clumps", (x, y)) == {"classes.clumped": 0}
    x, y = _cloud(200, 40)
    y[40:48] = 0  # eight rows of class 1
    assert scores("class_clumps", (x, y)) == {"classes.clumped": 0}
