"""Every panel: numbers and a picture of them, on full and on empty results, the same every time."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from metriscope.findings import examine
from metriscope.report import style
from metriscope.report.panels import PANELS, _curves
from metriscope.report.panels.base import Panel
from metriscope.types import Finding, Results
from tests.fakes import failed, full, results, run

NAMES = PANELS.names()


def _full() -> Results:
    found = full()
    return Results(found.runs, examine(found), found.about)


def _panel(name: str) -> Panel:
    return PANELS.get(name)()


def test_panels_have_places_of_their_own() -> None:
    orders = [panel.order for panel in PANELS.all().values()]
    assert len(set(orders)) == len(orders)
    assert len({panel.title for panel in PANELS.all().values()}) == len(orders)


@pytest.mark.parametrize("name", NAMES)
def test_frame_is_a_table_with_something_in_it(name: str) -> None:
    panel, found = _panel(name), _full()
    table = panel.frame(found)
    assert table.rows
    assert all(len(row.cells) == len(table.columns) for row in table.rows)
    assert panel.caption(found)
    assert panel.layout in ("table", "cards", "none")
    assert PANELS.describe(name).summary


@pytest.mark.parametrize("name", NAMES)
def test_plot_has_labelled_axes_or_is_absent(name: str) -> None:
    drawn = _panel(name).plot(_full())
    if drawn is None:
        assert name in ("findings", "greediness", "settings")
        return
    assert isinstance(drawn, Figure)
    assert drawn.axes
    for ax in drawn.axes:
        assert ax.get_xlabel()
        assert ax.has_data()
    assert drawn.axes[0].get_ylabel() or drawn.axes[0].get_yticklabels()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "found", [Results(()), results(failed()), results(run())], ids=["empty", "failed", "bare"]
)
def test_little_to_show_is_no_error(name: str, found: Results) -> None:
    panel = _panel(name)
    panel.frame(found)
    panel.caption(found)
    drawn = panel.plot(found)
    if drawn is not None:
        style.to_svg(drawn, "x", "x")


@pytest.mark.parametrize("name", NAMES)
def test_the_same_results_give_the_same_picture(name: str) -> None:
    first, second = _panel(name).plot(_full()), _panel(name).plot(_full())
    if first is None or second is None:
        assert first is second
        return
    assert style.to_svg(first, name, "x") == style.to_svg(second, name, "x")


def test_curves_are_the_mean_and_reach_of_the_seeds_from_epoch_0() -> None:
    found = results(run(seed=0, losses=(4.0, 2.0)), run(seed=1, losses=(8.0, 2.0)), failed(seed=2))
    band = _curves.bands(found, "loss")["scl"]
    assert band == _curves.Band((0.0, 1.0), (6.0, 2.0), (4.0, 2.0), (8.0, 2.0))
    relative = _curves.bands(found, "loss", relative=True)["scl"]
    assert relative.mean == (1.0, 0.375)
    assert (relative.low, relative.high) == ((1.0, 0.25), (1.0, 0.5))


def test_curves_leave_out_what_is_undefined() -> None:
    found = results(run(losses=(4.0, None, float("nan"), 1.0)))
    assert _curves.bands(found, "loss")["scl"].epochs == (0.0, 3.0)
    assert _curves.bands(results(run(losses=(0.0, 0.0))), "loss", relative=True) == {}
    assert _curves.bands(found, "grad_norm.head") == {}


def test_the_loss_picture_draws_the_numbers_of_its_frame() -> None:
    panel = _panel("loss_curves")
    found = results(run(losses=(4.0, 2.0, 1.0)))
    drawn, table = panel.plot(found), panel.frame(found)
    assert drawn is not None
    absolute, relative = drawn.axes
    assert absolute.get_yscale() == "symlog"
    assert relative.get_yscale() == "linear"
    for ax, j in ((absolute, 1), (relative, 4)):
        np.testing.assert_array_equal(ax.lines[0].get_xdata(), [0, 1, 2])
        shown = [row.cells[j].mean for row in table.rows]
        np.testing.assert_array_equal(ax.lines[0].get_ydata(), np.array(shown, float))


def test_gradient_norms_are_symlog_and_begin_with_the_first_update() -> None:
    drawn = _panel("gradient_curves").plot(full())
    assert drawn is not None
    assert drawn.axes[0].get_yscale() == "symlog"
    np.testing.assert_array_equal(drawn.axes[0].lines[0].get_xdata(), [1, 2, 3, 4, 5, 6])


def test_a_loss_has_one_colour_in_every_picture() -> None:
    dots = _panel("answer").plot(full())
    lines = _panel("loss_curves").plot(full())
    assert dots is not None
    assert lines is not None
    colours = {line.get_color() for line in lines.axes[0].lines}
    assert colours == {style.look(n).colour for n in ("contrastive", "triplet", "scl")}
    assert colours < {line.get_color() for line in dots.axes[0].lines}
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
    for look in (*style._FIXED.values(), *style._OTHER):
        light, dark = sorted((_luminance(look.colour), _luminance(page)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3  # WCAG 2.1, 1.4.11


def test_findings_panel_shows_each_finding_and_says_when_there_is_none() -> None:
    panel = _panel("findings")
    assert panel.frame(results(run())).rows == ()
    assert "No check found" in panel.caption(results(run()))
    one = Finding(
        "MS999", "warning", "odd", "It is 3.", 3.0, 2.0, "chance", "wait", ("k",), "scl", "it is 2."
    )
    (row,) = panel.frame(Results((run(),), (one,))).rows
    assert row.name == "MS999"
    texts = [cell.text for cell in row.cells]
    assert texts == [
        "warning",
        "scl",
        "odd",
        "It is 3.",
        "3",
        "2",
        "chance",
        "wait",
        "it is 2.",
        "",
    ]


def test_settings_say_what_was_run() -> None:
    rows = _panel("settings").frame(full()).rows
    found = {row.name: row.cells[0].text for row in rows}
    assert found["Command"] == "metriscope compare data"
    assert found["Seeds"] == "0, 1, 2"
    assert found["Loss: triplet"].startswith("margin 1.0, mining batch_hard, reduction mean")
    assert found["Loss: triplet"].endswith("2.5 s a run")
    assert found["Loss: ccl"].endswith("no run finished")
    assert found["Note"] == "note on data"
    assert found["Version: torch"] == "2.13.0"
    assert "lr 0.0001" in found["Optimiser"]
