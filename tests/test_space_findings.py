"""What the findings about a space say, beyond whether they fire."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metriscope.findings import examine_subject
from metriscope.findings.base import Subject
from metriscope.types import ClassRow, Confusion, Examined, Finding
from tests.cases_space import pair
from tests.finding_cases import fired, space


def said(subject: Subject, code: str) -> Finding:
    (found,) = [f for f in examine_subject(subject) if f.code == code]
    return found


def test_a_collapsed_space_is_only_called_collapsed() -> None:
    collapsed = space(
        spread__total=1e-4,
        centre__norm_sq=0.9999,
        rank__effective__centred=1.2,
        inter__clumps=1.1,
        classes__clumped=0.5,
        norms__cv=0.1,
        norms__moved__dot=0.9,
        norms__lost__dot=0.8,
    )
    collapsed = replace(collapsed, examined=pair(50).examined)
    states = {f.code: f.severity for f in examine_subject(collapsed)}
    assert {c for c, state in states.items() if state == "problem"} == {"MS101"}
    for code in ("MS102", "MS103", "MS104", "MS105", "MS107", "MS108"):
        assert states[code] == "not applicable"
        assert "MS101" in said(collapsed, code).message


@pytest.mark.parametrize(
    ("rank", "recall", "step"), [(9.0, 1.0, "subtract the mean"), (9.0, 0.1, "smaller margin")]
)
def test_an_offset_is_told_from_a_collapse(rank: float, recall: float, step: str) -> None:
    finding = said(
        space(spread__total=1e-4, rank__effective__centred=rank, recall_1=recall), "MS101"
    )
    assert finding.severity == "problem"
    assert step in finding.next_step
    assert ("their structure is left" in finding.message) == ("subtract" in step)


def test_of_unrelated_labels_nothing_else_is_said_of_the_classes() -> None:
    scores = {"label_noise": 0.7, "label_noise.low": 0.6, "label_noise.high": 0.8}
    scores |= {"recall@1": 0.21, "classes.clumped": 0.2, "hubness.top": 0.2}
    scores |= {"hubness.top.usual": 0.1}
    about = {"rows": 1_000, "classes": 5, "dim": 16, "queries": 1_000, "chance": 0.2}
    subject = Subject("space", scores, about=about, examined=pair(50).examined)
    assert said(subject, "MS408").severity == "problem"
    for code in ("MS105", "MS106", "MS107", "MS403"):
        assert said(subject, code).message.endswith("see MS408.")


def test_a_quiet_check_never_shows_a_value_beyond_its_limit() -> None:
    quiet = space(label_noise=0.184, label_noise__low=0.001, label_noise__high=0.3)
    found = said(quiet, "MS403")
    assert found.severity == "ok"
    assert (found.value, found.threshold) == (0.001, 0.0015)


@pytest.mark.parametrize(
    ("rank", "words", "step"),
    [(60.0, "their structure is left", "centring"), (3.0, "little structure is left", "epochs")],
)
def test_a_cone_says_what_is_left_inside(rank: float, words: str, step: str) -> None:
    about = {"classes": 100}
    (found,) = fired(space(about, centre__norm_sq=0.95, rank__effective__centred=rank), "MS102")
    assert words in found.message
    assert "its 100 classes need 99" in found.message
    assert found.next_step.split()[0] == step or step in found.next_step.split(",")[0]


def test_lost_dimensions_are_a_problem_below_a_quarter() -> None:
    for rank, severity in ((2.2, "problem"), (2.3, "warning"), (4.4, "warning"), (4.5, "ok")):
        found = said(space(rank__effective__centred=rank), "MS103")
        assert (found.severity, found.value) == (severity, pytest.approx(rank / 9))
    narrow = space({"classes": 1000, "dim": 16}, rank__effective__centred=9.0)
    assert said(narrow, "MS103").value == pytest.approx(9 / 16)


def test_merged_clumps_are_counted() -> None:
    # two places of five classes: 20 of 45 pairs at distance 0, so the clump count is 2.25
    (found,) = fired(space(inter__clumps=2.25), "MS104")
    assert found.value == pytest.approx(2)
    assert found.threshold == pytest.approx(10**0.5)
    # 4d − 3 is what random centres on a circle have: κ = 1 + (4/π)² / (2 − (4/π)²) = 5.3
    assert said(space({"classes": 400, "dim": 2}, inter__clumps=5.28), "MS104").severity == "ok"


def test_overlap_names_the_classes_and_how_mixed_they_are() -> None:
    (found,) = fired(pair(45), "MS105")
    assert found.classes == ("cat", "dog")
    assert found.severity == "problem"
    assert found.message.startswith("Of the queries of cat and dog that found one of the two, 45%")
    assert "90% of what a single cloud would give" in found.message
    # Wilson's lower bound of 90 in 200 at z = 4 is 0.319; one cloud gives 0.5025
    assert found.value == pytest.approx(0.3186 / (2 * 100 * 100 / (200 * 199)), abs=1e-3)
    (found,) = fired(pair(38), "MS105")
    assert found.severity == "warning"


def test_three_classes_in_one_place_are_three_pairs() -> None:
    names = ("cat", "dog", "fox")
    table = tuple(ClassRow(name, 100, 100, 0.5, 0.34) for name in names)
    lost = tuple(Confusion(a, b, 33, 0.33) for a in names for b in names if a != b)
    (found,) = fired(space(examined=Examined({}, per_class=table, confusions=lost)), "MS105")
    assert set(found.classes) == set(names)
    assert "one of 3 such pairs" in found.message
    assert found.severity == "problem"


def test_clumped_classes_are_named() -> None:
    many = [f"class {i}" for i in range(9)]
    (found,) = fired(space({"clumped_classes": many}, classes__clumped=0.3), "MS107")
    assert found.classes == tuple(many)
    assert found.message.endswith("class 0, class 1, class 2, class 3, class 4 and 4 more.")
    (found,) = fired(space({"clumped_classes": many[:2]}, classes__clumped=0.3), "MS107")
    assert found.message.endswith("class 0 and class 1.")


def test_unequal_lengths_say_which_search_they_spoil() -> None:
    (found,) = fired(
        space(
            norms__cv=0.1,
            norms__moved__dot=0.9,
            norms__moved__euclid=0.4,
            norms__lost__dot=0.2,
            norms__lost__euclid=0.3,
        ),
        "MS108",
    )
    assert "By Euclidean distance 40% of the queries" in found.message
    assert "Recall@1 falls by 0.300" in found.message
    (found,) = fired(space(norms__cv=0.9, norms__moved__dot=0.9, norms__lost__dot=-0.1), "MS108")
    assert "Recall@1 does not fall" in found.message


def test_beyond_float32_is_a_warning_where_collapse_says_why() -> None:
    for spread, severity in ((0.5, "problem"), (1e-9, "warning")):
        found = said(space(float32__lost=0.4, float32__unsure=0.8, spread__total=spread), "MS109")
        assert found.severity == severity
