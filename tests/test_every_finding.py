"""Every finding: an input that fires it, one that does not, one where it cannot say anything."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from metriscope import losses
from metriscope.findings import FINDINGS, examine, examine_subject, outcomes
from metriscope.findings.base import Kind, Subject
from metriscope.types import Examined, Results
from tests import cases_data, cases_space, cases_training
from tests.cases_training import ACTIVE, FELL
from tests.fakes import failed, full, results, run
from tests.finding_cases import fired, states

CASES = cases_space.CASES | cases_data.CASES | cases_training.CASES


def _code(key: str) -> str:
    return key.partition(" ")[0]


def test_every_finding_has_a_case_and_a_code_of_its_own() -> None:
    codes = [check.code for check in FINDINGS.all().values()]
    assert len(set(codes)) == len(codes)
    assert sorted(codes) == sorted({_code(key) for key in CASES})
    for name, check in FINDINGS.all().items():
        assert re.fullmatch(r"ms\d{3}_[a-z0-9_]+", name)
        assert check.__name__ == name
        assert check.__doc__
        assert FINDINGS.describe(name).summary


@pytest.mark.parametrize("key", CASES)
def test_fires(key: str) -> None:
    code, given = _code(key), CASES[key].fires
    (finding,) = fired(given, code)
    assert all((finding.title, finding.message, finding.cause, finding.next_step))
    if code != "MS203":
        assert finding.value is not None
        assert finding.threshold is not None
        assert re.search(r"\d", finding.message)
    if isinstance(given, Subject):
        assert finding.verify
        assert not finding.runs
        return
    assert set(finding.runs) <= {r.key for r in given.runs}
    about_data = "data" in FINDINGS.all()[_name(code)].of
    assert bool(finding.runs) == bool(finding.loss) == (not about_data)


def _name(code: str) -> str:
    return next(name for name, check in FINDINGS.all().items() if check.code == code)


@pytest.mark.parametrize("key", CASES)
def test_stays_quiet(key: str) -> None:
    said = states(CASES[key].quiet, _code(key))
    assert "fired" not in said
    if CASES[key].silent is not None:
        assert "passed" in said


@pytest.mark.parametrize("key", [k for k, case in CASES.items() if case.silent is not None])
def test_says_when_it_does_not_apply(key: str) -> None:
    silent = CASES[key].silent
    assert silent is not None
    assert states(silent, _code(key)) == {"not applicable"}
    if isinstance(silent, Subject):
        (said,) = [f for f in examine_subject(silent) if f.code == _code(key)]
        assert said.message.endswith(".")


def test_survives_runs_without_scores_or_trace() -> None:
    bare = replace(run("triplet"), trace={}, scores={})
    nan = run("triplet", losses=(math.nan, None), recall_1=math.nan, spread__total=math.nan)
    for found in (Results(()), Results((bare,)), Results((nan,)), results(bare, nan, failed())):
        assert {o.code for o in outcomes(found) if o.state == "fired"} <= {"MS203"}


@pytest.mark.parametrize("kind", ["space", "training"])
def test_survives_subjects_that_say_nothing(kind: Kind) -> None:
    names = {name for key in CASES for name in _scores(CASES[key].fires)}
    nothing = Subject(kind, examined=Examined({}))
    nan = Subject(kind, dict.fromkeys(names, math.nan), {"loss": [None, math.nan]})
    for subject in (Subject(kind), nothing, nan):
        assert not any(f.fired for f in examine_subject(subject))


def _scores(given: Results | Subject) -> set[str]:
    if isinstance(given, Subject):
        return set(given.scores)
    return {name for found in given.runs for name in found.scores}


def test_seeds_become_one_finding_with_the_middle_numbers() -> None:
    found = results(*(run(seed=s, spread__total=v) for s, v in enumerate((3e-4, 1e-4, 2e-4, 0.5))))
    (finding,) = examine(found)
    assert finding.value == 2e-4
    assert finding.loss == "scl"
    assert finding.runs == tuple(r.key for r in found.runs[:3])
    assert finding.message.endswith("Seen in 3 of 4 seeds; the numbers are those of seed 2.")


def test_problems_come_first_then_codes_then_the_order_of_runs() -> None:
    found = results(
        run("scl", recall_1=0.7, spread__total=0.5),
        run("contrastive", recall_1=0.5, spread__total=0.5),
        run("ccl", recall_1=0.5, spread__total=1e-4),
        failed("triplet"),
    )
    order = [(f.severity, f.code, f.loss) for f in examine(found)]
    assert order == [
        ("problem", "MS101", "ccl"),
        ("problem", "MS203", "triplet"),
        ("warning", "MS302", "contrastive"),
        ("warning", "MS302", "ccl"),
    ]


def test_a_cone_at_chance_is_a_problem_and_one_in_order_a_warning() -> None:
    for recall, severity in ((0.5, "warning"), (0.11, "problem")):
        found = examine(results(run(centre__norm_sq=0.95, spread__total=0.05, recall_1=recall)))
        assert [(f.code, f.severity) for f in found] == [("MS102", severity)]


@pytest.mark.parametrize(
    ("params", "last", "fires"),
    [
        ({}, 1.04, True),
        ({}, 0.96, True),
        ({}, 1.06, False),
        ({"margin": 0.2}, 0.205, True),
        ({"margin": 0.2}, 1.0, False),
        ({"soft": True}, math.log(2), True),
        ({"soft": True}, 1.0, False),
        ({"margin": 0.0}, 0.0, False),
        ({"reduction": "sum"}, 1.0, False),
        ({"mining": "batch_all", "squared": True}, 1.0, True),
    ],
)
def test_stuck_at_the_margin_knows_the_parameters(
    params: dict[str, object], last: float, fires: bool
) -> None:
    stuck = run(
        "triplet", losses=(2.0, last), params=losses.resolve("triplet", params), spread__total=1e-4
    )
    assert ("MS201" in {f.code for f in examine(results(stuck))}) == fires


def test_passing_the_margin_on_the_way_down_is_not_being_stuck() -> None:
    falling = run("triplet", losses=(1.5, 1.2, 1.0), spread__total=0.8)
    assert "MS201" not in {f.code for f in examine(results(falling))}
    flat = run("triplet", losses=(1.01, 1.0, 1.0), spread__total=0.8)
    assert "MS201" in {f.code for f in examine(results(flat))}


def test_a_loss_below_the_best_says_why() -> None:
    best = run("scl", recall_1=0.9)
    learning = run("ccl", losses=(10.0, 9.0, 8.0, 7.0, 6.0, 5.0), recall_1=0.5)
    settled = run("ccl", losses=(10.0, 5.0, 5.0, 5.0, 5.0, 5.0), recall_1=0.5)
    collapsed = run("ccl", recall_1=0.5, spread__total=1e-4)
    for other, words in (
        (learning, "still learning: 20%"),
        (settled, "had settled"),
        (collapsed, "almost no spread"),
    ):
        (found,) = [f for f in examine(results(best, other)) if f.code == "MS302"]
        assert words in found.cause


def test_few_queries_widen_what_counts_as_chance() -> None:
    for rows, fires in ((10_000, True), (50, False)):
        found = results(run("scl", recall_1=0.68), run("ccl", recall_1=0.6), test_rows=rows)
        assert ("MS302" in {f.code for f in examine(found)}) == fires


def test_no_active_sample_at_all_fires_with_zero() -> None:
    (found,) = examine(results(run("contrastive", columns={ACTIVE: [None] * 7})))
    assert (found.code, found.value) == ("MS402", 0.0)


def test_the_collapsed_triplet_is_called_collapsed_and_stuck() -> None:
    stuck = run("triplet", losses=FELL, spread__total=7.6e-05, recall_1=0.5, centre__norm_sq=0.9999)
    assert {f.code for f in examine(results(stuck))} == {"MS101", "MS201"}


def test_a_full_comparison_is_examined_without_its_old_findings() -> None:
    first = examine(full())
    assert examine(replace(full(), findings=first)) == first
