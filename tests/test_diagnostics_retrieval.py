"""Retrieval, hubness and classification scores against loops, scipy and scikit-learn."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import skew
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metriscope.diagnostics.base import measure
from metriscope.ops import find_neighbours
from metriscope.types import Scores
from tests.spaces import HARD, Arrays, clumps, cone, space, unit


def rankings(x: np.ndarray) -> list[list[int]]:
    """Every row's others, nearest first, equal ones (to 12 digits) by row."""
    z = unit(x.astype(np.longdouble))
    d2 = ((z[:, None] - z[None]) ** 2).sum(2)
    d2 = np.round((d2 / max(d2.max(), 1e-300)).astype(float), 12)
    return [
        sorted((j for j in range(len(z)) if j != i), key=lambda j: d2[i, j]) for i in range(len(z))
    ]


def reference_retrieval(x: np.ndarray, y: np.ndarray) -> Scores:
    per_query: dict[str, list[float]] = {
        n: [] for n in ("recall@1", "recall@5", "recall@10", "r_precision", "map@r")
    }
    excluded = 0
    for i, ranking in enumerate(rankings(x)):
        relevant = sum(y[j] == y[i] for j in range(len(y))) - 1
        if relevant == 0:
            excluded += 1
            continue
        rel = [float(y[j] == y[i]) for j in ranking]
        for k in (1, 5, 10):
            per_query[f"recall@{k}"].append(max(rel[:k]))
        per_query["r_precision"].append(sum(rel[:relevant]) / relevant)
        at = [sum(rel[: r + 1]) / (r + 1) * rel[r] for r in range(relevant)]
        per_query["map@r"].append(sum(at) / relevant)
    scores: Scores = {k: float(np.mean(v)) if v else None for k, v in per_query.items()}
    return {**scores, "queries.excluded": excluded}


def _many() -> Arrays:
    rng = np.random.default_rng(8)
    y = rng.choice(9, 130, p=np.array([40, 20, 10, 10, 6, 6, 4, 3, 1]) / 100)
    return rng.standard_normal((9, 6))[y] * 0.6 + rng.standard_normal((130, 6)), y


def _half_in_one_class() -> Arrays:
    x, y = clumps(4, (30, 8, 1, 1, 12), 4)
    return x, y


def _copies() -> Arrays:
    x, y = clumps(5, (9, 9, 9), 3)
    return x[np.arange(27) // 2], y


SPACES = {
    "many": _many,
    "half in one class": _half_in_one_class,
    "copies": _copies,
    "clumps": clumps,
    "cone": cone,
    "two points": HARD["two points"],
    "fewer rows than neighbours": HARD["fewer rows than neighbours"],
    "a pair": HARD["a pair"],
    "antipodes": HARD["antipodes"],
}


@pytest.mark.parametrize("case", SPACES)
def test_retrieval_is_the_loop_over_queries(case: str) -> None:
    x, y = SPACES[case]()
    got = measure(space(x, y), ["retrieval"])
    assert got == pytest.approx(reference_retrieval(x, y), rel=1e-12)


def test_the_planted_space_tells_every_score_from_every_other() -> None:
    values = sorted(reference_retrieval(*_many()).values())
    assert min(np.diff(values)) > 0.01


def test_retrieval_by_hand() -> None:
    turn = np.deg2rad([0, 10, 25, 45, 70, 100])
    x = np.stack([np.cos(turn), np.sin(turn)], 1)
    got = measure(space(x, np.array([0, 1, 0, 0, 1, 2])), ["retrieval"])
    # R-precision of the rows: ½, 0, ½, ½, 0; the sixth has no other of its class.
    assert got == {
        "recall@1": pytest.approx(1 / 5),
        "recall@5": 1,
        "recall@10": 1,
        "r_precision": pytest.approx(1.5 / 5),
        "map@r": pytest.approx((0.25 + 0.25 + 0.5) / 5),
        "queries.excluded": 1,
    }


@pytest.mark.parametrize("case", ["one row", "two rows", "all singletons"])
def test_without_a_positive_pair_retrieval_is_undefined_and_all_are_excluded(case: str) -> None:
    x, y = HARD[case]()
    got = measure(space(x, y), ["retrieval"])
    assert got.pop("queries.excluded") == len(y)
    assert set(got.values()) == {None}


def test_neighbours_per_query_are_kept_for_those_who_ask() -> None:
    x, y = clumps()
    found = find_neighbours(space(x, y).z, space(x, y).y)
    assert found.nearest.tolist() == [ranking[:10] for ranking in rankings(x)]
    assert found.relevant.tolist() == [int((y == c).sum()) - 1 for c in y]
    hits = [
        sum(y[j] == y[i] for j in r[: (y == y[i]).sum() - 1]) for i, r in enumerate(rankings(x))
    ]
    assert found.hits.tolist() == hits
    assert found.precision.isnan().tolist() == (found.relevant == 0).tolist()


# --------------------------------------------------------------------------------------- hubness


@pytest.mark.parametrize("case", ["many", "half in one class", "copies", "cone"])
def test_hubness_is_the_skew_of_the_counts(case: str) -> None:
    x, y = SPACES[case]()
    counts = Counter(j for ranking in rankings(x) for j in ranking[:10])
    occurrence = np.array([counts[j] for j in range(len(x))])
    got = measure(space(x, y), ["hubness"])
    assert got == pytest.approx(
        {
            "hubness.skew": skew(occurrence),
            "hubness.hubs": (occurrence >= 20).mean(),
            "hubness.antihubs": (occurrence == 0).mean(),
        },
        rel=1e-10,
    )


def test_a_hub_is_seen_and_an_even_ring_has_none() -> None:
    turn = 2 * np.pi * np.arange(40) / 40
    ring = np.stack([np.cos(turn), np.sin(turn), 0 * turn], 1)
    even = measure(space(ring, np.arange(40) % 2), ["hubness"])
    assert even == {"hubness.skew": 0, "hubness.hubs": 0, "hubness.antihubs": 0}
    rays = np.random.default_rng(0).standard_normal((60, 40))
    middle = rays.sum(0, keepdims=True)  # near everyone
    star = measure(space(np.concatenate([rays, middle]), np.arange(61) % 2), ["hubness"])
    alone = measure(space(rays, np.arange(60) % 2), ["hubness"])
    assert star["hubness.skew"] > alone["hubness.skew"] + 0.4
    assert star["hubness.hubs"] > 0


def test_with_eleven_rows_everyone_is_a_neighbour() -> None:
    x = np.random.default_rng(0).standard_normal((11, 3))
    assert set(measure(space(x, np.arange(11) % 2), ["hubness"]).values()) == {0}


# -------------------------------------------------------------------------------- classification


def reference_knn(x: np.ndarray, y: np.ndarray, train: Arrays, k: int) -> float:
    z, t = unit(x), unit(train[0])
    right = 0
    for row, label in zip(z, y, strict=True):
        similarity = t @ row
        near = np.argsort(-np.round(similarity, 12), kind="stable")[:k]
        votes = Counter(train[1][near])
        weight = {c: similarity[near][train[1][near] == c].sum() for c in votes}
        right += max(votes, key=lambda c: (votes[c], round(weight[c], 12), -c)) == label
    return right / len(y)


@pytest.mark.parametrize("train", [_many, _half_in_one_class])
def test_knn_is_the_majority_with_ties_by_similarity(train) -> None:  # type: ignore[no-untyped-def]
    x, y = train()
    test = x[::2] + 0.4 * np.random.default_rng(1).standard_normal(x[::2].shape), y[::2]
    got = measure(space(*test, (x, y)), ["knn"])
    want = {f"knn_accuracy@{k}": reference_knn(*test, (x, y), k) for k in (1, 5, 20)}
    assert got == want
    assert len(set(want.values())) > 1


def test_knn_with_one_neighbour_is_that_of_scikit_learn() -> None:
    x, y = _many()
    knn = KNeighborsClassifier(1, metric="cosine", algorithm="brute").fit(x[:70], y[:70])
    got = measure(space(x[70:], y[70:], (x[:70], y[:70])), ["knn"])
    assert got["knn_accuracy@1"] == pytest.approx(knn.score(x[70:], y[70:]))


def test_knn_ties_go_to_the_nearer_class_and_then_to_the_lower_code() -> None:
    turn = np.deg2rad([10, -20, 40, -50, 80])
    train = np.stack([np.cos(turn), np.sin(turn)], 1), np.array([1, 0, 0, 1, 2])
    ask = np.array([[1.0, 0.0]])
    # Two votes each among five; cos 20° + cos 40° beats cos 10° + cos 50°.
    for answer in (0, 1):
        got = measure(space(ask, np.array([answer]), train), ["knn"])
        assert got["knn_accuracy@5"] == (answer == 0)
        assert got["knn_accuracy@1"] == (answer == 1)
    even = np.array([[1.0, 0.1], [1.0, -0.1]]), np.array([1, 0])
    assert measure(space(ask, np.array([0]), even), ["knn"])["knn_accuracy@5"] == 1


def test_test_classes_without_training_rows_are_left_out() -> None:
    x, y = _many()
    keep = ~np.isin(y, [0, 3])
    got = measure(space(x, y, (x[keep], y[keep])), ["knn", "linear_probe"])
    assert got == measure(space(x[keep], y[keep], (x[keep], y[keep])), ["knn", "linear_probe"])
    assert got["knn_accuracy@1"] == 1
    assert 0.5 < got["probe_accuracy"] < 1


def test_the_probe_is_a_standardised_logistic_regression() -> None:
    x, y = _many()
    x, y, train = x[::2], y[::2], (x[1::2], y[1::2])
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    probe.fit(unit(train[0]), train[1])
    known = np.isin(y, train[1])
    want = probe.score(unit(x[known]), y[known])
    assert measure(space(x, y, train), ["linear_probe"])["probe_accuracy"] == pytest.approx(want)
    assert 0.3 < want < 0.95


def test_the_probe_sees_through_a_cone_that_hides_the_classes() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    x = np.concatenate([np.ones((200, 1)), 1e-6 * rng.standard_normal((200, 9))], 1)
    x[:, 1] = 1e-9 * (y - 0.5 + 0.1 * rng.standard_normal(200))
    got = measure(space(x, y, (x, y)))
    assert got["recall@1"] < 0.7
    assert got["probe_accuracy"] == 1


def test_a_dimension_without_spread_says_nothing_to_the_probe() -> None:
    train = np.array([[1.0, 0, 1], [1, 0, -1], [1, 0, 2], [1, 0, -2]]), np.array([0, 1, 0, 1])
    test = np.array([[1.0, 0.01, 1], [1, -0.01, -1]]), np.array([0, 1])
    assert measure(space(*test, train), ["linear_probe"])["probe_accuracy"] == 1


def test_with_one_training_class_there_is_nothing_to_tell_apart() -> None:
    x, y = clumps()
    got = measure(space(x, y, (x[y == 3], y[y == 3])), ["knn", "linear_probe"])
    assert got.pop("probe_accuracy") is None
    assert set(got.values()) == {1}


def test_without_training_embeddings_classification_is_undefined() -> None:
    assert set(measure(space(*clumps()), ["knn", "linear_probe"]).values()) == {None}
