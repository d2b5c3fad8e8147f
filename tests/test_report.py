"""The terminal and the page: readable everywhere, self-contained, and no name is ever a command."""

from __future__ import annotations

import io
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from metriscope.findings import examine
from metriscope.report import html, style, tables, terminal
from metriscope.text import plain
from metriscope.types import Finding, MetriscopeError, Results
from tests.fakes import failed, full, results, run

HOSTILE = (
    "<script>alert(1)</script>\"'>&amp; "
    "\x1b[31mred\x9b0m \u202eabc\u2066 [bold red]x[/] $x^2$ \udc80"
)
VOID = {"meta", "link", "br", "img", "input", "hr"}


def _with_findings(found: Results) -> Results:
    return replace(found, findings=examine(found))


@pytest.fixture(scope="module")
def page() -> str:
    return html.page(_with_findings(full()))


@pytest.fixture(scope="module")
def hostile_page() -> str:
    return html.page(_with_findings(full(HOSTILE, loss=HOSTILE)))


class _Reader(HTMLParser):
    """Tags, attributes and visible text; fails on tags that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open[-1:]:
            self.text.append(data)


# ------------------------------------------------------------------------------------------- page


def test_page_loads_nothing_and_runs_nothing(page: str) -> None:
    read = _Reader(page)
    assert not {"script", "link", "iframe", "object", "embed", "img", "form"} & set(read.tags)
    for tag, name, value in read.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ("src", "href", "xlink:href", "action", "srcset"):
            assert value.startswith("#"), (tag, name, value)
    assert "@import" not in page
    assert set(re.findall(r"url\(([^)]*)\)", page)) <= set(re.findall(r"url\((#[^)]*)\)", page))
    addresses = set(re.findall(r'https?://[^"\s<]+', page))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert ("meta", "content", policy) in read.attributes


def test_page_has_unique_ids_and_links_that_lead_somewhere(page: str) -> None:
    attributes = _Reader(page).attributes
    ids = Counter(value for _, name, value in attributes if name == "id")
    assert [i for i, n in ids.items() if n > 1] == []
    targets = {v[1:] for _, name, v in attributes if name in ("href", "xlink:href")}
    targets |= {
        v
        for _, name, value in attributes
        if name.startswith("aria-labelledby")
        for v in value.split()
    }
    targets |= set(re.findall(r"url\(#([^)]*)\)", page))
    assert targets <= set(ids)


def test_page_can_be_read_with_a_keyboard_and_a_screen_reader(page: str) -> None:
    read = _Reader(page)
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
    text = " ".join(_Reader(page).text)
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
    good, bad = _Reader(page), _Reader(hostile_page)
    # MS101 and the failed runs name the same losses: only the texts differ, never the structure.
    assert {
        t: n for t, n in bad.tags.items() if t in ("script", "img", "b", "section", "table")
    } == {t: n for t, n in good.tags.items() if t in ("script", "img", "b", "section", "table")}
    assert {n for _, n, _ in bad.attributes} <= {n for _, n, _ in good.attributes}
    text = "".join(bad.text)
    assert plain(HOSTILE) in text
    assert not re.search(
        r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", hostile_page
    )
    assert "\\x1b[31mred\\x9b0m \\u202eabc\\u2066 [bold red]x[/] $x^2$ \\udc80" in text
    hostile_page.encode("utf-8")


@pytest.mark.parametrize(
    "name", ["_hidden", "$\\frac{$", "日本語", "עברית", "a" * 300, " ", "'\"></svg>"]
)
def test_awkward_loss_names_survive_in_tables_and_figures(name: str) -> None:
    text = "".join(_Reader(html.page(full(loss=name))).text)
    # Table, settings and ranking, at least; pictures cut very long names.
    assert text.count(name) >= 3


def test_page_without_any_finished_run(tmp_path: Path) -> None:
    for found in (Results(()), results(failed(), failed("ccl"))):
        html.write(_with_findings(found), tmp_path / "report.html")
        text = "".join(_Reader((tmp_path / "report.html").read_text("utf-8")).text)
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
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="")
    console = Console(file=file, width=width, **options)  # type: ignore[arg-type]
    terminal.render(found, console, Path("runs") / "data" / "report.html")
    file.flush()
    return raw.getvalue().decode(encoding)


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
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert "[bold red]x[/]" in " ".join(text.split())
    assert "\\x1b[31mred\\x9b0m" in text


def test_terminal_findings_about_no_loss() -> None:
    one = Finding("MS401", "warning", "few queries", "It is 3.", 3.0, None, "", "wait")
    text = _print(Results((run(),), (one,)), 80)
    assert "[WARNING] MS401 few queries (3)\n    It is 3.\n    try: wait\n" in text


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
