"""Tuning: the same trials for every loss, chosen by validation alone, the same after a kill."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from metriscope import losses, tuning
from metriscope.losses import LOSSES
from metriscope.losses.base import Loss, Range
from metriscope.progress import Bars, Lines
from metriscope.recommendation import GOALS, Goal
from metriscope.session import Request
from metriscope.store import Store
from metriscope.tuning import Counted, tune
from metriscope.types import InputError, OptimizerSpec, RunResult, RunSpec
from tests.helpers import tiny_spec

Run = Callable[[Sequence[RunSpec]], list[RunResult]]
NAMES = ("triplet", "arcface")


def specs(*names: str, seeds: Sequence[int] = (0, 1), **changes: Any) -> list[RunSpec]:
    return [
        tiny_spec(name, seed, validation=0.2, **changes)
        for name in names or NAMES
        for seed in seeds
    ]


def hill(spec: RunSpec) -> float:
    """In (0, 1], highest at margin 0.2 and learning rate 1e-3."""
    far = math.log((spec.params["margin"] + 0.01) / 0.21) ** 2
    return math.exp(-far - 0.3 * math.log10(spec.optimizer.lr / 1e-3) ** 2)


def scored(value: Callable[[RunSpec], float | None], score: str = "val.recall@1") -> Run:
    return lambda wanted: [RunResult(s, "done", {score: value(s)}) for s in wanted]


# ------------------------------------------------------------------------------------ what is done


def test_every_loss_gets_the_same_trials_and_is_compared_at_its_best() -> None:
    asked: list[list[RunSpec]] = []

    def run(wanted: Sequence[RunSpec]) -> list[RunResult]:
        asked.append(list(wanted))
        return scored(hill)(wanted)

    given = specs()
    tuned = tune(given, 10, "top1", run)
    assert [len(round) for round in asked] == [8, 8, 4]  # 4 of each loss at once, and the rest
    assert {s.seed for round in asked for s in round} == {0}
    assert {s.epochs for round in asked for s in round} == {3}
    assert asked[0][:2] == [given[0], given[2]]  # the first trial is the settings as given
    assert len(tuned.trials) == 20
    about = tuned.about
    assert (about["budget"], about["goal"], about["score"]) == (10, "top1", "val.recall@1")
    for name in NAMES:
        found, mine = about["losses"][name], [s for s in tuned.specs if s.loss == name]
        values = [trial["value"] for trial in found["trials"]]
        assert len(values) == 10
        assert found["default"] == values[0] == hill(tiny_spec(name))
        assert found["value"] == max(values) > found["default"] + 0.3
        assert [s.seed for s in mine] == [0, 1]
        for spec in mine:
            assert hill(spec) == found["value"]
            assert {k: spec.settings[k] for k in found["best"]} == found["best"]
        assert {t["key"] for t in found["trials"]} <= {t.key for t in tuned.trials}
    assert json.loads(json.dumps(about)) == about


@pytest.mark.parametrize(("goal", "sign"), [("top1", 1), ("compact", -1)])
def test_proposals_follow_what_was_found(goal: Goal, sign: int) -> None:
    """Of 30, those after the random ones are nearer to the top of the hill."""
    run = scored(lambda spec: sign * hill(spec), tuning.objective(goal).score)
    (found,) = tune(specs("triplet", seeds=[0]), 30, goal, run).about["losses"].values()
    values = [sign * trial["value"] for trial in found["trials"]]
    assert sum(values[14:]) / 16 > sum(values[1:14]) / 13 + 0.1
    assert max(values) > 0.9


def test_proposals_of_a_loss_do_not_depend_on_the_others() -> None:
    alone = tune(specs("arcface"), 9, "top1", scored(hill)).about["losses"]["arcface"]
    for names in (("triplet", "arcface", "ccl"), ("arcface", "triplet")):
        assert tune(specs(*names), 9, "top1", scored(hill)).about["losses"]["arcface"] == alone


def test_equal_values_keep_the_settings_as_given() -> None:
    given = specs()
    assert tune(given, 5, "top1", scored(lambda spec: 0.5)).specs == tuple(given)


@pytest.mark.parametrize(
    ("goal", "score", "sign"),
    [
        ("top1", "val.recall@1", 1),
        ("recall@10", "val.recall@10", 1),
        ("compact", "val.density.pi_ratio", -1),
    ],
)
def test_each_goal_has_its_score(goal: Goal, score: str, sign: int) -> None:
    def value(spec: RunSpec) -> float:
        return sign * hill(spec)

    tuned = tune(specs("triplet"), 8, goal, scored(value, score))
    found = tuned.about["losses"]["triplet"]
    assert sign * found["value"] == max(sign * trial["value"] for trial in found["trials"])
    assert tuned.about["better"] == ("higher" if sign > 0 else "lower")
    other = tune(specs("triplet"), 8, goal, scored(value, "recall@1"))
    assert other.about["losses"]["triplet"]["value"] is None


def test_fast_is_the_mean_over_epochs_without_the_untrained_one() -> None:
    def run(wanted: Sequence[RunSpec]) -> list[RunResult]:
        return [
            RunResult(s, "done", trace={"val.recall@1": [0.0, 0.2, 0.4, hill(s)]}) for s in wanted
        ]

    (found,) = tune(specs("triplet"), 6, "fast", run).about["losses"].values()
    assert found["default"] == pytest.approx((0.2 + 0.4 + hill(tiny_spec("triplet"))) / 3)
    gaps = [RunResult(tiny_spec(), "done", trace={"val.recall@1": v}) for v in ([0.1, None], [])]
    assert [tuning.objective("fast").value(run) for run in gaps] == [None, None]


def test_failed_trials_count_and_are_never_the_best() -> None:
    def run(wanted: Sequence[RunSpec]) -> list[RunResult]:
        return [
            RunResult(s, "failed", error="diverged")
            if s.optimizer.lr > 1e-3
            else RunResult(s, "done", {"val.recall@1": math.nan if i else hill(s)})
            for i, s in enumerate(wanted)
        ]

    tuned = tune(specs("triplet"), 12, "top1", run)
    found = tuned.about["losses"]["triplet"]
    known = [trial["value"] for trial in found["trials"] if trial["value"] is not None]
    assert len(found["trials"]) == 12
    assert found["failed"] == 12 - len(known) > 4
    assert found["default"] is None  # its learning rate is 1e-2
    assert found["value"] == max(known)
    assert tuned.about["notes"][0].startswith(f"triplet: {found['failed']} of 12 trials failed")
    assert json.loads(json.dumps(tuned.about, allow_nan=False)) == tuned.about


def test_a_loss_whose_trials_all_fail_keeps_its_settings() -> None:
    given = specs("triplet")
    tuned = tune(given, 5, "top1", lambda w: [RunResult(s, "failed", error="x") for s in w])
    assert tuned.specs == tuple(given)
    assert tuned.about["losses"]["triplet"]["value"] is None
    assert "every trial failed" in tuned.about["notes"][0]


def test_a_best_value_at_the_end_of_its_range_is_said() -> None:
    tuned = tune(specs("triplet"), 40, "top1", scored(lambda s: s.params["margin"]))
    assert any("triplet.margin: the best found" in note for note in tuned.about["notes"])
    assert not any("optimizer.lr" in note for note in tuned.about["notes"])


def test_nothing_is_said_by_optuna_nor_changed_in_it(capfd: pytest.CaptureFixture[str]) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.DEBUG)
    tune(specs(), 5, "top1", scored(hill))
    assert optuna.logging.get_verbosity() == optuna.logging.DEBUG
    optuna.logging.set_verbosity(optuna.logging.INFO)
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_tuned_is_refused() -> None:
    with pytest.raises(InputError, match="2 or more"):
        tune(specs(), 1, "top1", scored(hill))
    with pytest.raises(InputError, match="0, or 2 and more"):
        Request(tune=1)
    with pytest.raises(InputError, match="leave --tune out"):
        tune([tiny_spec()], 5, "top1", scored(hill))


# ------------------------------------------------------------------------------------------ ranges


@pytest.mark.parametrize("name", LOSSES.names())
def test_every_loss_declares_ranges_that_it_can_be_made_with(name: str) -> None:
    ranges, params = LOSSES.get(name).ranges, losses.resolve(name, {})
    assert ranges
    assert set(ranges) <= set(params)
    for parameter, span in ranges.items():
        assert span.low <= params[parameter] <= span.high
        assert span.low > 0 or not span.log
        for value in (span.low, span.high):
            losses.create(name, num_classes=3, dim=4, **{parameter: type(params[parameter])(value)})


@pytest.mark.parametrize("margin", [2.54321, 0.0])
def test_settings_outside_of_the_range_are_the_first_trial_all_the_same(margin: float) -> None:
    params = losses.resolve("triplet", {"margin": margin})
    sgd = OptimizerSpec("sgd", lr=3.0)
    given = specs("triplet", params=params, optimizer=sgd)
    found = tune(given, 6, "top1", scored(hill)).about["losses"]["triplet"]
    assert found["trials"][0]["key"] == given[0].key
    low, high, _ = found["ranges"]["triplet.margin"]
    assert (low, high) == (min(0.05, margin), max(1.9, margin))
    assert found["ranges"]["optimizer.lr"] == [1e-3, 3.0, True]


def test_a_loss_of_somebody_else_is_tuned_by_what_it_declares(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Mine(Loss):
        pass

    monkeypatch.setitem(LOSSES._objects, "mine", Mine)
    spec = replace(tiny_spec(validation=0.2), loss="mine", params={"depth": 3, "reduction": "mean"})
    tuned = tune([spec], 5, "top1", scored(lambda s: s.optimizer.lr))
    assert list(tuned.about["losses"]["mine"]["ranges"]) == ["optimizer.lr"]
    assert "mine declares no ranges" in tuned.about["notes"][0]
    Mine.ranges = {"depth": Range(1, 9)}
    monkeypatch.setattr("metriscope.plan._sweeps.make", lambda *args: None)
    tuned = tune([spec], 9, "top1", scored(lambda s: s.params["depth"]))
    depths = [trial["settings"]["mine.depth"] for trial in tuned.about["losses"]["mine"]["trials"]]
    assert all(type(depth) is int for depth in depths)
    assert len(set(depths)) > 3
    Mine.ranges = {"reduction": Range(1, 9)}
    with pytest.raises(InputError, match="declares a range for 'reduction'"):
        tune([spec], 5, "top1", scored(hill))


# ---------------------------------------------------------------------------------- again, and why


class Kept:
    """Does what is not in the folder; stops as if killed before number ``stop``."""

    def __init__(self, folder: Path, stop: int = 10**9) -> None:
        self.store, self.stop, self.done = Store(folder), stop, 0
        self.store.claim("tiny", "f" * 64)

    def __call__(self, wanted: Sequence[RunSpec]) -> list[RunResult]:
        for spec in wanted:
            if self.store.finished(spec) is None:
                if self.done == self.stop:
                    raise KeyboardInterrupt
                self.done += 1
                failed = spec.optimizer.lr > 5e-3
                self.store.save_run(
                    RunResult(spec, "failed", error="diverged")
                    if failed
                    else RunResult(spec, "done", {"val.recall@1": hill(spec)})
                )
        found = [self.store.read_run(spec) for spec in wanted]
        return [run for run in found if run is not None]


def test_killed_and_run_again_it_finds_what_it_would_have_found(tmp_path: Path) -> None:
    given = specs(optimizer=OptimizerSpec(lr=1e-4))
    whole = tune(given, 11, "top1", Kept(tmp_path / "whole"))
    finished = sum(trial.status == "done" for trial in whole.trials)
    assert 12 < finished < 22
    for stop in (1, 9):
        with pytest.raises(KeyboardInterrupt):
            tune(given, 11, "top1", Kept(tmp_path / "cut", stop))
    last = Kept(tmp_path / "cut")
    again = tune(given, 11, "top1", last)
    assert again.about == whole.about
    assert again.specs == whole.specs
    assert last.done < 22 - 6  # what was finished is not done again; what failed is
    idle = Kept(tmp_path / "cut")
    assert tune(given, 11, "top1", idle).about == whole.about
    assert idle.done == 22 - finished


@pytest.mark.parametrize("goal", GOALS)
def test_test_scores_have_no_part_in_it(goal: Goal) -> None:
    noise = iter(range(10**6))
    scores = [tuning.objective(goal).score for goal in GOALS]

    def run(wanted: Sequence[RunSpec]) -> list[RunResult]:
        return [
            RunResult(
                spec,
                "done",
                {name: hill(spec) for s in scores for name in (s, s.removeprefix("val."))},
                {"val.recall@1": [0.0, hill(spec)], "recall@1": [0.0, 1 - hill(spec)]},
            )
            for spec in wanted
        ]

    tuned = tune(specs(), 9, goal, lambda w: [_with_noise(run, noise) for run in run(w)])
    assert tuned.about == tune(specs(), 9, goal, run).about
    assert tuned.about["losses"]["arcface"]["value"] is not None


def _with_noise(run: RunResult, noise: Iterator[int]) -> RunResult:
    scores = {
        name: value if name.startswith("val.") else float(next(noise))
        for name, value in run.scores.items()
    }
    return replace(run, scores=scores)


# -------------------------------------------------------------------------------------- on display


def show(display: Any) -> None:
    counted, given = Counted(display, 10), specs("triplet")
    for wanted in (
        [given[0], replace(given[0], params={**given[0].params, "margin": 0.25})],
        [replace(given[0], optimizer=OptimizerSpec(lr=1e-4))],
    ):
        counted.plan(len(wanted))
        for spec in wanted:
            counted.epoch(spec, 1, 0.5)
            scores = {"recall@1": 0.1, "val.recall@1": 0.9}
            counted.finished(RunResult(spec, "done", scores, seconds=1.0), cached=False)
    display.plan(2)
    display.epoch(given[0], 1, 0.5)
    display.finished(RunResult(given[0], "done", {"recall@1": 0.1}, seconds=1.0), cached=False)


def test_trials_are_one_count_and_their_lines_have_nothing_of_the_test_part() -> None:
    stream = io.StringIO()
    show(Lines(stream))
    assert stream.getvalue().splitlines() == [
        "metriscope: [tuning 1/10] triplet, seed 0: 1.0 s, validation Recall@1 0.900",
        "metriscope: [tuning 2/10] triplet, seed 0, margin 0.25: 1.0 s, validation Recall@1 0.900",
        "metriscope: [tuning 3/10] triplet, seed 0, optimizer.lr 0.0001: 1.0 s, "
        "validation Recall@1 0.900",
        "metriscope: [1/2] triplet, seed 0: 1.0 s, Recall@1 0.100",
    ]


def test_a_terminal_has_one_bar_of_the_trials_and_then_one_of_the_runs() -> None:
    file = io.StringIO()
    with Bars(Console(file=file, force_terminal=True, width=50)) as bars:
        counted = Counted(bars, 10)
        for _ in range(3):
            counted.plan(4)
            counted.finished(RunResult(tiny_spec(), "done"), cached=True)
        (trials,) = bars.progress.tasks
        assert (trials.description, trials.completed, trials.total) == ("trials", 3, 10)
        bars.plan(2)
        (runs,) = bars.progress.tasks
        assert (runs.description, runs.completed, runs.total) == ("runs", 0, 2)
