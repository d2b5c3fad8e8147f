"""The paper's claims on results that were made to bear them out, to contradict them, or neither."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from metriscope import statistics
from metriscope.paper.claims import CLAIMS, MEASURES, Comparison, Correlation
from metriscope.paper.tables import LOSSES, published
from metriscope.paper.testing import Judged, judge
from metriscope.report.evidence import Evidence
from metriscope.report.panels import PANELS
from metriscope.types import Results, RunResult
from tests.fakes import failed, run

SCORES = {
    "contrastive": (0.20, 0.90),
    "triplet": (0.30, 0.80),
    "npair": (0.15, 0.70),
    "infonce": (0.18, 0.75),
    "arcface": (0.02, 0.50),
    "scl": (0.34, 0.85),
    "ccl": (0.03, 0.55),
}  # within classes, Recall@1


def _run(loss: str, seed: int, dataset: str, noise: float, **changed: Any) -> RunResult:
    within, recall = SCORES[loss]
    jitter = noise * np.random.default_rng((seed, len(loss))).standard_normal()
    greedy = loss in ("contrastive", "infonce")
    scores: dict[str, Any] = {
        "intra.pair_cos.mean": within + jitter,
        "inter.euclid.mean": 1.2 if loss == "npair" else 0.9,
        "inter.euclid.sd": 0.3 if loss == "npair" else 0.1,
        "inter.clumps": 17.0 if loss == "npair" else 80.0,
        "recall@1": recall + jitter,
        "epochs_to.50": 3.0 if greedy else None,
        "active.terms": (0.6 if greedy else 0.3) + jitter,
        "grad_norm.head": (0.1 if greedy else 0.3) + jitter,
    }
    scores |= {k.removeprefix(f"{loss}:"): v for k, v in changed.items() if _for(k, loss)}
    losses = (4.0, 1.5, 1.0, 1.0, 1.0) if greedy else (4.0, 3.5, 3.0, 2.5, 1.0)
    made = run(loss, seed, losses=losses)
    return replace(made, spec=replace(made.spec, dataset=dataset), scores=scores)


def _for(key: str, loss: str) -> bool:
    return ":" not in key or key.startswith(f"{loss}:")


def _part(
    dataset: str = "cub200", *, seeds: int = 6, noise: float = 1e-3, **changed: Any
) -> Results:
    runs = [_run(loss, s, dataset, noise, **changed) for loss in LOSSES for s in range(seeds)]
    return Results(tuple(runs), about={"dataset": dataset})


def _judged(*parts: Results) -> dict[str, Judged]:
    named = {part.about["dataset"]: part for part in parts}
    found = judge(named, lambda name, score: statistics.gather(named[name], None, score))
    return {one.claim.code: one for one in found}


def _verdicts(*parts: Results) -> Mapping[str, str]:
    return {code: one.verdict for code, one in _judged(*parts).items()}


def test_claims_name_what_there_is() -> None:
    assert [claim.code for claim in CLAIMS] == [f"C{i:02}" for i in range(1, len(CLAIMS) + 1)]
    for claim in CLAIMS:
        assert claim.words
        assert claim.where
        assert claim.tests
        assert set(claim.datasets) <= set(published().benchmarks)
        for test in claim.tests:
            if isinstance(test, Correlation):
                assert {test.x, test.y} <= set(MEASURES)
            else:
                assert test.measure in MEASURES
                assert {test.first, *test.others} <= set(LOSSES)
                assert test.first not in test.others


def test_claims_that_hold_are_supported() -> None:
    found = _verdicts(_part("cub200", seeds=8))
    assert {code for code, verdict in found.items() if verdict == "supported"} >= {
        "C01", "C02", "C05", "C06", "C07", "C08", "C09", "C10", "C11", "C12", "C13", "C14", "C16",
    }  # fmt: skip
    assert found["C03"] == "contradicted"  # contrastive leads, so triplet and SCL do not
    assert {"C15", "C17", "C18", "C19"}.isdisjoint(found)  # of other data


def test_a_claim_is_contradicted_by_one_comparison_that_is_the_other_way() -> None:
    judged = _judged(_part(**{"scl:intra.pair_cos.mean": 0.10}))
    (tested,) = judged["C01"].on
    assert judged["C01"].verdict == "contradicted"
    assert (tested.held, tested.of) == (2, 4)
    assert tested.sentence.startswith("2 of 4 comparisons as claimed. SCL − ")
    assert tested.value == pytest.approx(-0.1, abs=0.03)
    assert tested.interval is not None
    assert tested.interval.low <= tested.value <= tested.interval.high < 0
    assert judged["C02"].verdict == "supported"


def test_noise_is_no_evidence_either_way() -> None:
    """Losses that are all the same: of many claims hardly one may come out."""
    wrong = 0
    for repeat in range(12):
        random = np.random.default_rng(repeat)
        runs = []
        for seed in range(4):
            for loss in LOSSES:
                made = run(loss, seed)
                scores = {
                    name: 0.5 + 0.05 * random.standard_normal()
                    for name in MEASURES
                    if name not in ("epochs_to.50",)
                }
                runs.append(replace(made, scores=scores))
        found = _verdicts(Results(tuple(runs), about={"dataset": "data"}))
        # Of the others the claim is wrong, or right, for losses that are alike.
        telling = {
            code: v for code, v in found.items() if code in ("C01", "C02", "C07", "C08", "C09")
        }
        assert len(telling) == 5
        wrong += any(verdict in ("supported", "contradicted") for verdict in telling.values())
    assert wrong <= 3  # of 12 at 5 %: 4 or more have a chance of 0.2 %


def test_p_is_corrected_for_the_claims_tested() -> None:
    random = np.random.default_rng(3)
    runs = []
    for seed in range(5):
        for loss in ("triplet", "contrastive"):
            shift = 0.05 * random.standard_normal() + (0.12 if loss == "triplet" else 0)
            runs.append(replace(run(loss, seed), scores={"intra.pair_cos.mean": 0.4 + shift}))
    part = Results(tuple(runs), about={"dataset": "data"})
    outcomes = statistics.gather(part, None, "intra.pair_cos.mean").values
    p = statistics.difference(outcomes["triplet"], outcomes["contrastive"]).p
    judged = _judged(part)
    # C01 and C02 are this comparison; C06 sees traces that are all alike, so its p is 1.
    assert set(judged) == {"C01", "C02", "C06"}
    assert judged["C02"].on[0].adjusted == pytest.approx(3 * p)


def test_a_claim_is_as_sure_as_its_least_sure_comparison() -> None:
    """Three comparisons are clear and one, as claimed too, is within the noise."""
    part = _part(noise=0.01, **{"infonce:intra.pair_cos.mean": 0.2999})
    values = statistics.gather(part, None, "intra.pair_cos.mean").values
    (tested,) = _judged(part)["C01"].on
    assert tested.held == tested.of == 4
    assert statistics.difference(values["triplet"], values["contrastive"]).p < 1e-3
    assert tested.verdict == "not supported"
    assert tested.value == pytest.approx((values["triplet"] - values["infonce"]).mean())


def test_a_contradiction_is_corrected_for_the_comparisons() -> None:
    random = np.random.default_rng(5)
    levels = {"triplet": 0.5, "contrastive": 0.3, "scl": 0.22, "infonce": 0.2}
    runs = [
        replace(
            run(loss, seed),
            scores={"intra.pair_cos.mean": level + 0.03 * random.standard_normal()},
        )
        for seed in range(6)
        for loss, level in levels.items()
    ]
    part = Results(tuple(runs), about={"dataset": "data"})
    values = statistics.gather(part, None, "intra.pair_cos.mean").values
    (p,) = (
        found.p or 0.0
        for mine in ("triplet", "scl")
        for other in ("contrastive", "infonce")
        if (found := statistics.difference(values[mine], values[other])).mean < 0
    )
    judged = _judged(part)
    assert set(judged) == {"C01", "C02", "C06"}
    others = [one.on[0].adjusted or 0.0 for code, one in judged.items() if code != "C01"]
    place = sum(4 * p <= other for other in others) + 1  # Holm's factor
    assert judged["C01"].on[0].adjusted == pytest.approx(place * 4 * p)
    assert judged["C01"].on[0].sentence.startswith("3 of 4")


def test_one_seed_cannot_say() -> None:
    judged = _judged(_part(seeds=1))
    assert {one.verdict for one in judged.values()} == {"cannot say"}
    assert all(one.on[0].adjusted is None for one in judged.values())
    assert "one seed" in judged["C01"].on[0].sentence


def test_of_several_datasets_one_contradiction_is_enough_and_all_must_support() -> None:
    good, bad = _part("cub200"), _part("cars196", **{"triplet:intra.pair_cos.mean": 0.05})
    neither = _part("cifar10", noise=0.5)
    assert _verdicts(good, bad)["C02"] == "contradicted"
    assert _verdicts(good, neither)["C02"] == "not supported"
    judged = _judged(good, neither, bad)["C02"]
    assert [one.verdict for one in judged.on] == ["supported", "not supported", "contradicted"]
    assert [one.dataset for one in judged.on] == ["cub200", "cifar10", "cars196"]


def test_a_loss_that_never_gets_there_is_later_than_any_that_does() -> None:
    judged = _judged(_part(**{"contrastive:epochs_to.50": None, "triplet:epochs_to.50": 4.0}))
    assert judged["C05"].verdict == "contradicted"
    assert judged["C05"].on[0].value == 11 - 4  # ten epochs were run
    part = _part()
    old = replace(
        part,
        runs=tuple(
            replace(r, scores={k: v for k, v in r.scores.items() if k != "epochs_to.50"}, trace={})
            for r in part.runs
        ),
    )
    assert {"C05", "C06"}.isdisjoint(_judged(old))


def test_the_fall_of_a_loss_has_its_own_measure() -> None:
    """A floor far from 0: half of the loss is never gone, half of the fall is at once."""
    runs = []
    for seed in range(4):
        runs += [
            run("infonce", seed, losses=(6.0, 5.1, 5.0, 5.0), epochs_to__50=None),
            run("triplet", seed, losses=(2.0, 1.6, 1.2, 0.8), epochs_to__50=3.0),
            run("scl", seed, losses=(2.0, 2.5, 2.5, 2.5), epochs_to__50=None),  # never falls
        ]
    judged = _judged(Results(tuple(runs), about={"dataset": "data"}))
    assert judged["C05"].on[0].held == 0
    assert (judged["C06"].on[0].held, judged["C06"].on[0].of) == (2, 2)


def test_a_correlation_leaves_collapsed_losses_out() -> None:
    """Two that collapsed make it by themselves: among the others it is the other way."""
    within = {"contrastive": 0.5, "triplet": 0.4, "npair": 0.3, "infonce": 0.2, "scl": 0.15}
    recall = {"contrastive": 0.6, "triplet": 0.65, "npair": 0.7, "infonce": 0.75, "scl": 0.8}
    changed = {f"{loss}:intra.pair_cos.mean": v for loss, v in within.items()}
    changed |= {f"{loss}:recall@1": v for loss, v in recall.items()}
    (tested,) = _judged(_part("cifar10", **changed))["C04"].on
    assert tested.value == pytest.approx(-1)
    assert "over 5 losses" in tested.sentence
    assert "with 2 that collapsed" in tested.sentence
    assert tested.held == 0


def test_competitive_means_a_share_of_the_best_of_the_others() -> None:
    judged = _judged(_part(**{"infonce:recall@1": 0.40}))["C13"]
    assert judged.verdict == "contradicted"
    assert "InfoNCE − 0.8 × Contrastive" in judged.on[0].sentence
    (test,) = next(claim for claim in CLAIMS if claim.code == "C13").tests
    assert isinstance(test, Comparison)
    assert test.best


def test_losses_that_are_not_there_are_named() -> None:
    part = _part()
    runs = [r for r in part.runs if r.spec.loss in ("triplet", "contrastive", "scl")]
    runs += [failed("infonce", seed) for seed in range(6)]
    judged = _judged(Results(tuple(runs), about={"dataset": "cub200"}))
    assert "without InfoNCE" in judged["C01"].on[0].sentence
    assert judged["C01"].on[0].of == 2
    assert {"C09", "C10", "C11", "C12"}.isdisjoint(judged)
    assert _judged(Results((), about={"dataset": "x"})) == {}


def test_queries_count_where_they_were_kept() -> None:
    part = _part("cars196", noise=0.0)
    random = np.random.default_rng(0)
    hits = {
        loss: (random.random((6, 400)) < recall).astype(float)
        for loss, (_, recall) in SCORES.items()
    }

    def outcomes(name: str, score: str) -> statistics.Outcomes:
        found = statistics.gather(part, None, score)
        return replace(found, values=hits, per_query=True) if score == "recall@1" else found

    (tested,) = (one.on[0] for one in judge({"cars196": part}, outcomes) if one.claim.code == "C14")
    assert tested.of == 4
    assert tested.interval is not None
    assert tested.interval.high - tested.interval.low > 0.02


# ---------------------------------------------------------------------------------------- panels


def _evidence(*parts: Results, **about: Any) -> Evidence:
    return Evidence(Results.joined(parts, about) if len(parts) > 1 or about else parts[0])


def test_the_paper_panel_puts_ours_beside_theirs() -> None:
    panel = PANELS.get("paper")()
    evidence = _evidence(_part("cub200", seeds=4), _part("mine"), left_out={"cars196": "no copy"})
    rows = panel.frame(evidence).rows
    shown = {row.name: row.cells for row in rows if row.cells[1].text == "Recall@1"}
    assert list(shown) == list(LOSSES)  # of cub200 alone
    name, _, ours, theirs, gap, inside = shown["triplet"]
    assert name.text == "CUB-200"
    assert theirs.mean == 0.4641
    assert ours.mean == pytest.approx(0.80, abs=0.002)
    assert ours.n == 4
    assert gap.mean == pytest.approx((ours.mean or 0) - 0.4641)
    assert (ours.interval is not None, inside.text) == (True, "no")
    readings = {row.cells[1].text for row in rows}
    assert {"Within, μ", "Between, μ as Euclidean", "Between, σ² as SD of Euclidean"} <= readings
    caption = panel.caption(evidence)
    assert "Published numbers that lie in our interval: Recall@1, 0 of 7; Within" in caption
    assert "Not at hand: cars196." in caption
    chart = panel.plot(evidence)
    assert chart is not None
    assert [plane.title for plane in chart.planes] == [
        "Recall@1",
        "Within, μ",
        "Between, μ as Euclidean",
    ]
    assert len(chart.planes[0].marks) == 1 + 7


def test_an_edited_list_of_what_is_missing_breaks_nothing() -> None:
    for edited in (3, "x", None, [1]):
        assert "Not at hand" not in PANELS.get("paper")().caption(
            _evidence(_part("cub200", seeds=1), left_out=edited)
        )


def test_the_paper_panel_sees_a_number_that_agrees() -> None:
    theirs = published().recall["cub200"]["scl"][0]
    part = _part("CUB-200", noise=0.0)
    runs = tuple(
        replace(r, scores={"recall@1": theirs + 0.01 * (r.spec.seed - 2.5)})
        for r in part.runs
        if r.spec.loss == "scl"
    )
    (row,) = PANELS.get("paper")().frame(_evidence(replace(part, runs=runs))).rows
    assert row.cells[5].text == "yes"
    (alone,) = PANELS.get("paper")().frame(_evidence(replace(part, runs=runs[:1]))).rows
    assert alone.cells[5].text == "no interval"


def test_variances_are_squares_of_each_seed() -> None:
    part = _part("cifar10", seeds=2)
    runs = tuple(
        replace(r, scores={"intra.pair_cos.sd": 0.1 + 0.1 * r.spec.seed})
        for r in part.runs
        if r.spec.loss == "scl"
    )
    rows = PANELS.get("paper")().frame(_evidence(replace(part, runs=runs))).rows
    found = {row.cells[1].text: row.cells[2].mean for row in rows}
    assert found == pytest.approx(
        {"Within, σ² as SD": 0.15, "Within, σ² as variance": (0.01 + 0.04) / 2}
    )


@pytest.mark.parametrize("name", ["paper", "audit"])
def test_panels_of_the_paper_are_hidden_beside_other_data(name: str) -> None:
    panel = PANELS.get(name)()
    other = _evidence(_part("mine"))
    assert panel.frame(other).rows == ()
    assert panel.caption(other) == ""
    assert panel.plot(other) is None
    assert panel.frame(_evidence(_part("fashion_mnist"))).rows


def test_the_claims_panel() -> None:
    panel = PANELS.get("claims")()
    evidence = _evidence(_part("cub200"), _part("mine"))
    table = panel.frame(evidence)
    first = table.rows[0]
    assert first.name == f"C01 {CLAIMS[0].statement}"
    assert first.cells[0].text.startswith("Supported. ")
    assert "cub200 (supported): " in first.cells[0].text
    assert "mine (supported): " in first.cells[0].text
    assert CLAIMS[0].words in first.cells[0].text
    assert "1 contradicted" in panel.caption(evidence)
    assert panel.frame(_evidence(Results((), about={"dataset": "x"}))).rows == ()


def test_the_audit_panel_counts() -> None:
    evidence = _evidence(_part("cub200"))
    table = PANELS.get("audit")().frame(evidence)
    assert len(table.rows) == 31
    assert table.explanation.startswith("21 of 31 checks")
    assert table.rows[1].cells[0].text.startswith("Inconsistent. ")
    assert "16 of 35 cells" in table.rows[1].cells[0].text
