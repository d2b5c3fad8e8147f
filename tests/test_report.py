"""The terminal and the page: readable everywhere, self-contained, and no name is ever a command."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from metriscope.findings import examine
from metriscope.report import html, style, tables, terminal
from metriscope.text import plain
from metriscope.types import Finding, MetriscopeError, Results
from tests.fakes import failed, full, results, run
from tests.pages import CONTROL, HOSTILE, Reader, links_lead_somewhere, loads_nothing, printed


def _with_findings(found: Results) -> Results:
    return replace(found, findings=examine(found))


@pytest.fixture(scope="module")
def page() -> str:
    return html.page(_with_findings(full()))


@pytest.fixture(scope="module")
def hostile_page() -> str:
    return html.page(_with_findings(full(HOSTILE, loss=HOSTILE)))


# ------------------------------------------------------------------------------------------- page


def test_page_loads_nothing_and_its_links_lead_somewhere(page: str) -> None:
    loads_nothing(page)
    links_lead_somewhere(page)


def test_page_can_be_read_with_a_keyboard_and_a_screen_reader(page: str) -> None:
    read = Reader(page)
    assert ("html", "lang", "en") in read.attributes
    assert read.tags["h1"] == 1
    assert read.tags["main"] == 1
    assert read.tags["caption"] == read.tags["table"]
    pictures = [v for t, n, v in read.attributes if t == "svg" and n == "aria-label"]
    assert len(pictures) == read.tags["svg"] == 6
    assert all(pictures)
    scrolled = [n for t, n, v in read.attributes if (n, v) == ("class", "scroll")]
    focusable = [n for t, n, v in read.attributes if (n, v) == ("tabindex", "0")]
    assert len(scrolled) == len(focusable) == read.tags["svg"] + read.tags["table"]
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_figures_take_the_colour_of_the_page(page: str) -> None:
    assert style.INK not in page
    assert page.count("currentColor") > 20
    svg = page[page.index("<svg") : page.index("</svg>")]
    assert "<text" in svg  # text that can be searched and read aloud, not outlines
    assert not re.search(r"fill: ?#(000000|ffffff)", svg)


def test_page_shows_tables_findings_and_settings(page: str) -> None:
    text = " ".join(Reader(page).text)
    for words in (
        "scl has the highest mean Recall@1: 0.921 ± 0.001",
        "2 of 3 runs",
        "failed",
        "never",
        "7.6e-05",
        "untrained features",
        "MS101",
        "MS203",
        "diverged on data",
        "metriscope compare data",
        "note on data",
    ):
        assert words in text, words


def test_equal_results_give_equal_pages(page: str) -> None:
    assert html.page(_with_findings(full())) == page


def test_hostile_names_are_text_on_the_page(page: str, hostile_page: str) -> None:
    good, bad = Reader(page), Reader(hostile_page)
    # MS101 and the failed runs name the same losses: only the texts differ, never the structure.
    assert {
        t: n for t, n in bad.tags.items() if t in ("script", "img", "b", "section", "table")
    } == {t: n for t, n in good.tags.items() if t in ("script", "img", "b", "section", "table")}
    assert {n for _, n, _ in bad.attributes} <= {n for _, n, _ in good.attributes}
    text = "".join(bad.text)
    assert plain(HOSTILE) in text
    assert not re.search(CONTROL, hostile_page)
    assert "\\x1b[31mred\\x9b0m \\u202eabc\\u2066 [bold red]x[/] $x^2$ \\udc80" in text
    hostile_page.encode("utf-8")


@pytest.mark.parametrize(
    "name", ["_hidden", "$\\frac{$", "日本語", "עברית", "a" * 300, " ", "'\"></svg>"]
)
def test_awkward_loss_names_survive_in_tables_and_figures(name: str) -> None:
    text = "".join(Reader(html.page(full(loss=name))).text)
    # Table, settings and ranking, at least; pictures cut very long names.
    assert text.count(name) >= 3


def test_page_without_any_finished_run(tmp_path: Path) -> None:
    for found in (Results(()), results(failed(), failed("ccl"))):
        html.write(_with_findings(found), tmp_path / "report.html")
        text = "".join(Reader((tmp_path / "report.html").read_text("utf-8")).text)
        assert "losses compared" in text


def test_write_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    html.write(results(run(recall_1=0.9)), path)
    before = path.read_text("utf-8")

    def full_disk(self: Path, *args: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(MetriscopeError, match="No space left on device"):
        html.write(results(run(recall_1=0.1)), path)
    assert path.read_text("utf-8") == before
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_missing_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(MetriscopeError, match="cannot write to"):
        html.write(results(run()), tmp_path / "nowhere" / "report.html")


# --------------------------------------------------------------------------------------- terminal


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
    assert "<dt>Verify</dt><dd>it is 2.</dd>" in html.page(Results((run(),), (one,)))


# ------------------------------------------------------------------------------------------- text


def test_plain_shows_what_would_be_obeyed_and_keeps_every_script() -> None:
    assert plain("a\x1b[1m\x00\x7f\x9b\n\r\t") == r"a\x1b[1m\x00\x7f\x9b\x0a\x0d\x09"
    assert (
        plain("\u202e\u2066\u200f\u2028\ufeff\U000e0041")
        == r"\u202e\u2066\u200f\u2028\ufeff\U000e0041"
    )
    assert plain("\udc80") == r"\udc80"
    kept = "é 日本語 עברית ह\u200dि 🙂 <b> [x] $ & \\"
    assert plain(kept) == kept
    assert plain(3) == "3"
