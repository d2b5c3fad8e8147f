"""The page: readable everywhere, self-contained, and no name is ever a command."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from metriscope.findings import examine
from metriscope.report import html, tables
from metriscope.report.charts import interactive
from metriscope.report.columns import Column
from metriscope.report.evidence import Evidence
from metriscope.report.overall import overall
from metriscope.report.page import Page, Section, to_html
from metriscope.report.panels import PANELS
from metriscope.report.tables import Cell, Row, Table
from metriscope.text import plain
from metriscope.types import Finding, Interval, MetriscopeError, Results
from tests.fakes import advised, comparison, failed, full, results, run
from tests.pages import (
    CONTROL,
    HOSTILE,
    Reader,
    charts,
    links_lead_somewhere,
    loads_nothing,
    scripts,
)

SEVERAL = ("cats", "dogs")


def _with_findings(found: Results) -> Results:
    return replace(found, findings=examine(found))


def _page(found: Results, folder: Path | None = None) -> str:
    return html.page(Evidence(found, folder))


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """Pages without the 5 MB of plotly, which tests in a browser have."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interactive, "library", lambda: "/* plotly.js */")
        yield


@pytest.fixture(scope="module")
def page() -> str:
    return _page(_with_findings(full()))


@pytest.fixture(scope="module")
def hostile_page() -> str:
    return _page(_with_findings(full(HOSTILE, loss=HOSTILE)))


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Of two datasets, with all that runs leave."""
    folder = tmp_path_factory.mktemp("several")
    return Evidence(comparison(folder, SEVERAL, lost=[("ccl", 0)]), folder)


@pytest.fixture(scope="module")
def several(evidence: Evidence) -> str:
    return html.page(evidence)


# ------------------------------------------------------------------------------------------- page


def test_page_loads_nothing_and_its_links_lead_somewhere(page: str, several: str) -> None:
    for text in (page, several):
        loads_nothing(text)
        links_lead_somewhere(text)


def test_a_page_without_a_picture_has_no_library() -> None:
    code, _ = scripts(_page(Results(())))
    assert len(code) == 1
    assert len(scripts(_page(full()))[0]) == 2


def test_page_can_be_read_with_a_keyboard_and_a_screen_reader(page: str, several: str) -> None:
    for text in (page, several):
        read = Reader(text)
        assert ("html", "lang", "en") in read.attributes
        assert read.tags["h1"] == read.tags["main"] == read.tags["nav"] == 1
        assert read.tags["caption"] == read.tags["table"]
        pictures = [v for _, n, v in read.attributes if n == "aria-label" and "Picture: " in v]
        planes = [v for _, n, v in read.attributes if (n, v) == ("class", "plane")]
        assert len(pictures) == len(planes) == sum(map(len, charts(text).values())) >= 6
        scrolled = [n for t, n, v in read.attributes if (n, v) == ("class", "scroll")]
        focusable = [n for t, n, v in read.attributes if (n, v) == ("tabindex", "0")]
        assert len(scrolled) == len(focusable) == read.tags["table"]
        levels = [int(tag) for tag in re.findall(r"<h([1-6])", text)]
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))


def _luminance(colour: str) -> float:
    parts = [int(c, 16) / 255 for c in re.findall("..", colour * (2 if len(colour) == 3 else 1))]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_can_be_read_in_both_themes(page: str, theme: str) -> None:
    pairs = re.findall(r"--(\w+): light-dark\(#(\w+), #(\w+)\)", page)
    colours = {name: light if theme == "light" else dark for name, light, dark in pairs}
    for text in ("ink", "soft", "link", "problem", "warning", "ok"):
        for ground in ("page", "raised", *(("best",) if text in ("ink", "soft") else ())):
            shades = (_luminance(colours[text]), _luminance(colours[ground]))
            contrast = (max(shades) + 0.05) / (min(shades) + 0.05)
            assert contrast >= 4.5, (text, ground, contrast)  # WCAG 2.1, 1.4.3


def test_every_number_is_the_one_that_is_stored(evidence: Evidence, several: str) -> None:
    shown, compared = Reader(several).tables, 0
    for name, panel in PANELS.all().items():
        id = name.replace("_", "-")
        places = [(id, evidence)]
        if panel.about == "dataset":
            places = [(f"d{i}-{id}", part) for i, part in enumerate(evidence.parts.values(), 1)]
        for place, part in places:
            table = panel().frame(part)
            if not table.rows or panel.layout == "cards":
                assert place not in shown
                continue
            assert len(shown[place]) == len(table.rows) + 1  # and the head
            for line, row in zip(shown[place][1:], table.rows, strict=True):
                assert plain(row.name) in line[0][0]
                for (text, value), cell in zip(line[1:], row.cells, strict=True):
                    assert value == cell.mean
                    assert plain(cell.text) in text
                    compared += cell.mean is not None
    assert compared > 300


def test_the_numbers_of_the_file_reach_the_page(evidence: Evidence, several: str) -> None:
    rows = Reader(several).tables["d2-retrieval"]
    place = next(j for j, (text, _) in enumerate(rows[0]) if text.startswith("Recall@1"))
    for loss, runs in evidence.parts["dogs"].results.by_loss().items():
        values = [run.scores["recall@1"] for run in runs if run.status == "done"]
        row = next(row for row in rows if row[0][0].startswith(loss))
        assert row[place][1] == math.fsum(values) / len(values)


def test_the_numbers_of_the_tables_reach_the_charts(evidence: Evidence, several: str) -> None:
    drawn = charts(several)
    for id, name, heading in (
        ("d1-retrieval", "retrieval", "Recall@1"),
        ("d2-ranks", "ranks", "Place"),
        ("d1-spectra", "spectra", ""),
    ):
        points = [
            float(v)
            for plane in drawn[id]
            for trace in plane["data"]
            for v in (*trace["x"], *trace["y"])
            if v is not None
        ]
        part = list(evidence.parts.values())[int(id[1]) - 1]
        chart = PANELS.get(name)().plot(part)
        assert chart is not None
        assert [interactive.to_plotly(replace(chart, legend=()))] == [drawn[id]]
        table = PANELS.get(name)().frame(part)
        for j, column in enumerate(table.columns):
            if heading and column.label == heading:
                means = [row.cells[j].mean for row in table.rows if row.name in ("scl", "triplet")]
                assert len(means) == 2
                assert all(float(f"{mean:.6g}") in points for mean in means)


def test_one_dataset_has_no_parts_and_several_have_one_each(page: str, several: str) -> None:
    assert 'class="part"' not in page
    assert re.findall(r'class="part" id="(\w+)"( open)?>', several) == [("d1", " open"), ("d2", "")]
    ids = [v for t, n, v in Reader(several).attributes if (t, n) == ("section", "id")]
    assert ids[0] == "answer"
    first = next(i for i, id in enumerate(ids) if id.startswith("d1-"))
    assert not any(id.startswith("d") and id[1].isdigit() for id in ids[:first])
    assert [id[3:] for id in ids if id.startswith("d1-")] == [
        id[3:] for id in ids if id.startswith("d2-")
    ]


def test_the_page_begins_with_the_answer() -> None:
    found = advised(comparison(losses=("scl", "triplet")), "scl")
    assert found.recommendation is not None
    text = " ".join(Reader(_page(found)).text)
    answer = found.recommendation["answer"]
    assert text.count(answer) == 1
    assert text.index(answer) < text.index("In short")
    assert tables.answer(full()) in " ".join(Reader(_page(full())).text)


def test_an_edited_file_is_told_from_what_runs_left(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Warning." not in _page(full())
    keys = tuple(f"data-<b>-s{i}" for i in range(9))
    monkeypatch.setattr(Evidence, "edited", keys)
    text = " ".join(Reader(_page(full())).text)
    assert "results.json differs from what 9 runs left in runs/: data-<b>-s0, " in text
    assert "data-<b>-s4 and 4 more" in text
    assert "Tables of means show results.json; intervals, comparisons, ranks" in text


def test_several_datasets_begin_with_two_sentences_and_each_has_its_answer() -> None:
    found = comparison(None, ("a", "b", "c"), ("scl", "triplet"), 1, 20)
    parts = {name: advised(found.of(name), "scl").recommendation for name in ("a", "b")}
    said = _page(replace(found, recommendation=parts))
    leads = re.findall(r'<p class="lead">(.*?)</p>', said)
    assert len(leads) == 1 + 3
    assert leads[0].startswith("On 2 of 3 datasets scl is recommended, on 1 none; see each below. ")
    assert re.search(r"below\. \w+ has the best mean rank by Recall@1, \d\.\d\d over 3 d", leads[0])
    assert leads[1].startswith("Take scl:")
    ranks = re.findall(r'<p class="lead">(.*?)</p>', _page(found))[0]
    assert ranks.startswith("triplet has the best mean rank by Recall@1, 1.")
    assert ranks.endswith(" tells it from no other loss.")
    names = tuple("abcdefgh")
    far = comparison(None, names, ("scl", "ccl", "triplet"), 1, 400, step=0.12)
    assert overall(Evidence(far)).endswith(" tells it from scl.")


def test_facts_are_counted_in_good_english() -> None:
    assert "1 loss × 1 seed, 1 run finished" in _page(results(run("scl")))
    assert "2 losses × 2 seeds, 3 runs finished" in _page(
        results(run("scl"), run("scl", 1), run("ccl"))
    )


def test_pictures_in_cells_are_in_the_file_once() -> None:
    cell = Cell("cat", pictures=(b"\xff\xd8\xff", b"\xff\xd8\xfe"))
    table = Table("T", "", (Column("C", words=True),), (Row("r", (cell,)), Row("s", (cell,))))
    text = to_html(Page("n", "w", [], [Section("s", "S", "", table)], "f"))
    loads_nothing(text)
    assert re.findall(r"url\((.*)\)", text) == [
        "data:image/jpeg;base64,/9j/",
        "data:image/jpeg;base64,/9j+",
    ]
    assert re.findall(r'class="picture (p\d)" role="img" aria-label="(.*?)"', text) == 2 * [
        ("p0", "example 1"),
        ("p1", "example 2"),
    ]


def test_intervals_stand_beside_their_means() -> None:
    cell = Cell("0.900 ± 0.010", 0.9, 0.01, 3, 3, interval=Interval(0.8801, 0.9199))
    table = Table("T", "", (Column("C", digits=2),), (Row("r", (cell,)),))
    text = to_html(Page("n", "w", [], [Section("s", "S", "", table)], "f"))
    assert "[0.88, 0.92]" in Reader(text).text


def test_what_the_buttons_copy_is_in_the_page(page: str) -> None:
    copied = scripts(page)[1]["texts"]
    assert len(copied) == Reader(page).tags["table"]
    assert all(set(found) == {"CSV", "Markdown", "LaTeX"} for found in copied)


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
    assert _page(_with_findings(full())) == page


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
    text = "".join(Reader(_page(full(loss=name))).text)
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


def test_a_card_says_how_to_verify() -> None:
    one = Finding(
        "MS401", "warning", "few queries", "It is 3.", 3.0, None, "", "wait", verify="it is 2."
    )
    assert "<dt>Verify</dt><dd>it is 2.</dd>" in _page(Results((run(),), (one,)))


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
