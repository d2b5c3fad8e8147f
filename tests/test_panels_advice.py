"""The panels that a person decides by: the answer, the guideline, comparisons, ranks."""

from __future__ import annotations

from pathlib import Path

import pytest

from metriscope import statistics
from metriscope.recommendation import epochs_to_target
from metriscope.report import style
from metriscope.report.charts import Chart, Dots, Rule
from metriscope.report.evidence import Evidence
from metriscope.report.panels import PANELS
from metriscope.report.tables import Row, Table
from metriscope.types import InputError, Results
from tests.fakes import advised, comparison, failed, results, run

LOST = (("scl", 1), ("scl", 2), ("ccl", 0), ("ccl", 1), ("ccl", 2))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    folder = tmp_path_factory.mktemp("kept")
    return Evidence(comparison(folder, queries=400, step=0.1), folder)


def _frame(name: str, found: Results | Evidence) -> Table:
    evidence = found if isinstance(found, Evidence) else Evidence(found)
    return PANELS.get(name)().frame(evidence)


def _rows(name: str, found: Results | Evidence) -> dict[str, Row]:
    return {row.name: row for row in _frame(name, found).rows}


def _texts(row: Row) -> list[str]:
    return [cell.text for cell in row.cells]


def _plot(name: str, found: Results) -> Chart:
    chart = PANELS.get(name)().plot(Evidence(found))
    assert chart is not None
    return chart


# ------------------------------------------------------------------------------------------ answer


def test_the_answer_is_the_recommendation_and_its_numbers_are_those_of_the_validation_part() -> (
    None
):
    found = advised(comparison(), "scl", notes=["A note."])
    table = _frame("answer", found)
    assert table.explanation == f"{found.recommendation['answer']} A note."  # type: ignore[index]
    assert PANELS.get("answer")().caption(Evidence(found)) == "A note."  # the page has the answer
    assert table.columns[0].label == "Recall@1, validation"
    first, second, third, _ = table.rows
    assert [row.name for row in table.rows] == ["scl", "contrastive", "triplet", "ccl"]
    assert _texts(first) == [
        "0.700 ± 0.010",
        "recommended",
        "–",
        "–",
        "1",
        "70 %",
        "0.004",
        "3",
    ]
    assert first.cells[0].interval == (0.7 - 0.02, 0.7 + 0.02)
    assert (first.cells[4].interval, table.columns[4].digits) == ((1, 2), 0)
    assert _texts(second)[1:4] == ["cannot be told apart", "-0.020", "0.200"]
    assert second.cells[2].interval == (-0.03, -0.01)
    assert _texts(third)[1] == "worse"


def test_the_answer_draws_the_validation_part_and_no_test_score() -> None:
    found = advised(comparison(), "scl")
    (plane,) = _plot("answer", found).planes
    assert "validation" in plane.x_label
    assert plane.y_names == ("scl", "contrastive", "triplet", "ccl")
    means = {m.name: m for m in plane.marks if isinstance(m, Dots) and len(m.x) == 1}
    assert means["scl"].x == (0.7,)
    assert (means["scl"].x_low, means["scl"].x_high) == ((0.7 - 0.02,), (0.7 + 0.02,))
    seeds = {m.name: set(m.x) for m in plane.marks if isinstance(m, Dots) and len(m.x) == 3}
    for loss, runs in found.by_loss().items():
        assert seeds[loss] == {run.scores["val.recall@1"] for run in runs}
    assert not any(isinstance(mark, Rule) for mark in plane.marks)


def test_one_seed_is_recommended_without_a_test() -> None:
    found = advised(comparison(seeds=1), "scl", sure="unknown", alike=[])
    nothing = dict.fromkeys(
        ("low", "high", "sd", "rank_low", "rank_high", "best", "regret", "p", "difference_low")
    )
    rows = [row | nothing | {"seeds": 1} for row in found.recommendation["rows"]]  # type: ignore[index]
    shown = _rows("answer", advised(found, "scl", sure="unknown", alike=[], rows=rows))
    assert _texts(shown["scl"]) == ["0.700", "recommended", "–", "–", "1", "–", "–", "1"]
    assert _texts(shown["triplet"])[1:4] == ["cannot say: one seed", "-0.040", "–"]
    assert all(cell.interval is None for row in shown.values() for cell in row.cells)


def test_losses_that_could_not_be_ranked_are_named_with_the_reason() -> None:
    found = advised(comparison(), "scl", missing={"mine": "no run finished"})
    row = _rows("answer", found)["mine"]
    assert row.note == "no run finished"
    assert set(_texts(row)) == {"–"}


def test_without_a_recommendation_the_answer_describes_the_test_part() -> None:
    found = results(*(run("scl", s, recall_1=0.9 + s / 100) for s in range(3)), failed("ccl"))
    table = _frame("answer", found)
    assert "not a tested recommendation" in table.explanation
    assert table.columns[0].label == "Recall@1, mean"
    assert [_texts(row) for row in table.rows] == [["0.910", "0.010", "0.900", "0.920", "3"]]


def test_several_data_sets_are_answered_one_by_one() -> None:
    parts = [
        advised(comparison(datasets=("a",)), "scl"),
        advised(comparison(datasets=("b",)), "ccl"),
        comparison(datasets=("c",), lost=[(x, s) for x in ("triplet",) for s in range(3)]),
    ]
    found = Results.joined(parts, {})
    table = _frame("answer", found)
    assert table.explanation.startswith("a: Take scl")
    assert " b: Take ccl" in table.explanation
    assert " c: ccl has the highest mean" in table.explanation
    assert [(row.cells[0].text, row.name) for row in table.rows][3:6] == [
        ("a", "ccl"),
        ("b", "ccl"),
        ("b", "contrastive"),
    ]
    assert {row.cells[0].text for row in table.rows} == {"a", "b"}  # no test means among these
    assert [plane.title for plane in _plot("answer", found).planes] == ["a", "b", "c"]


def test_the_guideline_is_shown_with_what_speaks_for_and_against_it() -> None:
    found = advised(comparison(), "scl")
    assert [(row.name, _texts(row)) for row in _frame("guideline", found).rows] == [
        ("It says", ["Triplet or SCL for top-1 retrieval."]),
        ("For it", ["scl is first on these data."]),
        ("Against it", ["The paper's own tables contradict it."]),
        ("Verdict", ["agrees"]),
    ]
    assert _frame("guideline", comparison()).rows == ()


def test_what_the_guideline_says_of_all_data_sets_is_said_once() -> None:
    other = advised(comparison(), "scl").recommendation["guideline"] | {"verdict": "disagrees"}  # type: ignore[index]
    parts = [
        advised(comparison(datasets=("a",)), "scl"),
        advised(comparison(datasets=("b",)), "scl", guideline=other),
    ]
    rows = _frame("guideline", Results.joined(parts, {})).rows
    assert [(row.name, *_texts(row)) for row in rows if row.name in ("It says", "Verdict")] == [
        ("It says", "all", "Triplet or SCL for top-1 retrieval."),
        ("Verdict", "a", "agrees"),
        ("Verdict", "b", "disagrees"),
    ]


# ------------------------------------------------------------------------------------- comparisons


def test_every_pair_is_compared_once_as_the_statistics_say(kept: Evidence) -> None:
    table, pairs = _frame("comparisons", kept), kept.pairs()
    assert [row.name for row in table.rows] == [f"{p.first} − {p.second}" for p in pairs]
    assert len(table.rows) == 6
    for row, pair in zip(table.rows, pairs, strict=True):
        shown = [cell.mean for cell in row.cells[:6]]
        told = pair.difference
        assert shown == [told.mean, pair.adjusted, told.d, told.h, told.wins, told.losses]
        assert row.cells[0].interval == told.interval
    verdicts = {row.name: row.cells[-1].text for row in table.rows}
    assert verdicts["contrastive − ccl"] == "ccl is better"
    differ = sum(p.verdict == "different" for p in pairs)
    assert f"{differ} of 6 pairs differ" in table.explanation
    assert "the same 400 queries, 3 seeds" in table.explanation


def test_losses_that_are_the_same_show_no_evidence_of_a_difference() -> None:
    same = results(*(run(x, s, recall_1=0.9 + s / 100) for x in ("scl", "ccl") for s in range(3)))
    (row,) = _frame("comparisons", same).rows
    assert row.cells[-1].text == "no evidence of a difference"
    assert "0 of 1 pair differ" in _frame("comparisons", same).explanation
    mark = _plot("comparisons", same).planes[0].marks[1]
    assert isinstance(mark, Dots)
    assert mark.look.colour == style.INK


def test_a_difference_has_the_colour_of_the_better_loss(kept: Evidence) -> None:
    chart = PANELS.get("comparisons")().plot(kept)
    assert chart is not None
    found = {m.name: m.look for m in chart.planes[0].marks if isinstance(m, Dots)}
    assert found["contrastive − ccl"] == style.look("ccl")


def test_one_seed_cannot_say_and_invents_no_interval() -> None:
    found = comparison(seeds=1)
    table = _frame("comparisons", found)
    assert {row.cells[-1].text for row in table.rows} == {"cannot say"}
    assert {row.cells[1].text for row in table.rows} == {"–"}
    assert "one seed" in table.explanation
    assert _plot("comparisons", found).planes[0].x_label.endswith("(one seed)")
    assert "nobody can say" in _frame("ranks", found).explanation
    assert "One seed" in PANELS.get("retrieval")().caption(Evidence(found))
    for name in ("comparisons", "ranks", "retrieval"):
        cells = [cell for row in _frame(name, found).rows for cell in row.cells]
        assert all(cell.interval is None for cell in cells)


def test_losses_that_lack_runs_are_named_and_never_averaged() -> None:
    found = comparison(lost=LOST)
    said = _frame("comparisons", found).explanation
    assert "Left out: scl (too few seeds" in said
    assert "ccl (no finished run has this score)." in said
    rows = _rows("ranks", found)
    assert (rows["ccl"].note, rows["scl"].note) == ("failed", "left out: 1 finished")
    assert set(_texts(rows["scl"])) == {"–"}
    said = PANELS.get("retrieval")().caption(Evidence(found))
    assert "scl (1 of 3), ccl (0 of 3); failed runs are in no mean" in said


def test_ranks_are_those_of_the_statistics(kept: Evidence) -> None:
    table = _frame("ranks", kept)
    for row, rank in zip(table.rows, kept.ranks(), strict=True):
        assert row.name == rank.loss
        assert [cell.mean for cell in row.cells] == [rank.mean, rank.rank, rank.best, rank.regret]
        assert row.cells[1].interval == rank.interval
    assert table.rows[0].name == "ccl"


# --------------------------------------------------------------------------------------- retrieval


def test_retrieval_has_intervals_over_seeds_and_queries_where_those_were_kept(
    kept: Evidence, tmp_path: Path
) -> None:
    def cells(found: Evidence, loss: str) -> dict[str, object]:
        table = _frame("retrieval", found)
        row = next(row for row in table.rows if row.name == loss)
        return {c.score: cell.interval for c, cell in zip(table.columns, row.cells, strict=True)}

    values = kept.outcomes("map@r").values["scl"]
    assert cells(kept, "scl")["map@r"] == statistics.estimate(values).interval
    assert cells(kept, "untrained features")["recall@1"] is None
    assert set(cells(Evidence(kept.results), "scl").values()) == {None}  # no queries
    assert "not kept" in PANELS.get("retrieval")().caption(Evidence(kept.results))
    # Compared on two of its three seeds, so the interval would be that of another mean.
    part = Evidence(comparison(tmp_path, losses=("scl", "ccl"), lost=[("ccl", 2)]), tmp_path)
    assert part.outcomes("recall@1").seeds == (0, 1)
    assert cells(part, "scl")["recall@1"] is None


@pytest.mark.parametrize(
    "damage",
    [
        {"rows": [{"loss": "scl"}]},
        {"rows": [1]},
        {"rows": None},
        {"alike": "scl"},
        {"missing": ["scl"]},
        {"notes": 3},
        {"guideline": {"losses": ["scl"]}},
    ],
)
def test_a_recommendation_that_somebody_edited_is_refused_with_a_reason(
    damage: dict[str, object],
) -> None:
    found = advised(comparison(), "scl", **damage)
    with pytest.raises(InputError, match="is not what a comparison writes"):
        _frame("answer", found)


def test_numbers_of_a_recommendation_that_are_none_are_refused() -> None:
    rows = advised(comparison(), "scl").recommendation["rows"]  # type: ignore[index]
    for name, value in (("mean", None), ("mean", "0.7"), ("p", True), ("low", float("nan"))):
        found = advised(comparison(), "scl", rows=[rows[0] | {name: value}, *rows[1:]])
        with pytest.raises(InputError, match="is not what a comparison writes"):
            _frame("answer", found)


def test_the_seeds_of_a_fast_loss_are_epochs_and_one_more_where_it_never_got_there() -> None:
    found = advised(comparison(), "ccl", goal="fast", score="epochs to 98 % of the best Recall@1")
    (plane,) = _plot("answer", found).planes
    shown = {m.name: m.x for m in plane.marks if isinstance(m, Dots) and len(m.x) == 3}
    reached = epochs_to_target(found)
    assert shown == {
        loss: tuple(11.0 if epoch is None else float(epoch) for epoch in epochs)
        for loss, epochs in reached.items()
    }
    assert None in reached["contrastive"]
    assert set(reached["ccl"]) != {None}
    assert plane.x_label.startswith("Epochs to 98 % of the best Recall@1, validation part")
    assert _frame("answer", found).columns[0].digits == 1
