"""Tables 1 to 3 in the paper's layout, both readings of Table 2, the plane, all data sets."""

from __future__ import annotations

import statistics

import pytest

from metriscope.report.charts import Dots, Line, Rule
from metriscope.report.evidence import Evidence
from metriscope.report.panels import PANELS
from metriscope.report.tables import Row, Table
from metriscope.types import Results
from tests.fakes import comparison, full, results, run

SCORES = ("intra.pair_cos.mean", "intra.pair_cos.sd", "inter.euclid.mean", "inter.euclid.sd")


@pytest.fixture(scope="module")
def two() -> Evidence:
    return Evidence(comparison(datasets=("cars", "cub"), lost=[("ccl", 0)]))


def _frame(name: str, found: Results | Evidence) -> Table:
    evidence = found if isinstance(found, Evidence) else Evidence(found)
    return PANELS.get(name)().frame(evidence)


def _rows(table: Table) -> dict[str, Row]:
    return {row.name: row for row in table.rows}


def test_table_1_counts_the_rows_of_every_data_set(two: Evidence) -> None:
    table = _frame("table1", two)
    assert [c.label for c in table.columns] == ["Rows", "Classes", "Training", "Validation", "Test"]
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        ["840", "10", "600", "120", "120"]
    ] * 2
    assert [row.name for row in table.rows] == ["cars", "cub"]
    (old,) = _frame("table1", full()).rows  # before there were validation parts
    assert [cell.text for cell in old.cells] == ["10,100", "10", "100", "–", "10,000"]


@pytest.mark.parametrize(
    ("name", "scores"), [("table2", SCORES), ("table3", ("recall@1", "recall@5", "recall@10"))]
)
def test_tables_2_and_3_hold_the_stored_means_of_every_data_set(
    name: str, scores: tuple[str, ...], two: Evidence
) -> None:
    table = _frame(name, two)
    places = [(d, score) for d in ("cars", "cub") for score in scores]
    assert len(table.columns) == len(places)
    assert all(
        c.label.startswith(f"{d}: ") for c, (d, _) in zip(table.columns, places, strict=True)
    )
    for loss, row in _rows(table).items():
        for (dataset, score), cell in zip(places, row.cells, strict=True):
            runs = two.parts[dataset].results.by_loss()[loss]
            values = [r.scores[score] for r in runs if r.status == "done"]
            assert cell.mean == pytest.approx(statistics.mean(values), abs=1e-15)  # type: ignore[type-var]
            assert cell.sd == pytest.approx(statistics.stdev(values), abs=1e-15)  # type: ignore[type-var]
    assert _rows(table)["ccl"].note == "2 of 3 runs on cars, 2 of 3 runs on cub"


def test_table_3_marks_the_best_mean_and_table_2_marks_none(two: Evidence) -> None:
    table = _frame("table3", comparison(datasets=("a", "b")))
    best = [[row.name for row in table.rows if row.cells[j].best] for j in (0, 3)]
    assert best == [["ccl"], ["ccl"]]
    assert not any(cell.best for row in _frame("table2", two).rows for cell in row.cells)


def test_a_loss_that_one_data_set_lacks_has_a_dash_there() -> None:
    parts = [comparison(datasets=("a",)), comparison(datasets=("b",), losses=("scl", "mine"))]
    rows = _rows(_frame("table3", Results.joined(parts, {})))
    assert rows["mine"].note == "not run on a"
    assert [cell.text for cell in rows["mine"].cells[:3]] == ["–"] * 3
    assert rows["mine"].cells[3].mean is not None


def test_variance_has_both_readings_of_table_2_and_says_which_one_fits() -> None:
    found = Evidence(comparison())
    shown = {column.score for column in _frame("variance", found).columns}
    assert {"inter.cos.mean", "inter.cos.sd", *SCORES} <= shown
    assert {"intra.eq1", "inter.eq1", "centre.norm_sq", "table2.r"} <= shown
    assert "both readings" in PANELS.get("variance")().caption(found)
    bare = Evidence(results(run(spread__total=0.5)))
    assert "both readings" not in PANELS.get("variance")().caption(bare)


# ------------------------------------------------------------------------------------------- plane


def _speeds(speeds: dict[str, tuple[float | None, ...]], kept: dict[str, float]) -> Results:
    return results(
        *(
            run(loss, seed, epochs_to__50=epoch, intra__pair_cos__mean=kept[loss])
            for loss, epochs in speeds.items()
            for seed, epoch in enumerate(epochs)
        )
    )


def test_the_plane_sets_speed_against_what_is_kept_within_classes() -> None:
    speeds = {"scl": (3.0, 5.0), "ccl": (6.0, None), "npair": (None, None)}
    found = _speeds(speeds, {"scl": 0.1, "ccl": 0.2, "npair": 0.3})
    table = _frame("plane", found)
    shown = {row.name: [(c.text, c.mean) for c in row.cells] for row in table.rows}
    assert shown["scl"] == [("4.0 ± 1.4", 4.0), ("0.100 ± 0.000", 0.1)]
    assert shown["ccl"][0] == ("8.5 ± 3.5 (1/2 reached)", 8.5)  # of 10 epochs; never: 11
    assert shown["npair"][0] == ("not reached", None)
    said = table.explanation
    assert "+1.00 over 3 losses: as claimed" in said
    assert "not comparable between losses" in said
    assert said.endswith("Not reached, at the dashed line: npair.")
    chart = PANELS.get("plane")().plot(Evidence(found))
    assert chart is not None
    marks = chart.planes[0].marks
    points = {m.name: (m.x, m.y) for m in marks if isinstance(m, Dots)}
    assert points == {
        "scl": ((4.0,), (0.1,)),
        "ccl": ((8.5,), (0.2,)),
        "npair": ((11.0,), (0.3,)),
    }
    assert [m.x for m in marks if isinstance(m, Rule)] == [11.0]


def test_the_plane_says_when_the_relation_is_the_other_way_or_cannot_be_seen() -> None:
    speeds = {"scl": (3.0,), "ccl": (6.0,), "npair": (9.0,)}
    other = _frame("plane", _speeds(speeds, {"scl": 0.3, "ccl": 0.2, "npair": 0.1}))
    assert "-1.00 over 3 losses: the other way" in other.explanation
    alike = _frame("plane", _speeds(speeds, dict.fromkeys(speeds, 0.2)))
    assert "too few, or too alike" in alike.explanation
    assert "Not reached" not in alike.explanation
    at_once = _frame(
        "plane", _speeds(dict.fromkeys(speeds, (0.0,)), {"scl": 0.3, "ccl": 0.2, "npair": 0.1})
    )
    assert "before any training" in at_once.explanation


def test_with_validation_scores_the_plane_asks_when_a_common_target_was_reached() -> None:
    table = _frame("plane", comparison(step=0.0))
    assert table.columns[0].label == "Epochs to the target"
    assert "not comparable" not in table.explanation


# ----------------------------------------------------------------------------- over the data sets


def test_critical_difference_ranks_over_data_sets_and_joins_what_it_cannot_tell_apart() -> None:
    panel, found = (
        PANELS.get("critical_difference")(),
        Evidence(comparison(datasets=("a", "b", "c"), step=0.1)),
    )
    table = panel.frame(found)
    assert [(row.name, row.cells[0].mean) for row in table.rows] == [
        ("ccl", 1.0),
        ("scl", 2.0),
        ("triplet", 3.0),
        ("contrastive", 4.0),
    ]
    # Nemenyi at 5 %, 4 losses, 3 data sets: 2.569 √(20 / 18) = 2.71 (Demsar 2006).
    assert table.rows[0].cells[1].text == "scl, triplet"
    assert "3 datasets, 4 losses" in table.explanation
    chart = panel.plot(found)
    assert chart is not None
    (plane,) = chart.planes
    bars = [m for m in plane.marks if isinstance(m, Line) and m.y[0] == m.y[1]]
    assert bars[0].x == pytest.approx((1.0, 3.71), abs=0.01)
    assert [bar.x for bar in bars[1:]] == [(1.0, 3.0), (2.0, 4.0)]
    assert plane.y_names[3:] == ("ccl", "scl", "triplet", "contrastive")


def test_critical_difference_needs_two_data_sets_and_leaves_out_what_one_lacks() -> None:
    panel = PANELS.get("critical_difference")()
    assert panel.frame(Evidence(comparison())).rows == ()
    assert panel.plot(Evidence(comparison())) is None
    parts = [comparison(datasets=("a",)), comparison(datasets=("b",), losses=("scl", "ccl"))]
    found = Evidence(Results.joined(parts, {}))
    assert [row.name for row in panel.frame(found).rows] == ["ccl", "scl"]
    assert "contrastive, triplet" in panel.caption(found)
