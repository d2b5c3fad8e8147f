"""The three tables: means, spreads, what is marked, what is missing, how they are exported."""

from __future__ import annotations

import statistics

import pytest

from metriscope.diagnostics.base import all_scores
from metriscope.report import columns, tables, words
from metriscope.report.columns import Column
from metriscope.types import Results
from tests.fakes import advised, comparison, failed, results, run


def _cell(found: Results, loss: str, score: str) -> tables.Cell:
    for table in tables.build(found):
        for row in table.rows:
            if row.name == loss:
                for column, cell in zip(table.columns, row.cells, strict=True):
                    if column.score == score:
                        return cell
    raise AssertionError(f"no cell {loss} {score}")


@pytest.mark.parametrize(
    "column",
    [*columns.RETRIEVAL, *columns.VARIANCE, *columns.GREEDINESS, *columns.DIAGNOSIS],
)
def test_every_column_is_a_score_that_a_diagnostic_returns(column: Column) -> None:
    assert column.score in all_scores()
    assert column.meaning


def test_mean_and_sd_over_seeds() -> None:
    values = (0.9, 0.92, 0.97)
    cell = _cell(
        results(*(run(seed=i, recall_1=v) for i, v in enumerate(values))), "scl", "recall@1"
    )
    assert cell.mean == pytest.approx(statistics.mean(values), abs=1e-15)
    assert cell.sd == pytest.approx(statistics.stdev(values), abs=1e-15)
    assert (cell.n, cell.text) == (3, "0.930 ± 0.036")


def test_one_seed_has_no_sd() -> None:
    cell = _cell(results(run(recall_1=0.9)), "scl", "recall@1")
    assert (cell.sd, cell.n, cell.text) == (None, 1, "0.900")


@pytest.mark.parametrize("score", ["spread__total", "recall_1"])
def test_undefined_is_a_dash_not_zero(score: str) -> None:
    name = score.replace("recall_", "recall@").replace("__", ".")
    for value in (None, float("nan"), float("inf")):
        cell = _cell(results(run(**{score: value})), "scl", name)
        assert (cell.text, cell.mean) == ("–", None)


def test_never_reached_says_so_and_a_part_of_the_seeds_is_counted() -> None:
    found = results(*(run(seed=s, epochs_to__50=e) for s, e in enumerate((10.0, None, 12.0))))
    assert _cell(found, "scl", "epochs_to.50").text == "11.0 ± 1.4 (2/3)"
    assert _cell(results(run(epochs_to__50=None)), "scl", "epochs_to.50").text == "never"


def test_best_mean_is_marked_by_direction() -> None:
    found = results(
        run("scl", recall_1=0.9, hubness__skew=3.0, spread__total=0.9),
        run("ccl", recall_1=0.8, hubness__skew=1.0, spread__total=0.1),
    )
    assert [_cell(found, n, "recall@1").best for n in ("scl", "ccl")] == [True, False]
    assert [_cell(found, n, "hubness.skew").best for n in ("scl", "ccl")] == [False, True]
    assert [_cell(found, n, "spread.total").best for n in ("scl", "ccl")] == [False, False]


def test_means_that_print_the_same_share_the_mark() -> None:
    found = results(
        run("scl", recall_1=0.90001), run("ccl", recall_1=0.9), run("npair", recall_1=0.89)
    )
    assert [_cell(found, n, "recall@1").best for n in ("scl", "ccl", "npair")] == [
        True,
        True,
        False,
    ]


def test_alone_partial_and_baseline_cells_are_not_marked() -> None:
    assert not _cell(results(run(recall_1=0.9)), "scl", "recall@1").best
    found = results(
        run("scl", 0, recall_1=0.99),
        run("scl", 1, recall_1=None),
        run("ccl", 0, recall_1=0.9),
        run("npair", 0, recall_1=0.8),
        baseline={"recall@1": 1.0},
    )
    assert not _cell(found, "scl", "recall@1").best
    assert not _cell(found, tables.BASELINE, "recall@1").best
    assert _cell(found, "ccl", "recall@1").best


def test_failed_runs_are_said() -> None:
    found = results(
        run("scl", 0, recall_1=0.9), failed("scl", 1), run("scl", 2, recall_1=0.8), failed("ccl")
    )
    rows = {row.name: row for row in tables.build(found)[0].rows}
    assert rows["scl"].note == "2 of 3 runs"
    assert rows["scl"].cells[0].text == "0.850 ± 0.071"
    assert rows["ccl"].note == "failed"
    assert [c.text for c in rows["ccl"].cells] == ["–"]


def test_rows_keep_the_asked_order_and_the_baseline_is_last() -> None:
    found = results(run("scl", recall_1=0.1), run("ccl", recall_1=0.9), baseline={"recall@1": 0.5})
    retrieval, variance, greediness = tables.build(found)
    assert [row.name for row in retrieval.rows] == ["scl", "ccl", tables.BASELINE]
    assert [row.name for row in variance.rows] == ["scl", "ccl", tables.BASELINE]
    assert [row.name for row in greediness.rows] == ["scl", "ccl"]


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.0, 3, "0.000"),
        (7.6e-05, 3, "7.6e-05"),
        (-7.6e-05, 3, "-7.6e-05"),
        (0.0005, 3, "0.001"),
        (123456.0, 3, "1.2e+05"),
        (9.87, 1, "9.9"),
    ],
)
def test_no_number_is_printed_as_zero_unless_it_is(value: float, digits: int, text: str) -> None:
    assert tables.number(value, digits) == text


def test_sd_has_the_decimals_of_its_mean() -> None:
    column = Column("x")
    assert tables.cell([0.5, 0.5 + 1e-9], column).text == "0.500 ± 0.000"
    assert tables.cell([1e-05, 3e-05], column).text == "2.0e-05 ± 1e-05"
    assert tables.cell([1e-05, 1e-05], column).text == "1.0e-05 ± 0"


def test_results_without_a_finished_run_still_have_tables() -> None:
    assert [t.columns for t in tables.build(Results(()))] == [(), (), ()]
    assert [r.note for r in tables.build(results(failed()))[0].rows] == ["failed"]
    assert "No run finished" in tables.answer(results(failed()))


def test_answer_names_the_best_mean_and_is_no_recommendation() -> None:
    found = results(
        *(run("scl", s, recall_1=0.9 + s / 100) for s in range(3)),
        *(run("ccl", s, recall_1=0.8) for s in range(3)),
        baseline={"recall@1": 0.7},
    )
    text = tables.answer(found)
    assert text.startswith(
        "scl has the highest mean Recall@1: 0.910 ± 0.010 (mean ± SD over 3 seeds)"
    )
    assert "Next: ccl, 0.800 ± 0.000." in text
    assert "untrained features reach 0.700" in text
    assert "not a tested recommendation" in text
    assert "not a recommendation" in tables.answer(results(run(recall_1=0.9)))


def test_differences_have_a_sign_and_nothing_has_none() -> None:
    assert [tables.signed(v) for v in (0.0123, -0.0123, 0.0, 3e-05)] == [
        "+0.012",
        "-0.012",
        "0.000",
        "+3.0e-05",
    ]


def test_a_score_has_one_name_whichever_part_it_is_of() -> None:
    assert columns.label("recall@1") == columns.label("val.recall@1") == "Recall@1"
    assert columns.label("epochs to 98 % of it") == "epochs to 98 % of it"


def test_a_p_value_is_never_printed_as_zero() -> None:
    assert [words.p_value(p) for p in (0.0, 0.0009, 0.001, 0.0344, 1.0)] == [
        "< 0.001",
        "< 0.001",
        "0.001",
        "0.034",
        "1.000",
    ]


def test_a_chance_is_never_certain() -> None:
    shares = (0.0, 0.004, 0.006, 0.617, 0.994, 1.0)
    said = ["< 1 %", "< 1 %", "1 %", "62 %", "99 %", "> 99 %"]
    assert [words.chance(share) for share in shares] == said


def test_the_answer_is_the_recommendation_where_there_is_one() -> None:
    found = results(run("scl", recall_1=0.9), run("ccl", recall_1=0.8))
    assert tables.answer(advised(found, "ccl")).startswith("Take ccl")
    assert "highest mean" not in tables.answer(advised(found, "ccl"))
    nothing = advised(found, "ccl", loss=None, rows=[], answer="No loss can be recommended. Why.")
    assert tables.answer(nothing).startswith(
        "No loss can be recommended. Why. scl has the highest mean Recall@1: 0.900"
    )
    several = Results.joined(
        [comparison(datasets=("a",)), advised(comparison(datasets=("b",)), "scl")], {}
    )
    assert tables.answer(several).startswith("a: ccl has the highest mean")
    assert " b: Take scl" in tables.answer(several)
