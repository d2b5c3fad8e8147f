"""The terminal: readable at any width, in any encoding, without colour; no name is a command."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from metriscope.findings import examine
from metriscope.report import tables, terminal
from metriscope.report.columns import Column
from metriscope.report.console import print_table
from metriscope.types import Finding, Results
from tests.fakes import advised, comparison, full, results, run
from tests.pages import CONTROL, HOSTILE, printed


def _with_findings(found: Results) -> Results:
    return replace(found, findings=examine(found))


def _print(found: Results, width: int, encoding: str = "utf-8", **options: object) -> str:
    report = Path("runs") / "data" / "report.html"
    render = lambda console: terminal.render(found, console, report)  # noqa: E731
    return printed(render, width, encoding, **options)


@pytest.mark.parametrize("width", [40, 50, 60, 80, 120, 200])
def test_terminal_fits_and_cuts_no_number(width: int) -> None:
    found = _with_findings(full())
    text = _print(found, width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    for table in tables.build(found):
        for j, column in enumerate(table.columns):
            if column.main:
                assert column.heading in text
                for row in table.rows:
                    assert row.cells[j].text in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_terminal_shows_more_columns_where_they_fit() -> None:
    found = results(run("scl", recall_1=0.9, recall_5=0.9, probe_accuracy=0.8))
    assert "Probe accuracy" in _print(found, 120)
    narrow = _print(found, 45)
    assert "Probe accuracy" not in narrow
    assert "1 more in the report" in " ".join(narrow.split())


def test_terminal_marks_the_best_without_colour_and_with_it() -> None:
    text = _print(full(), 100)
    assert "0.921 ± 0.001*" in text
    assert "\x1b" not in text
    assert "* best mean" in text
    coloured = _print(full(), 100, force_terminal=True, color_system="standard")
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == text


def test_no_color_keeps_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = _print(_with_findings(full()), 100, force_terminal=True)
    assert not re.search(r"\x1b\[[0-9;]*3\d", text)
    assert "0.921 ± 0.001*" in re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_terminal_without_unicode_prints_what_it_can(encoding: str) -> None:
    text = _print(_with_findings(full("日本")), 80, encoding)
    assert "0.921 +- 0.001*" in text or "0.921 ± 0.001*" in text
    assert "\\u65e5\\u672c" in text


def test_terminal_says_what_went_wrong() -> None:
    text = " ".join(_print(_with_findings(full()), 80).split())
    assert (
        "[PROBLEM] MS101 triplet: almost no spread, the space has collapsed (7.6e-05, limit 0.01)"
        in text
    )
    assert "[PROBLEM] MS203 ccl: a run failed" in text
    assert "try: " in text
    assert "(2 of 3 runs)" in text
    assert "ccl (failed)" in text
    assert text.endswith("Report: runs/data/report.html")
    assert "Findings: none." in _print(results(run(recall_1=0.9)), 80)


def test_the_recommendation_comes_first() -> None:
    found = advised(_with_findings(full()), "scl")
    text = " ".join(_print(found, 60).split())
    assert text.startswith("Take scl: Recall@1 0.700. contrastive cannot be told apart.")
    assert "Cannot be told apart from it:" not in text  # it has been said
    more = advised(_with_findings(full()), "scl", alike=["contrastive", "triplet"])
    said = "Cannot be told apart from it: contrastive, triplet."
    assert said in " ".join(_print(more, 60).split())
    assert "The paper's guideline would take triplet or scl: on these rows that is right." in text
    assert text.index("guideline") < text.index("Retrieval")
    assert "highest mean" not in text


def test_without_a_recommendation_it_describes_and_recommends_nothing() -> None:
    text = " ".join(_print(full(), 80).split())
    assert text.startswith("scl has the highest mean Recall@1")
    assert "not a tested recommendation" in text
    assert "guideline" not in text
    assert "Cannot be told apart" not in text


def test_several_data_sets_have_a_heading_each() -> None:
    parts = [
        advised(comparison(datasets=(name,)), loss) for name, loss in (("a", "scl"), ("b", "ccl"))
    ]
    lines = _print(Results.joined(parts, {"command": "x"}), 80).splitlines()
    first, second = lines.index("== a =="), lines.index("== b ==")
    assert lines[first + 1].startswith("Take scl")
    assert lines[second + 1].startswith("Take ccl")
    assert lines[-1].startswith("Report: ")
    assert sum(line.startswith("Retrieval") for line in lines) == 2


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_hostile_recommendation_is_text_and_fits(width: int, encoding: str) -> None:
    found = advised(comparison(datasets=("b",), losses=("a\x1b[31m\u202e" * 20, "scl")), "scl")
    parts = [found, advised(comparison(datasets=("[red]" + "\x07" * 30,)), "ccl")]
    text = _print(Results.joined(parts, {}), width, encoding)
    assert not re.search(CONTROL, text)
    assert "[red]" in text


def test_hostile_names_are_text_in_the_terminal() -> None:
    text = _print(_with_findings(full(HOSTILE, loss=HOSTILE)), 200, force_terminal=False)
    assert not re.search(CONTROL, text)
    assert "[bold red]x[/]" in " ".join(text.split())
    assert "\\x1b[31mred\\x9b0m" in text


def test_terminal_findings_about_no_loss() -> None:
    one = Finding(
        "MS401", "warning", "few queries", "It is 3.", 3.0, None, "", "wait", verify="it is 2."
    )
    text = _print(Results((run(),), (one,)), 80)
    shown = "[WARNING] MS401 few queries (3)\n    It is 3.\n    try: wait\n    verify: it is 2.\n"
    assert shown in text


def test_headings_are_text_too() -> None:
    rows = (tables.Row("scl", (tables.Cell("1"),)),)
    table = tables.Table("Table 3", "", (Column("\x1b[31mcars\u202e: r@1"),), rows)
    text = printed(lambda console: print_table(table, console), 80)
    assert not re.search(CONTROL, text)
    assert "\\x1b[31mcars\\u202e: r@1" in text
