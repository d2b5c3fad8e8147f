"""The report in a real browser: drawn, sorted, copied, printed, and never obeying a name."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from metriscope import kept
from metriscope.report import html
from metriscope.report.columns import Column
from metriscope.report.page import Page as Report
from metriscope.report.page import Section, to_html
from metriscope.report.tables import Cell, Row, Table
from tests.browser import browser, executable, opened
from tests.fakes import comparison, view
from tests.pages import HOSTILE, charts

__all__ = ["browser"]  # a fixture

NASTY = (
    "</script><script>window.harmed=1</script><img src=x onerror='window.harmed=1'>"
    '<a href="javascript:window.harmed=1">x</a> $\\href{javascript:window.harmed=1}{x}$ '
    "%{x} %{customdata} \u2028 {{7*7}} " + HOSTILE
)
DRAWN = ".plane .main-svg"
LOSSES = ("contrastive", "triplet")


def write(folder: Path, datasets: tuple[str, str], loss: str, classes: tuple[str, ...]) -> Path:
    """The report of two datasets; ``ccl`` failed in every run."""
    lost = [("ccl", 0), ("ccl", 1)]
    found = comparison(folder, datasets, (*LOSSES, loss, "ccl"), 2, 60, lost=lost)
    for run in found.runs:
        if run.status == "done" and run.spec.seed == 0:
            kept.write_view(folder, run.key, view(names=classes))
    file = folder / "report.html"
    html.write(found, file)
    return file


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("report"), ("cats", "dogs"), "npair", ("a", "b", "c"))


@pytest.fixture(scope="module")
def shared(browser: Browser, path: Path) -> Iterator[Page]:
    """The page on a laptop, as it is opened. What a test changes, it changes back."""
    permissions = ["clipboard-read", "clipboard-write"]
    with opened(browser, path, permissions=permissions) as page:
        yield page


@pytest.fixture(scope="module")
def report(shared: Page) -> Page:
    """The page with every part open and every picture drawn."""
    expect(shared.locator("#answer .js-plotly-plot").first).to_be_visible()
    assert shared.locator(".js-plotly-plot").count() < shared.locator(".plane").count()
    open_all(shared)
    return shared


def open_all(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    for figure in page.locator("figure.chart").all():
        figure.scroll_into_view_if_needed()
    count = page.locator(".plane").count()
    assert count > 20
    expect(page.locator(".plane.js-plotly-plot")).to_have_count(count, timeout=60_000)


def boxes(found: Locator) -> list[tuple[float, float]]:
    """Width and right end of each."""
    script = "(all) => all.map((e) => e.getBoundingClientRect()).map((b) => [b.width, b.right])"
    return [(width, right) for width, right in found.evaluate_all(script)]


# ---------------------------------------------------------------------------------------- charts


def test_every_picture_is_drawn_with_its_marks(report: Page) -> None:
    marks = ".scatterlayer :is(.points path, .lines path, .fills path, .errorbar path)"
    script = f"(planes) => planes.map((p) => p.querySelectorAll('{marks}').length)"
    assert all(report.locator(".plane").evaluate_all(script))


def test_no_button_of_a_picture_sends_it_anywhere(report: Page) -> None:
    buttons = report.locator(".modebar-btn")
    titles = buttons.evaluate_all("(all) => all.map((b) => (b.dataset.title ?? '').toLowerCase())")
    assert len(titles) > 10
    assert not [t for t in titles if {"cloud", "share", "chart", "upload"} & set(t.split())]


def test_the_pointer_shows_the_stored_value(report: Page) -> None:
    plane = report.locator("#d1-retrieval .plane").first
    plane.scroll_into_view_if_needed()
    dot = plane.locator(".scatterlayer .point").first
    box = dot.bounding_box()
    assert box is not None
    report.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    label = plane.locator(".hoverlayer .hovertext").first
    expect(label).to_be_visible()
    (row,) = report.locator("#d1-retrieval tbody tr:has-text('contrastive')").all()
    value = row.locator("td").first.get_attribute("data-value")
    assert value is not None
    assert f"{float(value):.6g}" in (label.text_content() or "")


def test_what_is_drawn_is_what_the_file_has(report: Page, path: Path) -> None:
    given = charts(path.read_text("utf-8"))
    for id in ("answer", "d1-tsne", "d2-loss-curves"):
        shown = report.locator(f"#{id} .plane").evaluate_all(
            "(planes) => planes.map((p) => p.data.map((t) => [[...t.x], [...t.y]]))"
        )
        assert shown == [[[t["x"], t["y"]] for t in plane["data"]] for plane in given[id]]


# ---------------------------------------------------------------------------------------- tables


def test_tables_sort_by_what_is_stored(report: Page) -> None:
    table = report.locator("#d1-retrieval table")
    cells = table.locator("tbody td:nth-child(2)")
    names = table.locator("tbody th bdi")
    before = names.all_text_contents()
    cells.evaluate_all("(all) => all.forEach((c) => { c.firstChild.textContent = '–'; })")
    head = table.locator("thead th").nth(1)
    ways = []
    for _ in range(3):
        head.get_by_role("button").click()
        ways.append(head.get_attribute("aria-sort"))
        values = cells.evaluate_all("(all) => all.map((c) => Number(c.dataset.value ?? NaN))")
        if ways[-1] != "none":
            assert math.isnan(values[-1])  # it failed, whichever way
            assert values[:-1] == sorted(values[:-1], reverse=ways[-1] == "descending")
    assert ways == ["descending", "ascending", "none"]  # higher is better: the best first
    assert names.all_text_contents() == before
    first = table.locator("thead th").first
    head.get_by_role("button").click()
    first.get_by_role("button").click()
    assert first.get_attribute("aria-sort") == "ascending"
    assert head.get_attribute("aria-sort") == "none"
    assert names.all_text_contents() == sorted(before)


@pytest.mark.parametrize("clipboard", [True, False], ids=["clipboard", "by hand"])
def test_tables_copy_as_three_kinds_of_text(report: Page, clipboard: bool) -> None:
    if not clipboard:  # a browser that keeps it from pages: a selected text, and its command
        no = "() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }"
        report.evaluate(no)
    read = "navigator.clipboard.readText()"
    found = {}
    for name in ("CSV", "Markdown", "LaTeX"):
        report.locator("#d2-ranks .tools").get_by_text(name, exact=True).click()
        expect(report.locator("#status")).to_contain_text(f"as {name} copied.")
        found[name] = report.evaluate(read)
    value = report.locator("#d2-ranks td[data-value]").first.get_attribute("data-value")
    assert str(value) in found["CSV"]
    assert found["Markdown"].startswith("| Loss |")
    assert "\\toprule" in found["LaTeX"]
    report.locator("footer .again").click()
    expect(report.locator("#status")).to_have_text("The command copied.")
    assert report.evaluate(read) == "metriscope compare"


def test_the_numbers_of_a_curve_are_there_when_asked_for(report: Page) -> None:
    numbers = report.locator("#d1-loss-curves .numbers")
    assert numbers.locator("tbody tr").count() > 10
    assert numbers.locator(".tools button").count() == 3
    assert numbers.locator("th[aria-sort]").count() > 1


def made_of(folder: Path, table: Table) -> Path:
    """A page of one table."""
    file = folder / "table.html"
    file.write_text(to_html(Report("n", "w", [], [Section("s", "S", "", table)], "f")), "utf-8")
    return file


def test_pictures_of_cells_are_painted(browser: Browser, tmp_path: Path) -> None:
    raw = io.BytesIO()
    Image.new("RGB", (8, 8), (250, 0, 0)).save(raw, "JPEG")
    cell = Cell("cat", pictures=(raw.getvalue(),))
    table = Table("T", "", (Column("C", words=True),), (Row("r", (cell,)),))
    with opened(browser, made_of(tmp_path, table)) as page:
        picture = page.locator(".picture")
        style = picture.evaluate("(e) => getComputedStyle(e).backgroundImage")
        assert style.startswith('url("data:image/jpeg')
        seen = Image.open(io.BytesIO(picture.screenshot())).convert("RGB")
        red, green, _ = seen.getpixel((seen.width // 2, seen.height // 2))  # type: ignore[misc]
        assert red > 200 > 60 > green


@pytest.mark.parametrize(("rows", "hint"), [(60, False), (61, True)])
def test_a_table_that_scrolls_says_so(
    browser: Browser, tmp_path: Path, rows: int, hint: bool
) -> None:
    shown = tuple(Row(f"r{i}", (Cell("long words " * 9),)) for i in range(rows))
    table = Table("T", "", (Column("C", words=True),), shown)
    with opened(browser, made_of(tmp_path, table)) as page:
        cut = "(e) => e.scrollHeight > e.clientHeight + 1"
        assert page.locator(".scroll").evaluate(cut) == hint
        assert page.get_by_text("61 rows: scroll inside the table").count() == hint


# ---------------------------------------------------------------------------------- theme, sizes


def test_the_theme_changes_charts_too_and_is_remembered(report: Page) -> None:
    def colours() -> tuple[str, str]:
        ink = report.evaluate("getComputedStyle(document.body).color")
        text = "getComputedStyle(document.querySelector('.main-svg .xtick text')).fill"
        return ink, report.evaluate(text)

    light = colours()
    assert light[0] == light[1]
    report.emulate_media(color_scheme="dark")
    dark = colours()
    assert dark[0] == dark[1] != light[1]
    report.get_by_role("button", name="Light page").click()
    assert colours() == light
    assert report.evaluate("localStorage.getItem('metriscope-theme')") == "light"
    report.get_by_role("button", name="Dark page").click()
    assert colours() == dark
    report.get_by_role("button", name="Light page").click()
    report.emulate_media(color_scheme="light")


def test_a_phone_never_scrolls_the_page_sideways(report: Page) -> None:
    report.set_viewport_size({"width": 360, "height": 740})
    wide = "document.querySelector('.plane .main-svg').clientWidth > 360"
    frame = "await new Promise(requestAnimationFrame)"
    report.evaluate(f"async () => {{ for (let i = 0; i < 600 && {wide}; i++) {frame}; }}")
    assert report.evaluate("document.documentElement.scrollWidth") <= 360
    assert all(right <= 360 for _, right in boxes(report.locator(".plane")))
    report.set_viewport_size({"width": 1280, "height": 800})


def test_print_has_every_picture_and_no_button(browser: Browser, path: Path) -> None:
    with opened(browser, path) as page:
        expect(page.locator("#answer .js-plotly-plot").first).to_be_visible()
        planes = page.locator(".plane").count()
        page.emulate_media(media="print")
        expect(page.locator(".plane.js-plotly-plot")).to_have_count(planes, timeout=60_000)
        assert page.locator("nav:visible, button:not(.sort):visible").count() == 0
        assert page.locator("details.part:not([open])").count() == 0
        letters = page.locator("table:not(.whole) :is(th, td, .interval, .note)").evaluate_all(
            "(all) => all.filter((e) => e.checkVisibility()).map((e) => [0.75 * "
            "parseFloat(getComputedStyle(e).fontSize) * (e.closest('table').style.zoom || 1), "
            "e.closest('table').getBoundingClientRect().right])"
        )
        assert min(points for points, _ in letters) >= 6.5
        assert max(right for _, right in letters) <= 700
        assert page.locator("#d1-variance table.block").count() > 1
        titles = page.locator(":is(.xtitle, .ytitle, .gtitle)").evaluate_all(
            "(all) => all.map((e) => parseFloat(getComputedStyle(e).fontSize))"
        )
        assert max(titles) <= 13
        sizes = boxes(page.locator(".plane .svg-container"))
        assert len(sizes) == planes
        assert all(width > 0 and right <= 680 for width, right in sizes)
        page.emulate_media(media="screen")
        expect(page.locator("details.part:not([open])")).to_have_count(1, timeout=60_000)
        assert page.locator("table:is(.block, .whole)").count() == 0
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        expect(page.locator("details.part:not([open])")).to_have_count(0, timeout=60_000)


# -------------------------------------------------------------------------------------- keyboard


def test_a_keyboard_reaches_everything(browser: Browser, path: Path) -> None:
    with opened(browser, path) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the results"
        box = page.locator(":focus").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        reached = set()
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.className"))
        assert {"scroll", "sort"} <= reached
        unnamed = "(all) => all.filter((b) => !(b.ariaLabel || b.textContent).trim()).length"
        assert page.locator("button").evaluate_all(unnamed) == 0
        assert page.locator("#d2").get_attribute("open") is None
        page.locator("nav summary", has_text="dogs").press("Enter")
        page.locator("nav a[href='#d2-variance']").press("Enter")  # opens the part it leads into
        expect(page.locator("#d2-variance h3")).to_be_in_viewport()


# ------------------------------------------------------------------------------------------ harm


def test_names_that_mean_harm_are_shown_and_run_nothing(browser: Browser, tmp_path: Path) -> None:
    hostile = write(tmp_path, (NASTY, f"dogs {NASTY}"), NASTY, (NASTY, "a" * 300, "=1+1"))
    with opened(browser, hostile, width=360) as page:
        open_all(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        for dot in page.locator("#d1-tsne .scatterlayer .point").all()[:3]:
            dot.hover(force=True)
        page.locator("#d1-retrieval .sort").first.click()
        page.locator("#d1-retrieval .tools button").first.click()
        expect(page.locator("#status")).to_contain_text("copied")
        assert page.evaluate("window.harmed") is None
        assert page.locator("main img, main a[href^='javascript']").count() == 0
        assert page.locator(".js-plotly-plot a:not(.modebar-btn)").count() == 0
        shown = page.locator("#d1 h2").text_content() or ""
        assert "<img src=x onerror='window.harmed=1'>" in shown
        assert "{{7*7}}" in shown


def test_even_what_were_not_escaped_would_not_run(browser: Browser, path: Path) -> None:
    harm = (
        "<script>window.harmed=1</script><img src=x onerror='window.harmed=1'>"
        "<img src='https://example.org/x.png'><iframe src='https://example.org'></iframe>"
        "<svg onload='window.harmed=1'></svg>"
    )
    broken = path.with_name("broken.html")
    broken.write_text(path.read_text("utf-8").replace("<main", f"{harm}<main", 1), "utf-8")
    context = browser.new_context(offline=True)
    refused: list[str] = []
    context.on("console", lambda message: refused.append(message.text))
    page = context.new_page()
    page.goto(broken.as_uri())
    assert page.evaluate("window.harmed") is None
    context.close()
    assert sum("Content Security Policy" in what for what in refused) >= 4


def test_without_scripts_tables_can_be_read(browser: Browser, path: Path) -> None:
    with opened(browser, path, java_script_enabled=False) as page:
        assert page.get_by_text("need scripts").is_visible()
        assert page.locator("#d1-retrieval td[data-value]").first.is_visible()
        assert page.locator("button").count() == 0


def test_no_browser_is_a_reason_to_skip_but_not_where_all_tests_have_to_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.delenv("METRISCOPE_BROWSER", raising=False)
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="no Chromium"):
        executable()
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="METRISCOPE_BROWSER"):
        executable()
    monkeypatch.setenv("METRISCOPE_BROWSER", "/here")
    assert executable() == "/here"
