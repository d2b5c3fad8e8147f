"""Geometry scores against their definitions in 40-digit arithmetic, and closed forms."""

from __future__ import annotations

import itertools
import math
from functools import cache
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from metriscope.diagnostics.base import measure
from metriscope.types import Scores
from tests.spaces import HARD, clumps, cone, simplex, space, unit

MAKERS = {
    "clumps": clumps,
    "balanced": lambda: clumps(1, (4, 4, 4), 6),
    "wide": lambda: clumps(2, (3, 5, 2, 6), 9),
    "cone": cone,
}


@cache
def measured(case: str) -> Scores:
    return measure(space(*MAKERS[case]()))


def _mean(values: Any) -> Any:
    values = list(values)
    return sum(values) / len(values)


def _sd(values: Any, ddof: int = 0) -> Any:
    values = list(values)
    mu = _mean(values)
    return mp.sqrt(sum((v - mu) ** 2 for v in values) / (len(values) - ddof))


def _norm(v: Any) -> Any:
    return mp.sqrt(v @ v)


@cache
def literal(case: str) -> dict[str, Any]:
    """Every score as its formula reads, with 1 − cos and loops over pairs, in 40 digits."""
    mp.mp.dps = 40
    x, y = MAKERS[case]()
    rows = np.array([[mp.mpf(float(v)) for v in row] for row in x])
    z = np.array([row / _norm(row) for row in rows])
    members = [np.flatnonzero(y == c) for c in np.unique(y)]
    means = [z[m].sum(0) / len(m) for m in members]
    c, n = len(members), len(z)
    g, overall = sum(means) / c, z.sum(0) / n
    pairs = list(itertools.combinations(range(c), 2))
    k = mp.mpf(2 * c) / (c - 1)

    pair_cos = [
        _mean(1 - z[i] @ z[j] for i, j in itertools.permutations(m, 2))
        for m in members
        if len(m) > 1
    ]
    eq1 = _mean(
        _mean((z[i] - mu) @ (z[i] - mu) for i in m) for m, mu in zip(members, means, strict=True)
    )
    inter_eq1 = _mean((means[a] - means[b]) @ (means[a] - means[b]) for a, b in pairs)
    euclid = [_norm(means[a] - means[b]) for a, b in pairs]
    u = [mu / _norm(mu) for mu in means]
    cos = [1 - u[a] @ u[b] for a, b in pairs]
    e_mean, e_sd = _mean(euclid), _sd(euclid)

    centred = [mu - g for mu in means]
    norms = [_norm(v) for v in centred]
    between = sum(v @ v for v in centred) / c
    within = (
        sum((z[i] - mu) @ (z[i] - mu) for m, mu in zip(members, means, strict=True) for i in m) / n
    )
    angles = [
        abs(centred[a] @ centred[b] / norms[a] / norms[b] + mp.mpf(1) / (c - 1)) for a, b in pairs
    ]

    silhouettes = []
    for own, m in enumerate(members):
        for i in m:
            if len(m) == 1:
                silhouettes.append(mp.mpf(0))
                continue
            a = _mean(1 - z[i] @ z[j] for j in m if j != i)
            b = min(_mean(1 - z[i] @ z[j] for j in o) for q, o in enumerate(members) if q != own)
            silhouettes.append((b - a) / max(a, b))

    all_pairs = itertools.combinations(range(n), 2)
    return {
        "intra.eq1": eq1,
        "inter.eq1": inter_eq1,
        "ratio.eq1": eq1 / inter_eq1,
        "intra.pair_cos.mean": _mean(pair_cos),
        "intra.pair_cos.sd": _sd(pair_cos),
        "inter.euclid.mean": e_mean,
        "inter.euclid.sd": e_sd,
        "inter.clumps": 1 + (e_mean / e_sd) ** 2,
        "inter.cos.mean": _mean(cos),
        "inter.cos.sd": _sd(cos),
        "centre.norm_sq": g @ g,
        "spread.total": 1 - overall @ overall,
        "table2.r": (e_mean**2 + e_sd**2) / (k * (1 - eq1)),
        "alignment": 2 * _mean(pair_cos),
        "uniformity": mp.log(
            _mean(mp.exp(-2 * ((z[i] - z[j]) @ (z[i] - z[j]))) for i, j in all_pairs)
        ),
        "nc1.trace_ratio": within / between,
        "nc2.norm_cov": _sd(norms, ddof=1) / _mean(norms),
        "nc2.angle": _mean(angles),
        "density.pi_intra": _mean(pair_cos),
        "density.pi_inter": _mean(cos),
        "density.pi_ratio": _mean(pair_cos) / _mean(cos),
        "silhouette": _mean(silhouettes),
    }


@pytest.mark.parametrize("case", MAKERS)
@pytest.mark.parametrize("score", literal("clumps"))
def test_scores_are_their_formulas(score: str, case: str) -> None:
    value = measured(case)[score]
    assert value is not None
    want = literal(case)[score]
    # In a cone of spread 1e-6, float64 rows hold 10 digits of every difference.
    tolerance = 1e-8 if case == "cone" else 1e-11
    assert abs(value - want) <= tolerance * abs(want)


def test_the_planted_space_tells_every_score_from_every_other() -> None:
    same = {"density.pi_intra", "density.pi_inter"}  # names of others, by definition
    values = sorted(float(v) for k, v in literal("clumps").items() if k not in same)
    assert min(np.diff(values)) > 1e-3 * min(abs(v) for v in values)


@pytest.mark.parametrize("case", MAKERS)
def test_inter_eq1_obeys_its_identity_with_intra_and_the_centre(case: str) -> None:
    s = measured(case)
    c = len(set(MAKERS[case]()[1]))
    assert s["inter.eq1"] == pytest.approx(
        2 * c / (c - 1) * (1 - s["intra.eq1"] - s["centre.norm_sq"]), rel=1e-9, abs=1e-14
    )
    assert s["inter.euclid.mean"] ** 2 + s["inter.euclid.sd"] ** 2 == pytest.approx(
        s["inter.eq1"], rel=1e-9
    )


def test_with_equal_classes_pair_cos_is_intra_eq1_without_self_pairs() -> None:
    s = measured("balanced")
    assert s["intra.pair_cos.mean"] == pytest.approx(4 / 3 * s["intra.eq1"], rel=1e-12)


# --------------------------------------------------------------------------- spectra, by numpy


def reference_ranks(z: np.ndarray) -> dict[str, float]:
    s = np.linalg.svd(z, compute_uv=False)
    p = s / s.sum()
    q = p + 1e-7
    values = np.linalg.eigvalsh(z.T @ z)
    return {
        "effective": np.exp(-(p * np.log(p)).sum()),
        "rankme": np.exp(-(q * np.log(q)).sum()),
        "stable": np.linalg.norm(z, "fro") ** 2 / np.linalg.norm(z, 2) ** 2,
        "participation": values.sum() ** 2 / (values**2).sum(),
    }


@pytest.mark.parametrize("case", ["clumps", "balanced", "wide"])
def test_ranks_are_those_of_numpy(case: str) -> None:
    z = unit(MAKERS[case]()[0])
    for name, value in reference_ranks(z).items():
        assert measured(case)[f"rank.{name}"] == pytest.approx(value, rel=1e-10)
    for name, value in reference_ranks(z - z.mean(0)).items():
        assert measured(case)[f"rank.{name}.centred"] == pytest.approx(value, rel=1e-10)


def test_a_cone_has_rank_one_uncentred_and_keeps_its_shape_centred() -> None:
    s = measured("cone")
    for name in ("effective", "rankme", "stable", "participation"):
        assert s[f"rank.{name}"] == pytest.approx(1, abs=1e-3)
    # Normalising flattens the cone to the 4 dimensions across its axis.
    assert 3 < s["rank.effective.centred"] < 4
    assert s["rank.stable.centred"] < s["rank.participation.centred"]


def test_ranks_count_orthogonal_directions() -> None:
    s = measure(space(np.repeat(np.eye(5)[:3], 4, 0), np.arange(12) % 2), ["effective_rank"])
    for name in ("effective", "rankme", "stable", "participation"):
        # RankMe's 1e-7, added to the two empty dimensions as well, is worth 3e-6.
        assert s[f"rank.{name}"] == pytest.approx(3, rel=1e-5)
        assert s[f"rank.{name}.centred"] == pytest.approx(2, rel=1e-5)
    assert s["rank.rankme"] > s["rank.effective"] + 1e-7


@pytest.mark.parametrize("case", ["clumps", "balanced", "wide"])
def test_spectral_decay_is_the_divergence_from_uniform(case: str) -> None:
    s = np.linalg.svd(unit(MAKERS[case]()[0]), compute_uv=False)
    for name, kept in (("spectral_decay", s), ("spectral_decay.k2", s[1:])):
        r = len(kept)
        want = sum((1 / r) * math.log((1 / r) / share) for share in kept / kept.sum())
        assert measured(case)[name] == pytest.approx(want, rel=1e-9)


def test_spectral_decay_floors_an_empty_dimension() -> None:
    x = np.repeat(np.eye(3)[:2], 3, 0)
    s = measure(space(x, np.arange(6) % 2), ["spectral_decay"])
    shares = np.array([1, 1, 1e-12]) / 2
    assert s["spectral_decay"] == pytest.approx(-np.log(3 * shares).mean(), rel=1e-9)
    flat = measure(space(np.eye(3), np.arange(3)), ["spectral_decay"])
    assert flat["spectral_decay"] == pytest.approx(0, abs=1e-15)
    assert flat["spectral_decay.k2"] == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("case", ["clumps", "balanced", "wide", "cone"])
def test_nc1_is_the_trace_with_the_pseudo_inverse(case: str) -> None:
    x, y = MAKERS[case]()
    z = unit(x.astype(np.longdouble))
    means = np.array([z[y == c].mean(0) for c in np.unique(y)])
    # NC1 has no scale, so the cone is blown up before the inverse.
    scale = 1 / np.abs(means - means.mean(0)).max()
    residuals = (scale * (z - means[np.searchsorted(np.unique(y), y)])).astype(float)
    m = (scale * (means - means.mean(0))).astype(float)
    within, between = residuals.T @ residuals / len(z), m.T @ m / len(m)
    want = np.trace(within @ np.linalg.pinv(between, rcond=1e-10))
    assert measured(case)["nc1"] == pytest.approx(want, rel=1e-7)
    assert measured(case)["nc1.over_c"] == pytest.approx(want / len(m), rel=1e-7)


@pytest.mark.parametrize("case", ["clumps", "balanced", "wide"])
def test_silhouette_is_that_of_scikit_learn(case: str) -> None:
    x, y = MAKERS[case]()
    assert measured(case)["silhouette"] == pytest.approx(
        silhouette_score(x, y, metric="cosine"), rel=1e-10
    )


# ------------------------------------------------------------------------------- closed forms


def test_a_perfect_simplex() -> None:
    x, y = simplex(4, 3, 6)
    s = measure(space(x, y, (x, y)))
    k = 8 / 3
    zero = pytest.approx(0, abs=1e-13)
    expected = {
        "intra.eq1": zero,
        "intra.pair_cos.mean": zero,
        "intra.pair_cos.sd": zero,
        "inter.eq1": pytest.approx(k),
        "ratio.eq1": zero,
        "inter.euclid.mean": pytest.approx(math.sqrt(k)),
        "inter.euclid.sd": zero,
        "inter.clumps": None,
        "inter.cos.mean": pytest.approx(4 / 3),
        "inter.cos.sd": zero,
        "centre.norm_sq": zero,
        "spread.total": pytest.approx(1),
        "table2.r": pytest.approx(1, abs=1e-14),
        "alignment": zero,
        "uniformity": pytest.approx(math.log((12 + 54 * math.exp(-2 * k)) / 66)),
        "nc1": zero,
        "nc1.over_c": zero,
        "nc1.trace_ratio": zero,
        "nc2.norm_cov": zero,
        "nc2.angle": zero,
        "density.pi_ratio": zero,
        "silhouette": pytest.approx(1),
        "rank.effective": pytest.approx(3),
        "rank.stable.centred": pytest.approx(3),
        "rank.participation": pytest.approx(3),
        "recall@1": 1,
        "recall@5": 1,
        "recall@10": 1,
        "r_precision": 1,
        "map@r": 1,
        "queries.excluded": 0,
        "knn_accuracy@1": 1,
        "knn_accuracy@5": 1,
        "probe_accuracy": 1,
    }
    assert {name: s[name] for name in expected} == expected


@pytest.mark.parametrize("case", ["identical", "identical directions"])
def test_total_collapse_reads_as_collapse_and_ratios_as_undefined(case: str) -> None:
    s = measure(space(*HARD[case]()))
    zero = pytest.approx(0, abs=1e-15)
    for name in ("intra.eq1", "inter.eq1", "intra.pair_cos.mean", "inter.euclid.mean"):
        assert s[name] == zero
    for name in ("inter.cos.mean", "spread.total", "alignment", "uniformity"):
        assert s[name] == zero
    assert s["centre.norm_sq"] == pytest.approx(1)
    assert s["rank.rankme"] == pytest.approx(1, rel=1e-4)
    undefined = """ratio.eq1 inter.clumps nc1 nc1.over_c nc1.trace_ratio nc2.norm_cov nc2.angle
        density.pi_ratio silhouette rank.effective.centred rank.rankme.centred
        rank.stable.centred rank.participation.centred spectral_decay.k2 recall@1 recall@5
        recall@10 r_precision map@r hubness.skew hubness.hubs hubness.antihubs"""
    assert {name: s[name] for name in undefined.split()} == dict.fromkeys(undefined.split())


def test_one_class_has_no_between() -> None:
    s = measure(space(*HARD["one class"]()))
    undefined = """inter.eq1 ratio.eq1 inter.euclid.mean inter.euclid.sd inter.clumps
        inter.cos.mean inter.cos.sd table2.r nc1 nc2.angle density.pi_inter density.pi_ratio
        silhouette"""
    assert {name: s[name] for name in undefined.split()} == dict.fromkeys(undefined.split())
    assert s["intra.eq1"] > 0.1
    assert s["intra.pair_cos.mean"] == pytest.approx(8 / 7 * s["intra.eq1"])
    assert s["intra.pair_cos.sd"] == 0


def test_all_singletons_have_no_within() -> None:
    s = measure(space(*HARD["all singletons"]()))
    undefined = """intra.eq1 ratio.eq1 intra.pair_cos.mean intra.pair_cos.sd alignment
        density.pi_intra density.pi_ratio silhouette nc1 nc1.over_c nc1.trace_ratio"""
    assert {name: s[name] for name in undefined.split()} == dict.fromkeys(undefined.split())
    for name in ("inter.eq1", "inter.euclid.mean", "inter.cos.mean", "nc2.angle", "table2.r"):
        assert s[name] > 0


def test_classes_merged_into_equidistant_clumps_are_counted() -> None:
    corners, _ = simplex(4, 1, 4)
    x = np.repeat(corners, 60, 0)  # 4 corners, each shared by 30 classes of 2
    s = measure(space(x, np.arange(240) // 2), ["inter_euclid"])
    apart = (120**2 * 3 / 4) / (120 * 119)  # share of class pairs in different clumps
    assert s["inter.clumps"] == pytest.approx(1 + apart / (1 - apart), rel=1e-9)
    assert s["inter.clumps"] == pytest.approx(4, rel=0.05)


def test_equidistant_classes_are_no_clumps_whatever_the_rounding() -> None:
    turn, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))
    x, y = simplex(5, 2, 6)
    s = measure(space(x @ turn, y), ["inter_euclid"])
    assert 0 < s["inter.euclid.sd"] < 1e-14
    assert s["inter.clumps"] is None


def test_classes_without_a_direction_are_left_out_of_cosines() -> None:
    x = np.array([[1.0, 0], [-1, 0], [0, 1], [0, 1], [0.6, 0.8], [0.6, 0.8]])
    s = measure(space(x, np.array([0, 0, 1, 1, 2, 2])), ["inter_cos", "inter_euclid"])
    assert s["inter.cos.mean"] == pytest.approx(0.2)
    assert s["inter.euclid.mean"] == pytest.approx((1 + 1 + math.sqrt(0.4)) / 3)


def test_nc1_ignores_directions_in_which_class_means_agree() -> None:
    # Two of three classes are alike: the between-class scatter has rank 1, not 2.
    x = unit(np.random.default_rng(3).standard_normal((4, 3)))[[0, 1, 0, 1, 2, 3]]
    y = np.array([0, 0, 1, 1, 2, 2])
    means = np.array([x[y == c].mean(0) for c in range(3)])
    m, residuals = means - means.mean(0), x - means[y]
    want = np.trace(residuals.T @ residuals / 6 @ np.linalg.pinv(m.T @ m / 3, rcond=1e-10))
    assert want > 0.1
    assert measure(space(x, y), ["neural_collapse"])["nc1"] == pytest.approx(want, rel=1e-9)


def test_more_classes_than_a_simplex_allows_keeps_an_angle() -> None:
    turn = 2 * np.pi * np.arange(8) / 8
    x = np.stack([np.cos(turn), np.sin(turn)], 1)
    s = measure(space(np.repeat(x, 2, 0), np.repeat(np.arange(8), 2)), ["neural_collapse"])
    assert s["nc1"] == pytest.approx(0, abs=1e-20)
    assert s["nc2.norm_cov"] == pytest.approx(0, abs=1e-14)
    cosines = [math.cos(a - b) for a, b in itertools.combinations(turn, 2)]
    assert s["nc2.angle"] == pytest.approx(np.mean([abs(c + 1 / 7) for c in cosines]))
    assert s["nc2.angle"] > 0.5


def test_uniformity_of_an_even_sphere_is_the_known_value() -> None:
    x = np.random.default_rng(0).standard_normal((1500, 128))
    s = measure(space(x, np.arange(1500) % 2), ["uniformity"])
    # E exp(4⟨u, v⟩) e⁻⁴ over the sphere in d dimensions is e⁻⁴ (1 + 16/2d + …): −4 + 8/d.
    assert s["uniformity"] == pytest.approx(-4 + 8 / 128, abs=0.002)


def test_silhouette_in_blocks_is_that_of_one(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((4200, 3)), rng.integers(0, 5, 4200)
    s = measure(space(x, y), ["silhouette"])
    assert s["silhouette"] == pytest.approx(silhouette_score(x, y, metric="cosine"), rel=1e-9)
