"""Curves over epochs, the findings and the settings: what each shows of the runs."""

from __future__ import annotations

from metriscope.report.charts import Line, Plane
from metriscope.report.evidence import Evidence
from metriscope.report.panels import PANELS, _curves
from metriscope.types import Finding, Results
from tests.fakes import comparison, failed, full, results, run


def _lines(plane: Plane) -> list[Line]:
    return [mark for mark in plane.marks if isinstance(mark, Line)]


def _settings(found: Results) -> dict[str, str]:
    table = PANELS.get("settings")().frame(Evidence(found))
    return {row.name: row.cells[0].text for row in table.rows}


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
    panel = PANELS.get("loss_curves")()
    found = Evidence(results(run(losses=(4.0, 2.0, 1.0)), run(seed=1, losses=(6.0, 2.0, 1.0))))
    chart, table = panel.plot(found), panel.frame(found)
    assert chart is not None
    absolute, relative = chart.planes
    assert (absolute.y_scale, relative.y_scale) == ("symlog", "linear")
    for plane, j in ((absolute, 1), (relative, 4)):
        (line,) = _lines(plane)
        assert line.x == (0, 1, 2)
        for k, shown in enumerate((line.y, line.low, line.high)):
            assert shown == tuple(row.cells[j + k].mean for row in table.rows)


def test_one_epoch_is_a_mark_and_more_are_a_line() -> None:
    panel = PANELS.get("loss_curves")()
    for losses, marks in (((4.0,), True), ((4.0, 2.0), False)):
        chart = panel.plot(Evidence(results(run(losses=losses))))
        assert chart is not None
        assert [line.marks for line in _lines(chart.planes[0])] == [marks]


def test_symlog_is_linear_below_a_thousandth_of_the_largest_value() -> None:
    for lowest, limit in ((1e-6, 4e-3), (0.5, 0.5)):
        chart = PANELS.get("loss_curves")().plot(Evidence(results(run(losses=(4.0, lowest)))))
        assert chart is not None
        assert chart.planes[0].linear_below == limit


def test_gradient_norms_are_symlog_and_begin_with_the_first_update() -> None:
    chart = PANELS.get("gradient_curves")().plot(Evidence(full()))
    assert chart is not None
    (plane,) = chart.planes
    assert plane.y_scale == "symlog"
    assert _lines(plane)[0].x == (1, 2, 3, 4, 5, 6)


def test_findings_panel_shows_each_finding_and_says_when_there_is_none() -> None:
    panel = PANELS.get("findings")()
    assert panel.frame(Evidence(results(run()))).rows == ()
    assert "No check found" in panel.caption(Evidence(results(run())))
    one = Finding(
        "MS999", "warning", "odd", "It is 3.", 3.0, 2.0, "chance", "wait", ("k",), "scl", "it is 2."
    )
    (row,) = panel.frame(Evidence(Results((run(),), (one,)))).rows
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


def test_findings_of_one_data_set_stay_with_it() -> None:
    parts = [
        Results(found.runs, (Finding(code, "warning", "odd", "It is 3.", 3.0, 2.0),), found.about)
        for code, found in (("MS998", comparison(datasets=("a",))), ("MS999", comparison()))
    ]
    panel, found = PANELS.get("findings")(), Evidence(Results.joined(parts, {}))
    shown = {name: [r.name for r in panel.frame(part).rows] for name, part in found.parts.items()}
    assert shown == {"a": ["MS998"], "data": ["MS999"]}


def test_settings_say_what_was_run() -> None:
    found = _settings(full())
    assert found["Command"] == "metriscope compare data"
    assert found["Seeds"] == "0, 1, 2"
    assert found["Loss: triplet"].startswith("margin 1.0, mining batch_hard, reduction mean")
    assert found["Loss: triplet"].endswith("2.5 s a run")
    assert found["Loss: ccl"].endswith("no run finished")
    assert found["Note"] == "note on data"
    assert found["Version: torch"] == "2.13.0"
    assert "lr 0.0001" in found["Optimiser"]
    assert found["Validation share"] == "none"


def test_settings_say_what_was_held_out_tuned_and_varied() -> None:
    found = comparison()
    tuned = {"budget": 20, "score": "val.recall@1", "notes": ["scl has no ranges."]}
    about = {**found.about, "tuning": tuned, "sweep": {"triplet.margin": [0.1, 1]}}
    shown = _settings(Results(found.runs, about=about))
    assert shown["Validation rows"] == "120"
    assert shown["Validation share"] == "0.2"
    assert shown["Tuning: budget"] == "20 trials for every loss, by val.recall@1"
    assert shown["Tuning: note"] == "scl has no ranges."
    assert shown["Sweep: triplet.margin"] == "0.1, 1"
