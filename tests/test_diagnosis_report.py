"""A diagnosis as a person sees it: in a terminal of any kind, and as a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from metriscope.report import diagnosis, diagnosis_page, terminal_diagnosis
from metriscope.report.charts import interactive
from metriscope.text import plain
from metriscope.types import ClassRow, Confusion, Examined, Interval, Item, MetriscopeError
from tests.examined import examined, findings, nothing
from tests.pages import (
    CONTROL,
    HOSTILE,
    Reader,
    charts,
    links_lead_somewhere,
    loads_nothing,
    printed,
)

AWKWARD = ["", " ", "a" * 300, "日本語" * 20, "עברית", "_hidden", "$\\frac{$", "'\"></svg>", "=1+1"]


def _print(found: Examined, width: int = 80, encoding: str = "utf-8", **options: object) -> str:
    report = Path("runs") / "data" / "report.html"
    render = lambda console: terminal_diagnosis.render(found, console, report)  # noqa: E731
    return printed(render, width, encoding, **options)


# ---------------------------------------------------------------------------------------- verdict


def test_the_verdict_counts_what_fired_and_what_did_not() -> None:
    every = findings()
    says = [
        (every, "1 problem, 1 warning; 2 checks passed, 1 does not apply."),
        (every[1:], "1 warning; 2 checks passed, 1 does not apply."),
        (every[2:4], "No problem found; 2 checks passed."),
        (every[:1] * 2 + every[2:3], "2 problems; 1 check passed."),
        (every[4:] * 2, "No check could look: 2 do not apply."),
        ((), "No checks were asked for."),
    ]
    for found, sentence in says:
        assert diagnosis.verdict(replace(examined(), findings=found)) == sentence


def test_the_worst_class_is_the_one_with_the_lowest_recall() -> None:
    rows = [
        ClassRow("none", 1, 0, 0.0),
        ClassRow("good", 5, 5, 0.1, 1.0),
        ClassRow("bad", 5, 5, 0.1, 0.2, lost=0.1),
        ClassRow("worse", 5, 5, 0.1, 0.2, lost=0.8),
    ]
    found = replace(examined(), per_class=tuple(rows))
    assert [row.name for row in diagnosis.worst(found)] == ["worse", "bad", "good", "none"]
    table = diagnosis.classes(found, 2)
    assert [row.name for row in table.rows] == ["worse", "bad"]
    assert table.title.endswith(": 2 of 4")


# --------------------------------------------------------------------------------------- terminal


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_terminal_fits_and_cuts_no_number(width: int) -> None:
    text = _print(examined(), width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert all(line == line.rstrip() for line in text.splitlines())
    assert "\x1b" not in text
    words = " ".join(text.split())
    for shown in (
        "0.912 [0.905, 0.918]",
        "0.500 [0.400, 0.600]",
        "class 11 (20.0 %)",
        "0.250",
        "40 20.0 %",
        "12.3",
        "(0.003, limit 0.01)",
    ):
        assert shown in words


@pytest.mark.parametrize("width", [40, 60])
def test_long_labels_fit_with_their_intervals(width: int) -> None:
    names = ("duplicates.within", "duplicates.conflicting", "duplicates.across", "label_noise")
    scores = dict.fromkeys(names, 0.1234)
    intervals = dict.fromkeys(names, Interval(0.1111, 0.2222))
    text = _print(replace(examined(), scores=scores, intervals=intervals), width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "0.111" in text


def test_terminal_begins_with_what_is_wrong_and_says_what_to_do() -> None:
    text = _print(examined(), 100)
    assert text.startswith("1 problem, 1 warning; 2 checks passed, 1 does not apply.\n")
    order = [
        "cat.npz · 10,000 rows (test) × 128 dimensions · 13 classes",
        "[PROBLEM] MS101 almost no spread, the space has collapsed (0.003, limit 0.01)\n",
        "    The mean squared distance",
        "    why: hard mining",
        "    try: a smaller margin.\n",
        "    verify: `spread.total` rises above 0.3.\n",
        "[WARNING] MS403",
        "    classes: cat, dog, class 0, class 1, class 2 and 27 more\n",
        "Retrieval [95 % interval]\n",
        "Geometry\n",
        "Classes, lowest recall first: 10 of 13\n",
        "Confusions, most frequent first: 10 of 12\n",
        "Outliers: 5 of 7\n",
        "  far 0  of cat, 9 times as far as usual; nearest img_1.jpg of dog\n",
        "Likely mislabelled: 1\n  img_1.jpg  labelled cat, rather dog (probability 0.98)\n",
        "Near-duplicates: 2\n",
        "  img_1.jpg  of cat, the same as 17 of cat in the training rows (distance 1e-05)\n",
        "Other checks\n",
        "[ok] MS102 direction that all embeddings share (0.12, limit 0.9)\n",
        "[ok] MS106 rows that are everyone's neighbour\n",
        "[n/a] MS404 duplicates across training and test: there is no training part; give --train.",
        "note: note on cat\n",
    ]
    places = [text.find(words) for words in order]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)
    assert text.endswith("Report: runs/data/report.html\n")


def test_terminal_says_what_is_of_a_sample_and_counts_what_it_hides() -> None:
    found = examined()
    about = {**found.about, "sampled": "Recall is of 4,096 queries."}
    text = _print(replace(found, about=about))
    assert "note: Recall is of 4,096 queries.\n" in text
    assert "2 more scores" in text  # map@r, undefined, and mine.own, without a label
    assert "–" not in text[text.index("Retrieval") : text.index("Classes")]


def test_terminal_has_colour_only_where_it_is_wanted() -> None:
    coloured = _print(examined(), force_terminal=True, color_system="standard")
    assert "\x1b[1;31m[PROBLEM]" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == _print(examined())


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_terminal_without_unicode_prints_what_it_can(encoding: str) -> None:
    text = _print(examined("日本"), 80, encoding)
    assert "\\u65e5\\u672c" in text
    assert "0.912 [0.905, 0.918]" in text


@pytest.mark.parametrize("width", [60, 120])
@pytest.mark.parametrize("name", [HOSTILE, *AWKWARD])
def test_awkward_names_break_no_terminal(name: str, width: int) -> None:
    text = _print(examined(name, name), width)
    assert not re.search(CONTROL, text)
    notes = text.index("note: ")  # sentences: no word of them is cut
    assert max(cell_len(line) for line in text[:notes].splitlines()) <= width
    assert '"' in text or name.strip()
    assert "0.500 [0.400, 0.600]" in text


def test_little_to_show_is_no_error() -> None:
    assert _print(nothing()).startswith("No checks were asked for.\nembeddings\n")
    bare = ClassRow("only", 3, 0, float("nan"))
    for found in (nothing(rows=3), replace(nothing(), per_class=(bare,))):
        _print(found)
        diagnosis_page.page(found)


# ------------------------------------------------------------------------------------------- page


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """Pages without the 5 MB of plotly."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interactive, "library", lambda: "/* plotly.js */")
        yield


@pytest.fixture(scope="module")
def page() -> str:
    return diagnosis_page.page(examined(classes=20))


def test_page_loads_nothing_and_its_links_lead_somewhere(page: str) -> None:
    loads_nothing(page)
    links_lead_somewhere(page)


def test_page_can_be_read_with_a_keyboard_and_a_screen_reader(page: str) -> None:
    read = Reader(page)
    assert read.tags["h1"] == read.tags["main"] == 1
    assert read.tags["caption"] == read.tags["table"]
    pictures = [v for _, n, v in read.attributes if n == "aria-label" and "Picture: " in v]
    assert len(pictures) == len(charts(page)) == 2
    focusable = [n for t, n, v in read.attributes if (n, v) == ("tabindex", "0")]
    assert len(focusable) == read.tags["table"]


def test_pictures_show_the_numbers_of_the_classes(page: str) -> None:
    found, drawn = examined(classes=20), charts(page)
    rows = [row for row in diagnosis.worst(found) if row.recall is not None]
    (dots,) = drawn["classes"][0]["data"]
    assert dots["x"] == [float(f"{row.recall:.6g}") for row in rows]
    (dots,) = drawn["spread"][0]["data"]
    assert dots["x"] == [float(f"{row.spread:.6g}") for row in rows]
    assert dots["y"] == [float(f"{row.recall:.6g}") for row in rows]


def test_page_shows_everything(page: str) -> None:
    text = " ".join(" ".join(Reader(page).text).split())
    for words in (
        "1 problem, 1 warning; 2 checks passed, 1 does not apply.",
        "10,000 rows (test) × 128 dimensions",
        "0.003 (limit 0.01)",
        "Verify `spread.total` rises above 0.3.",
        "class 17 and 12 more",
        "0.912 [0.905, 0.918]",
        "mine.own 3.500",
        "MAP@R ↑ –",
        "alone 1 – –",
        "0.500 [0.400, 0.600] 0.200 class 19 (20.0 %)",
        "cat class 19 40 20.0 %",
        "far 6 cat img_1.jpg dog 3",
        "img_1.jpg cat dog other.jpg 0.98",
        "img_1.jpg cat 17 cat the training rows 1e-05",
        "MS102 direction that all embeddings share 0.12 0.9",
        "MS404 duplicates across training and test there is no training part; give --train.",
        "metriscope diagnose cat.npz",
        "note on cat",
        "Version: torch",
    ):
        assert words in text, words


def test_long_lists_are_cut_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("CLASSES", "CONFUSIONS", "ITEMS"):
        monkeypatch.setattr(diagnosis_page, limit, 5)
    text = " ".join(" ".join(Reader(diagnosis_page.page(examined())).text).split())
    assert "5 of 13 are shown; `metriscope diagnose --out DIR` writes all of them to" in text
    assert "Outliers: 5 of 7" in text
    assert "far 4" in text
    assert "far 5" not in text


def test_equal_diagnoses_give_equal_pages(page: str) -> None:
    assert diagnosis_page.page(examined(classes=20)) == page


def test_hostile_names_are_text_on_the_page(page: str) -> None:
    hostile = diagnosis_page.page(examined(HOSTILE, HOSTILE, classes=20))
    good, bad = Reader(page), Reader(hostile)
    counted = ("script", "img", "b", "section", "table", "tr", "td", "svg")
    assert {t: bad.tags[t] for t in counted} == {t: good.tags[t] for t in counted}
    assert {n for _, n, _ in bad.attributes} <= {n for _, n, _ in good.attributes}
    assert not re.search(CONTROL, hostile)
    assert plain(HOSTILE)[:20] in "".join(bad.text)
    hostile.encode("utf-8")


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_names_survive_on_the_page(name: str) -> None:
    text = "".join(Reader(diagnosis_page.page(examined(name, name))).text)
    assert text.count(name[:20] or '""') >= 6


def test_many_classes_keep_the_page_small() -> None:
    rows = tuple(
        ClassRow(f"class {i}", 10, 10, 0.2, 0.9, Interval(0.8, 1.0)) for i in range(20_000)
    )
    items = tuple(Item("outlier", i, "a", 1, "b", 1.0) for i in range(1000))
    pairs = tuple(Confusion(f"class {i}", "class 0", 1, 0.1) for i in range(20_000))
    found = replace(examined(), per_class=rows, items=items, confusions=pairs)
    page = diagnosis_page.page(found)
    assert len(page) < 1_000_000
    assert page.count("<tr>") < 900


def test_an_unwritable_place_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(MetriscopeError, match="cannot write to"):
        diagnosis_page.write(examined(), tmp_path / "nowhere" / "report.html")
