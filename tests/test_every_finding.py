"""Every finding: an input that fires it, one that does not, one where it cannot say anything."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

import pytest

from metriscope import losses
from metriscope.findings import FINDINGS, examine, outcomes
from metriscope.types import Results
from tests.fakes import failed, full, results, run

FLAT = (1.0,) * 7
FELL = (1.4, 1.1, 1.05, 1.03, 1.02, 1.015, 1.01)
ACTIVE = "active.samples"


@dataclass(frozen=True)
class Case:
    fires: Results
    quiet: Results
    silent: Results | None  # None: a check that always applies to the runs it looks at


CASES = {
    "MS101": Case(
        results(run(spread__total=7.6e-05, recall_1=0.5)),
        results(run(spread__total=0.02)),
        results(run(spread__total=None)),
    ),
    "MS102": Case(
        results(run(centre__norm_sq=0.95, spread__total=0.05, recall_1=0.5)),
        results(run(centre__norm_sq=0.85, spread__total=0.15)),
        results(run(centre__norm_sq=0.9999, spread__total=0.0001)),
    ),
    "MS201": Case(
        results(run("triplet", losses=FELL, spread__total=1e-4)),
        results(run("triplet", losses=(1.4, 1.0, 0.9, 0.8), spread__total=0.8)),
        results(run("contrastive", losses=FLAT, spread__total=1e-4)),
    ),
    "MS202": Case(
        results(run(losses=(6.24, 6.2, 6.2, 6.19, 6.19, 6.18))),
        results(run(losses=(6.24, 6.0, 5.5, 5.4, 5.3, 5.2))),
        results(run(losses=(6.24, 6.2))),
    ),
    "MS203": Case(results(failed(error="the loss is NaN")), results(run()), None),
    "MS204": Case(
        results(run("npair")),
        results(run("npair", params=losses.resolve("npair", {"scale": 16.0}))),
        results(run("scl")),
    ),
    "MS301": Case(
        results(run(recall_1=0.5), baseline={"recall@1": 0.558}),
        results(run(recall_1=0.55), baseline={"recall@1": 0.558}),
        results(run(recall_1=0.5)),
    ),
    "MS302": Case(
        results(run("scl", recall_1=0.68), run("ccl", recall_1=0.6)),
        results(run("scl", recall_1=0.68), run("ccl", recall_1=0.66)),
        results(run("scl", recall_1=0.68)),
    ),
    "MS401": Case(
        results(run(queries__excluded=600.0)),
        results(run(queries__excluded=400.0)),
        results(run(queries__excluded=600.0), test_rows=None),
    ),
    "MS402": Case(
        results(run("contrastive", columns={ACTIVE: [None, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02]})),
        results(run("contrastive", columns={ACTIVE: [None, 0.9, 0.5, 0.1, 0.01, 0.01, 0.01]})),
        results(run("contrastive")),
    ),
}


def _states(found: Results, code: str) -> set[str]:
    return {o.state for o in outcomes(found) if o.code == code}


def test_every_finding_has_a_case_and_a_code_of_its_own() -> None:
    codes = [check.code for check in FINDINGS.all().values()]
    assert sorted(codes) == sorted(CASES)
    for name, check in FINDINGS.all().items():
        assert re.fullmatch(r"ms\d{3}_[a-z_]+", name)
        assert check.__name__ == name
        assert check.__doc__
        assert FINDINGS.describe(name).summary


@pytest.mark.parametrize("code", CASES)
def test_fires(code: str) -> None:
    found = [f for f in examine(CASES[code].fires) if f.code == code]
    assert len(found) == 1
    finding = found[0]
    assert finding.severity in ("problem", "warning")
    assert all((finding.title, finding.message, finding.cause, finding.next_step))
    if code != "MS203":
        assert finding.value is not None
        assert finding.threshold is not None
        assert re.search(r"\d", finding.message)
    keys = {r.key for r in CASES[code].fires.runs}
    assert set(finding.runs) <= keys
    assert bool(finding.runs) == bool(finding.loss) == (code != "MS401")


@pytest.mark.parametrize("code", CASES)
def test_stays_quiet(code: str) -> None:
    states = _states(CASES[code].quiet, code)
    assert "fired" not in states
    if CASES[code].silent is not None:
        assert "passed" in states


@pytest.mark.parametrize("code", [c for c, case in CASES.items() if case.silent is not None])
def test_says_when_it_does_not_apply(code: str) -> None:
    silent = CASES[code].silent
    assert silent is not None
    assert _states(silent, code) == {"not applicable"}


@pytest.mark.parametrize("code", CASES)
def test_survives_runs_without_scores_or_trace(code: str) -> None:
    bare = replace(run("triplet"), trace={}, scores={})
    nan = run("triplet", losses=(math.nan, None), recall_1=math.nan, spread__total=math.nan)
    for found in (Results(()), Results((bare,)), Results((nan,)), results(bare, nan, failed())):
        fired = {o.code for o in outcomes(found) if o.state == "fired"}
        assert fired <= {"MS203"}


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
