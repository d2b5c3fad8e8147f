"""Every panel: numbers and a picture of them, on full and on empty results, the same every time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from metriscope.findings import examine
from metriscope.report import style
from metriscope.report.charts import Dots, Line
from metriscope.report.charts.interactive import to_plotly
from metriscope.report.charts.static import to_file
from metriscope.report.evidence import Evidence
from metriscope.report.panels import PANELS
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Table
from metriscope.types import Results
from tests.fakes import advised, comparison, failed, full, results, run
from tests.pages import HOSTILE

NAMES = PANELS.names()
ELSEWHERE = {"tuning", "sensitivity"}  # what they are about is made by their own tests
SMALL = {
    "empty": Results(()),
    "failed": results(failed(), failed("ccl")),
    "bare": results(run()),
    "one run": comparison(losses=("scl",), seeds=1),
    "one seed": comparison(seeds=1),
    "partly failed": comparison(lost=[("scl", 1), ("ccl", 0), ("ccl", 1), ("ccl", 2)]),
    "old": full(),
    "several": comparison(datasets=("a", "b")),
    "unlike": Results.joined(
        [
            comparison(datasets=("a",), losses=("scl",)),
            comparison(datasets=("b",), losses=("ccl",)),
        ],
        {},
    ),
    "hostile": comparison(datasets=(HOSTILE, "$b_%"), losses=(HOSTILE, "scl"), seeds=2),
}


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """All there is: queries, views, a recommendation, findings."""
    folder = tmp_path_factory.mktemp("comparison")
    found = advised(comparison(folder), "scl")
    return Evidence(replace(found, findings=examine(full())), folder)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    folder = tmp_path_factory.mktemp("several")
    return Evidence(comparison(folder, ("cifar10", "cars196", "cub200")), folder)


def _panel(name: str) -> Panel:
    return PANELS.get(name)()


def _shown(panel: Panel, evidence: Evidence, several: Evidence) -> Evidence:
    """The one that it shows something of."""
    return evidence if panel.frame(evidence).rows else several


def _parts(panel: Panel, found: Evidence) -> Iterator[Evidence]:
    yield from [found] if panel.about == "all" else found.parts.values()


def test_panels_have_places_of_their_own() -> None:
    orders = [panel.order for panel in PANELS.all().values()]
    assert len(set(orders)) == len(orders)
    assert len({panel.title for panel in PANELS.all().values()}) == len(orders)


@pytest.mark.parametrize("name", NAMES)
def test_frame_is_a_table_with_something_in_it(
    name: str, evidence: Evidence, several: Evidence
) -> None:
    panel = _panel(name)
    found = _shown(panel, evidence, several)
    table = panel.frame(found)
    assert table.rows or name in ELSEWHERE
    assert all(len(row.cells) == len(table.columns) for row in table.rows)
    assert panel.caption(found) or not table.rows
    assert panel.layout in ("table", "cards", "folded", "none")
    assert panel.about in ("dataset", "all")
    assert PANELS.describe(name).summary


@pytest.mark.parametrize("name", NAMES)
def test_pictures_have_labelled_axes_and_both_drawers_draw_them(
    name: str, evidence: Evidence, several: Evidence
) -> None:
    panel = _panel(name)
    chart = panel.plot(_shown(panel, evidence, several))
    if chart is None:
        return
    for plane in chart.planes:
        assert plane.marks
        assert plane.bare or plane.x_label
        assert plane.bare or plane.y_label or plane.y_names
        for mark in plane.marks:
            if isinstance(mark, Line | Dots):
                assert np.isfinite([*mark.x, *mark.y]).all()
                assert len(mark.x) == len(mark.y) + (isinstance(mark, Line) and mark.steps)
    assert b"</svg>" in to_file(chart, "svg")
    assert len(to_plotly(chart)) == len(chart.planes)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", SMALL)
def test_little_to_show_is_no_error(name: str, kind: str) -> None:
    panel = _panel(name)
    for part in _parts(panel, Evidence(SMALL[kind])):
        table = panel.frame(part)
        assert all(len(row.cells) == len(table.columns) for row in table.rows)
        assert isinstance(panel.caption(part), str)
        panel.plot(part)


@pytest.mark.parametrize("name", ["answer", "comparisons", "plane", "retrieval", "loss_curves"])
def test_hostile_names_can_be_drawn(name: str) -> None:
    panel = _panel(name)
    for part in _parts(panel, Evidence(SMALL["hostile"])):
        chart = panel.plot(part)
        assert chart is not None
        assert b"<script>" not in to_file(chart, "svg")
        to_plotly(chart)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_results_give_the_same_numbers_and_picture(
    name: str, evidence: Evidence, several: Evidence
) -> None:
    panel = _panel(name)
    found = _shown(panel, evidence, several)
    again = Evidence(found.results, found.folder)
    assert panel.frame(found) == panel.frame(again)
    assert panel.plot(found) == panel.plot(again)


def _means(table: Table) -> set[float]:
    return {cell.mean for row in table.rows for cell in row.cells if cell.mean is not None}


@pytest.mark.parametrize(
    "name", ["comparisons", "plane", "ranks", "retrieval", "variance", "critical_difference"]
)
def test_pictures_draw_the_numbers_of_their_frame(
    name: str, evidence: Evidence, several: Evidence
) -> None:
    panel = _panel(name)
    found = _shown(panel, evidence, several)
    chart = panel.plot(found)
    assert chart is not None
    drawn = {
        mark.x[0] for plane in chart.planes for mark in plane.marks if isinstance(mark, Dots)
    } - {11.0}  # the line of those that did not get there
    assert len(drawn) >= 2
    assert drawn <= _means(panel.frame(found))


def test_bars_are_the_intervals_of_the_frame(evidence: Evidence) -> None:
    for name in ("comparisons", "ranks", "retrieval"):
        panel = _panel(name)
        chart, table = panel.plot(evidence), panel.frame(evidence)
        assert chart is not None
        told = {
            (cell.mean, *cell.interval)
            for row in table.rows
            for cell in row.cells
            if cell.interval is not None
        }
        bars = {
            (mark.x[0], mark.x_low[0], mark.x_high[0])
            for plane in chart.planes
            for mark in plane.marks
            if isinstance(mark, Dots) and mark.x_low
        }
        assert len(bars) >= 3
        assert bars <= told


def test_a_loss_has_one_colour_in_every_picture(evidence: Evidence) -> None:
    looks: dict[str, set[style.Look]] = {}
    for name in NAMES:
        chart = _panel(name).plot(evidence)
        for plane in chart.planes if chart else ():
            for mark in plane.marks:
                by_class = isinstance(mark, Dots) and mark.colours
                named = isinstance(mark, Line | Dots) and mark.name in evidence.results.by_loss()
                if named and not by_class:
                    looks.setdefault(mark.name, set()).add(mark.look)
    assert looks == {loss: {style.look(loss)} for loss in evidence.results.by_loss()}
    assert style.look("mine") == style.look("mine")
    seven = ("contrastive", "triplet", "npair", "infonce", "arcface", "scl", "ccl")
    assert len({style.look(n).colour for n in seven}) == 7
    assert len({style.look(n).marker for n in seven}) == 7


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("page", ["#ffffff", "#14181f"])
def test_every_colour_can_be_seen_on_both_pages(page: str) -> None:
    for colour in (*(look.colour for look in style._FIXED.values()), *style._COLOURS):
        light, dark = sorted((_luminance(colour), _luminance(page)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3  # WCAG 2.1, 1.4.11


def test_losses_of_other_names_hardly_ever_look_the_same() -> None:
    looks = [style.look(f"mine{i}") for i in range(1_000)]
    assert len(set(looks)) == 125
    assert not {look.marker for look in looks} & {look.marker for look in style._FIXED.values()}
    assert max(looks.count(look) for look in set(looks)) < 25  # 8 on average
    assert looks[7] == style.look("mine7")
