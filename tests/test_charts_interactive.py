"""What plotly.js is given: valid, private, every text as it is, every number as it is stored."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import pytest

from metriscope.report.charts import Chart, Dots, Line, Plane, interactive
from metriscope.report.charts._axes import axes
from metriscope.report.style import INK, look
from tests.charts import CHARTS, HOSTILE, NAMES

OURS = re.compile(r"<br>|<extra></extra>")
SPECIAL = re.compile(r"<|%\{(?!customdata\[\d\]\})|\$|&(?!#?\w+;)")


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[dict[str, Any]]]:
    return {name: interactive.to_plotly(chart) for name, chart in CHARTS.items()}


@pytest.mark.parametrize("name", CHARTS)
def test_plotly_takes_every_chart(name: str, drawn: dict[str, list[dict[str, Any]]]) -> None:
    from plotly import graph_objects

    assert len(drawn[name]) == len(CHARTS[name].planes)
    for plane in drawn[name]:
        assert json.loads(json.dumps(plane, allow_nan=False)) == plane
        graph_objects.Figure(data=plane["data"], layout=plane["layout"])  # raises on what it lacks


@pytest.mark.parametrize("name", CHARTS)
def test_nothing_can_be_sent_anywhere(name: str, drawn: dict[str, list[dict[str, Any]]]) -> None:
    for plane in drawn[name]:
        assert plane["config"]["showSendToCloud"] is False
        assert plane["config"]["plotlyServerURL"] == ""
        assert plane["config"]["displaylogo"] is False
        assert all(trace["type"] == "scatter" for trace in plane["data"])  # others need WebGL, maps


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in _texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    return [value] if isinstance(value, str) else []


def test_hostile_texts_are_shown_as_they_are(drawn: dict[str, list[dict[str, Any]]]) -> None:
    texts = _texts([[plane["data"], plane["layout"]] for plane in drawn["hostile"]])
    assert [text for text in texts if SPECIAL.search(OURS.sub("", text))] == []
    assert not any(set("\x1b\u202e") & set(text) for text in texts)
    label = "&#36;x^2&#36; &#37;{x} &#37;{customdata[0]} 50&#37; &amp;amp; &amp;#60;i&amp;#62;"
    assert any(f"<br>{label}: %{{" in text for text in texts)
    assert any("&lt;/script&gt;" in text for text in texts)
    assert all(len(text) < 500 for text in texts)


def test_the_pointer_shows_the_stored_numbers(drawn: dict[str, list[dict[str, Any]]]) -> None:
    chart = CHARTS["curves"]
    lines = [trace for trace in drawn["curves"][0]["data"] if "name" in trace]
    assert [trace["name"] for trace in lines] == list(NAMES)
    for trace, line in zip(lines, chart.planes[0].marks, strict=True):
        assert isinstance(line, Line)
        assert trace["hovertemplate"] == (
            f"{line.name}<br>Epoch: %{{customdata[0]}}<br>Loss: %{{customdata[1]}}<extra></extra>"
        )
        for (x, y), *stored in zip(
            trace["customdata"], line.x, line.y, line.low, line.high, strict=True
        ):
            shown = [f"{v:.6g}" for v in stored]
            assert x == shown[0]
            assert y == f"{shown[1]} ({shown[2]} to {shown[3]})"


def test_points_are_where_they_are_and_say_what_they_are(
    drawn: dict[str, list[dict[str, Any]]],
) -> None:
    for i, trace in enumerate(drawn["rows"][0]["data"]):
        at = 0.9 + 0.0123456 * i
        assert trace["x"] == [float(f"{at:.6g}")]
        assert trace["customdata"] == [[f"{at:.6g} ({at - 0.01:.6g} to {at + 0.02:.6g})"]]
        assert trace["error_x"]["array"] == pytest.approx([0.02], rel=1e-4)
        assert trace["error_x"]["arrayminus"] == pytest.approx([0.01], rel=1e-4)
        assert trace["marker"]["color"] == look(NAMES[i]).colour
    (points,) = drawn["projections"][0]["data"]
    assert points["marker"]["color"] == ["#3b6fd4", "#d55e00", "#009e73"]
    assert points["customdata"] == [["cat"], ["dog"], ["eel"]]
    assert (
        points["hovertemplate"] == "%{customdata[0]}<extra></extra>"
    )  # no place: it means nothing


def test_axes_of_all_scales_are_those_on_paper(drawn: dict[str, list[dict[str, Any]]]) -> None:
    for name, chart in CHARTS.items():
        for plane, (x, y) in zip(drawn[name], axes(chart), strict=True):
            for axis, made in ((x, plane["layout"]["xaxis"]), (y, plane["layout"]["yaxis"])):
                ends = [axis.place(v) for v in axis.limits]
                assert made["range"] == pytest.approx(ends, rel=1e-5)
                assert made["type"] == "linear"
    symlog = drawn["curves"][0]["layout"]["yaxis"]
    assert symlog["ticktext"] == ["0", "0.1", "1", "10"]
    assert symlog["tickvals"] == pytest.approx([0, 1 / 0.9, 1 / 0.9 + 1, 1 / 0.9 + 2], rel=1e-5)
    first = next(trace for trace in drawn["curves"][0]["data"] if "name" in trace)
    assert first["y"][0] == pytest.approx(1 / 0.9 + 1.60206, rel=1e-5)  # 4 is 40 times 0.1
    rows = drawn["rows"][0]["layout"]["yaxis"]
    assert (rows["ticktext"], rows["range"]) == (list(NAMES), [6.5, -0.5])
    bare = drawn["projections"][0]["layout"]
    assert bare["yaxis"]["scaleanchor"] == "x"
    assert not bare["xaxis"]["showticklabels"]


def test_bands_close_where_a_value_has_no_place() -> None:
    line = Line("a", (0.0, 1.0), (1.0, 10.0), look("scl"), low=(0.0, 5.0), high=(2.0, 20.0))
    ((made,), ((_, y),)) = (f(Chart((Plane((line,), y_scale="log"),))) for f in (_data, axes))
    band, _ = made
    assert band["x"] == [0.0, 1.0, 1.0, 0.0]
    assert band["y"] == pytest.approx([0.30103, 1.30103, 0.69897, y.place(y.limits[0])], rel=1e-4)
    assert band["fillcolor"] == "rgba(31,155,207,0.16)"
    assert band["hoverinfo"] == "skip"


def _data(chart: Chart) -> list[list[dict[str, Any]]]:
    return [plane["data"] for plane in interactive.to_plotly(chart)]


def test_bins_say_where_they_begin_and_end(drawn: dict[str, list[dict[str, Any]]]) -> None:
    area, line = drawn["histograms"][0]["data"]
    assert line["customdata"][::2] == [["0 to 0.5", "1"], ["0.5 to 1", "3"], ["1 to 2", "0.5"]]
    assert line["x"] == [0.0, 0.5, 0.5, 1.0, 1.0, 2.0]
    assert line["y"] == [1.0, 1.0, 3.0, 3.0, 0.5, 0.5]
    assert area["fill"] == "toself"
    assert area["y"][-6:] == [0.0] * 6


def test_rules_are_named_beside_the_marks(drawn: dict[str, list[dict[str, Any]]]) -> None:
    layout = drawn["places"][0]["layout"]
    assert [(s["xref"], s["yref"]) for s in layout["shapes"]] == [("x", "paper"), ("paper", "y")]
    assert [s["x0"] for s in layout["shapes"]] == [12.0, 0]
    assert layout["shapes"][1]["y0"] == -1.0  # 0.1, on a logarithmic axis
    assert [a["text"] for a in layout["annotations"]] == ["end", "goal"]


def test_colours_are_the_losses_or_the_ink_of_the_page() -> None:
    ((made,),) = (_data(Chart((Plane((Dots("a", (1.0,), (1.0,)),)),))),)
    assert made[0]["marker"]["color"] == INK
    for plane in interactive.to_plotly(CHARTS["places"]):
        assert plane["layout"]["paper_bgcolor"] == "rgba(0,0,0,0)"
        assert "color" not in plane["layout"]["font"]
        assert "gridcolor" not in plane["layout"]["xaxis"]


def test_many_points_are_few_bytes() -> None:
    n = 2000
    points = Dots("p", (1 / 3,) * n, (2 / 3,) * n, colours=("#3b6fd4",) * n, texts=("class 7",) * n)
    made = interactive.to_plotly(Chart((Plane((points,), bare=True),)))
    assert len(json.dumps(made, separators=(",", ":"))) < 45 * n


def test_the_library_is_one_script_that_a_policy_can_name() -> None:
    text = interactive.library()
    assert text.startswith("/**\n* plotly.js v")
    assert "</script" not in text.lower()
    assert "<!--" not in text
    digest = base64.b64encode(hashlib.sha256(b"alert('\xc3\xa4')").digest()).decode()
    assert interactive.source("alert('ä')") == f"'sha256-{digest}'"


def test_names_are_cut_where_they_are_long() -> None:
    assert len(HOSTILE[5]) == 300
    data = interactive.to_plotly(CHARTS["hostile"])[0]["data"]
    assert len(data[5]["name"]) <= 28
    assert len(data[5]["customdata"][0][0]) <= 60
