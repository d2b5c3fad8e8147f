"""The report in a real browser: drawn, sorted, copied, printed, and never obeying a name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from metriscope.findings import examine
from metriscope.report import html, tables
from metriscope.types import Results
from tests.browser import browser, opened
from tests.fakes import full
from tests.pages import HOSTILE

__all__ = ["browser"]  # a fixture

NASTY = (
    "</script><script>window.harmed=1</script><img src=x onerror='window.harmed=1'>"
    '<a href="javascript:window.harmed=1">x</a> $\\href{javascript:window.harmed=1}{x}$ '
    "%{x} %{customdata} \u2028 {{7*7}} " + HOSTILE
)
DRAWN = "figure.chart .js-plotly-plot .main-svg"


def several(first: str = "cats", second: str = "dogs", loss: str = "scl") -> Results:
    """Two datasets with every kind of run."""
    parts = []
    for name in (first, second):
        found = full(name, loss)
        runs = tuple(replace(r, spec=replace(r.spec, dataset=name)) for r in found.runs)
        found = replace(found, runs=runs)
        parts.append(replace(found, findings=examine(found)))
    return Results.joined(parts, {"command": f"metriscope compare {first} {second}"})


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "report.html"
    html.write(several(), file)
    return file


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("hostile") / "report.html"
    html.write(several(NASTY, f"dogs {NASTY}", NASTY), file)
    return file


@pytest.fixture
def report(browser: Browser, path: Path) -> Iterator[Page]:
    with opened(browser, path) as page:
        yield page


def open_all(page: Page) -> int:
    """Open every part and look at every picture; returns how many planes there are."""
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    for figure in page.locator("figure.chart").all():
        figure.scroll_into_view_if_needed()
    planes = page.locator(".plane").count()
    expect(page.locator(".plane.js-plotly-plot")).to_have_count(planes)
    return planes


def test_every_picture_is_drawn_when_it_comes_near(report: Page) -> None:
    assert report.locator(DRAWN).count() < report.locator(".plane").count()
    assert open_all(report) > 10
    marked = "(plane) => plane.querySelectorAll('.scatterlayer path, .shapelayer path').length"
    empty = [p for p in report.locator(".plane").all() if not p.evaluate(marked)]
    assert empty == []
    for button in report.locator(".modebar-btn").all():
        title = (button.get_attribute("data-title") or "").lower()
        assert not {"cloud", "share", "edit in", "upload"} & set(title.split())


def test_the_pointer_shows_values(report: Page) -> None:
    open_all(report)
    dot = report.locator("#answer .scatterlayer .point").first
    dot.scroll_into_view_if_needed()
    box = dot.bounding_box()
    assert box is not None
    report.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    label = report.locator("#answer .hoverlayer .hovertext").first
    expect(label).to_be_visible()
    assert "0.9" in (label.text_content() or "")


def test_charts_are_those_of_the_file(report: Page) -> None:
    open_all(report)
    for figure in report.locator("figure.chart").all()[:8]:
        kept = json.loads(figure.locator(".planes-data").text_content() or "")
        shown = figure.locator(".plane").evaluate_all(
            "(planes) => planes.map((p) => p.data.map((t) => [t.x, t.y]))"
        )
        assert shown == [[[t.get("x"), t.get("y")] for t in plane["data"]] for plane in kept]


def column(page: Page, table: str, place: int) -> list[str]:
    cells = page.locator(f"{table} tbody tr").locator(f"xpath=./*[{place}]")
    return cells.all_text_contents()


def test_tables_sort_by_what_is_stored(report: Page) -> None:
    table = "#d1-retrieval table"
    before = column(report, table, 1)
    head = report.locator(f"{table} thead th").nth(1)
    values = report.locator(f"{table} tbody tr td:nth-child(2)")
    ways = []
    for _ in range(3):
        head.get_by_role("button").click()
        ways.append(head.get_attribute("aria-sort"))
        shown = values.evaluate_all("(cells) => cells.map((c) => c.dataset.value ?? null)")
        defined = [float(v) for v in shown if v is not None]
        if ways[-1] == "none":
            break
        assert shown[-1] is None  # failed, whichever way
        assert defined == sorted(defined, reverse=ways[-1] == "descending")
    assert ways == ["descending", "ascending", "none"]  # higher is better: the best first
    assert column(report, table, 1) == before
    names = report.locator(f"{table} thead th").first
    names.get_by_role("button").click()
    assert names.get_attribute("aria-sort") == "ascending"
    assert head.get_attribute("aria-sort") == "none"
    assert column(report, table, 1) == sorted(before)


@pytest.mark.parametrize("clipboard", [True, False], ids=["clipboard", "by hand"])
def test_tables_copy_as_three_kinds_of_text(browser: Browser, path: Path, clipboard: bool) -> None:
    permissions = ["clipboard-read", "clipboard-write"]
    with opened(browser, path, permissions=permissions) as page:
        if not clipboard:  # a browser that keeps it from pages: a selected text, and its command
            page.evaluate("navigator.clipboard.writeText = () => Promise.reject(new Error('no'))")
        tools = page.locator("#d1-retrieval .tools")
        found = {}
        for name in ("CSV", "Markdown", "LaTeX"):
            tools.get_by_text(name, exact=True).click()
            expect(page.locator("#status")).to_have_text(f"Retrieval as {name} copied.")
            found[name] = page.evaluate("navigator.clipboard.readText()")
        page.get_by_role("button", name="Copy", exact=True).click()
        expect(page.locator("#status")).to_have_text("The command copied.")
        assert page.evaluate("navigator.clipboard.readText()") == "metriscope compare cats dogs"
    (table,) = (t for t in tables.build(several().of("cats")) if t.title == "Retrieval")
    mean = next(row.cells[0].mean for row in table.rows if row.name == "scl")
    assert str(mean) in found["CSV"]
    assert found["Markdown"].startswith("| Loss |")
    assert "\\toprule" in found["LaTeX"]


INK = "getComputedStyle(document.body).color"
TEXT = "getComputedStyle(document.querySelector('.js-plotly-plot .xtick text')).fill"


def test_the_theme_changes_charts_too_and_is_remembered(browser: Browser, path: Path) -> None:
    with opened(browser, path, color_scheme="dark") as page:
        page.locator("figure.chart").first.scroll_into_view_if_needed()
        expect(page.locator(".xtick text").first).to_be_visible()
        dark = page.evaluate(INK)
        assert page.evaluate(TEXT) == dark
        page.get_by_role("button", name="Light page").click()
        light = page.evaluate(INK)
        assert light != dark
        assert page.evaluate(TEXT) == light
        page.reload()
        assert page.evaluate(INK) == light
        page.get_by_role("button", name="Dark page").click()
        assert page.evaluate(INK) == dark
        page.evaluate("localStorage.clear()")


@pytest.mark.parametrize("which", ["path", "hostile"])
def test_a_phone_never_scrolls_the_page_sideways(
    browser: Browser, which: str, request: pytest.FixtureRequest
) -> None:
    with opened(browser, request.getfixturevalue(which), width=360) as page:
        open_all(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        wide = "(planes) => planes.filter((p) => p.getBoundingClientRect().right > 360).length"
        assert page.locator(".plane").evaluate_all(wide) == 0
        fits = "(svgs) => svgs.filter((s) => s.getBoundingClientRect().width > 360).length"
        assert page.locator(DRAWN).evaluate_all(fits) == 0


def test_print_has_every_picture_and_no_button(report: Page) -> None:
    report.locator("figure.chart").first.scroll_into_view_if_needed()
    report.emulate_media(media="print")
    expect(report.locator(".plane.js-plotly-plot")).to_have_count(report.locator(".plane").count())
    assert report.locator("button:visible").count() == 0
    assert report.locator("nav:visible").count() == 0
    assert report.locator("details.part:not([open])").count() == 0
    sizes = report.locator(DRAWN).evaluate_all(
        "(svgs) => svgs.map((s) => s.getBoundingClientRect()).map((b) => [b.width, b.right])"
    )
    assert all(0 < width <= 680 and right <= 700 for width, right in sizes)
    report.emulate_media(media="screen")
    assert report.locator("details.part:not([open])").count() == 1
    assert report.pdf().startswith(b"%PDF")


def test_a_keyboard_reaches_everything(report: Page) -> None:
    report.keyboard.press("Tab")
    assert report.evaluate("document.activeElement.textContent") == "Skip to the results"
    assert report.locator(":focus").bounding_box()["x"] >= 0  # type: ignore[index]
    report.keyboard.press("Enter")
    assert report.evaluate("document.activeElement.id") == "main"
    reached = set()
    for _ in range(60):
        report.keyboard.press("Tab")
        reached.add(report.evaluate("document.activeElement.className || 'x'"))
    assert {"scroll", "sort"} <= reached
    unnamed = "(found) => found.filter((b) => !(b.ariaLabel || b.textContent).trim()).length"
    assert report.locator("button").evaluate_all(unnamed) == 0


def test_a_link_opens_the_part_that_it_leads_to(browser: Browser, path: Path) -> None:
    with opened(browser, path) as page:
        assert not page.locator("#d2").evaluate("(part) => part.open")
        page.locator("nav summary", has_text="dogs").click()
        page.locator("nav a[href='#d2-variance']").click()
        expect(page.locator("#d2-variance h3")).to_be_in_viewport()
        assert page.locator("#d2").evaluate("(part) => part.open")


def test_names_that_mean_harm_are_shown_and_run_nothing(browser: Browser, hostile: Path) -> None:
    with opened(browser, hostile) as page:
        open_all(page)
        for dot in page.locator("#answer .scatterlayer .point").all()[:3]:
            dot.hover(force=True)
        page.locator("#d1-retrieval .sort").first.click()
        page.locator("#d1-retrieval .tools button").first.click()
        page.wait_for_timeout(50)
        assert page.evaluate("window.harmed") is None
        assert page.locator("main img, main a[href^='javascript']").count() == 0
        assert page.locator(".js-plotly-plot a:not(.modebar-btn)").count() == 0
        shown = page.locator("h1").text_content() or ""
        assert "<img src=x onerror='window.harmed=1'>" in shown
        assert "{{7*7}}" in shown


def test_even_what_were_not_escaped_would_not_run(browser: Browser, path: Path) -> None:
    text = path.read_text("utf-8")
    harm = (
        "<script>window.harmed=1</script><img src=x onerror='window.harmed=1'>"
        "<img src='https://example.org/x.png'><iframe src='https://example.org'></iframe>"
        "<svg onload='window.harmed=1'></svg>"
    )
    broken = path.with_name("broken.html")
    broken.write_text(text.replace("<main", f"{harm}<main", 1), "utf-8")
    context = browser.new_context(offline=True)
    refused: list[str] = []
    context.on("console", lambda message: refused.append(message.text))
    page = context.new_page()
    page.goto(broken.as_uri())
    assert page.evaluate("window.harmed") is None
    context.close()
    assert sum("Content Security Policy" in what for what in refused) >= 4


def test_without_scripts_every_number_can_be_read(browser: Browser, path: Path) -> None:
    with opened(browser, path, java_script_enabled=False) as page:
        assert page.get_by_text("need scripts").is_visible()
        assert page.locator("#d1-retrieval table").is_visible()
        assert "0.921 ± 0.001" in (page.locator("#d1-retrieval table").text_content() or "")
        assert page.locator("button").count() == 0
