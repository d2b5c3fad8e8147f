"""What is recommended, how sure that is, and that it rests on the validation part alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metriscope import kept
from metriscope.recommendation import GOALS, epochs_to_target, recommend
from metriscope.types import InputError, Queries, Results
from tests.chosen import results

CLEAR = {"triplet": 0.9, "contrastive": 0.1, "scl": -0.2, "infonce": 0.3}
TIED = {"contrastive": 0.52, "infonce": 0.5, "arcface": -0.6, "triplet": 0.5}


def sentences(said: Mapping[str, Any]) -> str:
    told = said["guideline"]
    return " ".join([said["answer"], *said["notes"], told["says"], *told["for"], *told["against"]])


def test_a_clear_choice(tmp_path: Path) -> None:
    said = recommend(results(CLEAR, tmp_path), tmp_path)
    assert (said["loss"], said["sure"], said["alike"]) == ("triplet", "clear", [])
    assert (said["goal"], said["score"], said["better"]) == ("top1", "val.recall@1", "higher")
    assert (said["part"], said["queries"], said["seeds"]) == ("validation", 399, 3)
    assert [row["loss"] for row in said["rows"]] == ["triplet", "infonce", "contrastive", "scl"]
    assert [row["rank"] for row in said["rows"]] == [1, 2, 3, 4]
    first, second = said["rows"][:2]
    assert first["low"] < first["mean"] < first["high"]
    assert (first["difference"], first["p"]) == (None, None)
    assert second["difference"] == pytest.approx(second["mean"] - first["mean"])
    assert second["difference_low"] < second["difference"] < second["difference_high"] < 0
    assert second["p"] < 0.05
    assert (said["chance"], said["regret"]) == (first["best"], first["regret"])
    assert said["answer"].startswith(f"Take triplet: Recall@1 {first['mean']:.3f} on 399 valid")
    assert "the nearest, infonce, by" in said["answer"]
    assert json.loads(json.dumps(said, allow_nan=False)) == said


def test_what_cannot_be_told_apart_is_named_with_what_it_costs(tmp_path: Path) -> None:
    said = recommend(results(TIED, tmp_path), tmp_path)
    others = {"contrastive", "infonce", "triplet"} - {said["loss"]}
    assert (said["sure"], set(said["alike"])) == ("tied", others)
    assert all(row["p"] >= 0.05 for row in said["rows"] if row["alike"])
    assert [row["loss"] for row in said["rows"] if not row["alike"]] == [said["loss"], "arcface"]
    assert 0 < said["regret"] < 0.05
    assert f"choosing wrong: {said['regret']:.3f})." in said["answer"]
    assert said["notes"][0].startswith("3 seeds and 399 queries can only show differences from ")
    assert said["answer"].count(". ") == 1  # two sentences


@pytest.mark.parametrize("goal", GOALS)
def test_nothing_of_the_test_part_is_read(tmp_path: Path, goal: Any) -> None:
    given = results(TIED, tmp_path)
    before = recommend(given, tmp_path, goal)
    assert before["loss"] is not None
    rng = np.random.default_rng(1)
    noisy = []
    for run in given.runs:
        scores = {k: v if k.startswith("val.") else rng.random() for k, v in run.scores.items()}
        trace = run.trace | {"recall@1": rng.random(5).tolist(), "loss": rng.random(5).tolist()}
        noisy.append(replace(run, scores=scores, trace=trace))
        held = kept.read_queries(tmp_path, run.key, "validation")
        assert held is not None
        noise = rng.random((2, 400))
        test = Queries(np.arange(400), rng.integers(0, 11, 400), noise[0], noise[1])
        file = tmp_path / "runs" / run.key / kept.QUERIES
        kept.write_queries(file, {"test": test, "validation": held})
    others = {"untuned": tuple(noisy[:3]), "sweep": tuple(noisy[3:6])}
    after = recommend(Results(tuple(noisy), about=given.about, others=others), tmp_path, goal)
    assert after == before
    # And the noise is not what it would have said from the validation part.
    swapped = [
        replace(run, scores={k: rng.random() for k in run.scores}, trace={}) for run in noisy
    ]
    assert recommend(Results(tuple(swapped), about=given.about), None, goal) != before


def test_goals(tmp_path: Path) -> None:
    given = results(CLEAR, tmp_path)
    ten = recommend(given, tmp_path, "recall@10")
    assert (ten["loss"], ten["score"], ten["queries"]) == ("triplet", "val.recall@10", 399)
    compact = recommend(given, tmp_path, "compact")
    assert (compact["loss"], compact["better"], compact["queries"]) == ("triplet", "lower", 0)
    assert "is higher by" not in sentences(compact)
    fast = recommend(given, tmp_path, "fast")
    assert (fast["loss"], fast["better"]) == ("triplet", "lower")
    assert fast["rows"][0]["mean"] == 3
    assert fast["rows"][1]["mean"] == 5  # never: one more than there were
    assert "Not reached by" in sentences(fast)
    assert "in 3 of 3 seeds: counted as one epoch more" in sentences(fast)
    three = {loss: CLEAR[loss] for loss in ("triplet", "contrastive")}
    assert recommend(results(three), None, "fast")["sure"] == "clear"
    with pytest.raises(InputError, match="goal is 'best'; it must be one of top1"):
        recommend(given, tmp_path, "best")  # type: ignore[arg-type]


def test_what_a_compact_loss_gives_up_is_said(tmp_path: Path) -> None:
    given = results({"triplet": 0.9, "scl": 0.1}, tmp_path)
    runs = [
        replace(run, scores=run.scores | {"val.density.pi_ratio": 0.5 - 0.01 * run.spec.seed})
        if run.spec.loss == "triplet"
        else run
        for run in given.runs
    ]
    said = recommend(Results(tuple(runs), about=given.about), tmp_path, "compact")
    assert said["loss"] == "scl"
    assert "validation Recall@1 of triplet is higher by 0." in said["answer"]


def test_epochs_to_the_target() -> None:
    """98 % of the final mean, 0.8, of the best loss over the seeds that both have."""
    given = results({"triplet": 0.0, "scl": 0.0}, failed=(("scl", 1),))
    curves = {
        ("triplet", 0): [0.1, 0.7, 0.785, 0.8],
        ("triplet", 1): [0.1, None, float("nan"), 0.79],
        ("triplet", 2): [0.8, 0.3, 0.8, 0.8],
        ("scl", 0): [0.1, 0.2, 0.3, 0.783],
        ("scl", 2): [0.1, 0.2, 0.8, 0.6],
    }
    runs = [
        replace(run, trace={"val.recall@1": curves.get((run.spec.loss, run.spec.seed), [])})
        for run in given.runs
    ]
    assert epochs_to_target(Results(tuple(runs))) == {"triplet": (2, 3, 0), "scl": (None, 2)}
    runs[0] = replace(runs[0], trace={"val.recall@1": [0.1, 0.2, None]})  # without an end
    assert epochs_to_target(Results(tuple(runs)))["triplet"] == (3, 0)
    assert epochs_to_target(Results(tuple(replace(run, trace={}) for run in runs))) == {}
    assert epochs_to_target(Results(())) == {}


def test_one_seed_is_never_sure(tmp_path: Path) -> None:
    said = recommend(results(CLEAR, tmp_path, seeds=1), tmp_path)
    assert (said["loss"], said["sure"]) == ("triplet", "unknown")
    assert set(said["alike"]) == {"infonce", "contrastive", "scl"}
    for key in ("low", "high", "sd", "rank_low", "best", "regret", "p", "difference_low"):
        assert all(row[key] is None for row in said["rows"])
    assert (said["chance"], said["regret"]) == (None, None)
    assert "over queries alone, one seed" in said["answer"]
    assert "--seeds 3" in said["answer"]
    assert said["guideline"]["verdict"] == "cannot be told"
    assert recommend(results(CLEAR, seeds=1), None)["loss"] == "triplet"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (Results(()), "No run has finished"),
        (results({"scl": 0.1}, failed=(("scl", 0), ("scl", 1), ("scl", 2))), "No run has finished"),
        (results(CLEAR, validation=0.0), "--validation 0.2"),
        (results({"scl": 0.1}), "Only scl"),
        (
            results({"scl": 0.1, "triplet": 0.1}, failed=(("scl", 0), ("scl", 1), ("scl", 2))),
            "Only triplet",
        ),
    ],
)
@pytest.mark.parametrize("goal", GOALS)
def test_no_recommendation_says_why(given: Results, why: str, goal: Any) -> None:
    said = recommend(given, None, goal)
    assert (said["loss"], said["rows"], said["alike"], said["sure"]) == (None, [], [], "unknown")
    assert why in said["reason"]
    assert said["answer"] == f"No loss can be recommended. {said['reason']}"
    assert said["guideline"]["verdict"] == "not tested"


def test_what_was_left_out_is_named_with_the_reason(tmp_path: Path) -> None:
    lost = (("triplet", 1), ("triplet", 2))
    said = recommend(results(CLEAR, tmp_path, failed=lost), tmp_path)
    assert (said["loss"], said["sure"]) == ("infonce", "unknown")
    assert "it has seed 0" in said["missing"]["triplet"]
    assert said["missing"]["triplet"].endswith("; seed 1 failed: it diverged")
    assert "triplet is not compared, and may be better." in said["answer"]
    assert "every other" not in said["answer"].lower()
    whole = (*lost, ("triplet", 0))  # one that finished nothing is no rival
    said = recommend(results(CLEAR, tmp_path, failed=whole), tmp_path)
    assert (said["loss"], said["sure"]) == ("infonce", "clear")
    assert list(said["missing"]) == ["triplet"]
    assert "The others compared are worse, the nearest, contrastive, by 0." in said["answer"]


@pytest.mark.parametrize(
    ("levels", "verdict", "word"),
    [
        ({"triplet": 0.9, "infonce": 0.2}, "agrees", "for"),
        ({"infonce": 0.9, "scl": 0.2, "triplet": 0.1}, "disagrees", "against"),
        ({"infonce": 0.51, "scl": 0.5}, "cannot be told", ""),
        ({"infonce": 0.9, "contrastive": 0.2}, "not tested", ""),
        ({"triplet": 0.9, "scl": 0.2}, "not tested", ""),
    ],
)
def test_the_guideline_is_held_against_the_data(
    tmp_path: Path, levels: dict[str, float], verdict: str, word: str
) -> None:
    said = recommend(results(levels, tmp_path), tmp_path)
    told = said["guideline"]
    assert (told["verdict"], told["losses"]) == (verdict, ["triplet", "scl"])
    assert "CUB-200" in told["against"][-1]  # the paper's own tables
    if word:
        other = said["rows"][1]
        assert (
            f"adjusted p {'below 0.001' if other['p'] < 0.001 else format(other['p'], '.3f')}"
            in (told[word][0])
        )
        assert f"by {-other['difference']:.3g}, 95 % interval" in told[word][0]
        other_way = told["for" if word == "against" else "against"]
        assert not any("On these data" in sentence for sentence in other_way)
    if verdict == "cannot be told":
        assert sum("cannot be told apart" in s for s in told["for"] + told["against"]) == 1


def test_what_is_compact_has_a_guideline_of_its_own(tmp_path: Path) -> None:
    levels = {"infonce": 0.9, "scl": 0.2}
    told = recommend(results(levels, tmp_path), tmp_path, "compact")["guideline"]
    assert (told["losses"], told["verdict"]) == (["contrastive", "infonce"], "agrees")
    low, high = told["for"][0].split("interval ")[1].split(", adjusted")[0].split(" to ")
    assert 0 < float(low) < float(high)


def test_tuning_on_the_same_part_is_said(tmp_path: Path) -> None:
    given = results(CLEAR, tmp_path)
    tuned = replace(given, about={**given.about, "tuning": {"budget": 3}})
    assert "flatters" in sentences(recommend(tuned, tmp_path))


def test_a_stricter_level_knows_less(tmp_path: Path) -> None:
    given = results({"triplet": 0.75, "scl": 0.6}, tmp_path)
    loose, strict = (recommend(given, tmp_path, level=level) for level in (0.4, 1e-4))
    assert strict["sure"] == "tied"
    wide, narrow = strict["rows"][0], loose["rows"][0]
    assert wide["low"] < narrow["low"] < narrow["high"] < wide["high"]
    assert "60 % interval" in loose["answer"]
