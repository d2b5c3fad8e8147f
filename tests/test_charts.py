"""Where marks, limits and ticks are; the figures that matplotlib draws; colours for everybody."""

from __future__ import annotations

import itertools
import math
import random
import re

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.scale import SymmetricalLogTransform

from metriscope.report.charts import Chart, Dots, Line, Plane, Scale
from metriscope.report.charts import _axes as places
from metriscope.report.charts.static import COLUMN, PAGE, Format, to_figure, to_file
from metriscope.report.panels import tsne
from metriscope.report.style import look
from tests.charts import CHARTS, NAMES


@pytest.mark.parametrize("name", CHARTS)
def test_every_kind_is_drawn_as_wide_as_a_column_or_a_page(name: str) -> None:
    chart = CHARTS[name]
    figure = to_figure(chart)
    assert len(figure.axes) == len(chart.planes)
    assert figure.get_figwidth() in (COLUMN, PAGE)
    assert len(figure.legends) == bool(chart.legend)


@pytest.mark.parametrize("kind", ["pdf", "png", "svg"])
def test_files_are_the_same_every_time_and_embed_their_fonts(kind: Format) -> None:
    first, second = (to_file(CHARTS["places"], kind) for _ in range(2))
    assert first == second
    assert first.startswith({"pdf": b"%PDF", "png": b"\x89PNG", "svg": b"<?xml"}[kind])
    if kind == "pdf":
        assert b"/Type3" not in first.replace(b" ", b"")
        assert b"FontFile2" in first


def test_text_stays_text_and_is_no_mathematics() -> None:
    drawn = re.sub(r"<!--.*?-->", "", to_file(CHARTS["hostile"], "svg").decode(), flags=re.S)
    assert "$x^2$ %{x} %{c" in drawn
    assert "=SUM(A1)" in drawn
    assert "\\u202etxt.exe" in drawn
    assert "_under\\x1b[31m" in drawn
    assert "<b>" not in drawn
    assert "<script" not in drawn
    assert "猫" in drawn


def test_the_numbers_of_the_marks_are_drawn() -> None:
    absolute, relative = to_figure(CHARTS["curves"]).axes
    assert (absolute.get_yscale(), relative.get_yscale()) == ("symlog", "linear")
    for i, (line, name) in enumerate(zip(absolute.lines, NAMES, strict=True)):
        np.testing.assert_array_equal(line.get_xdata(), np.arange(9))
        np.testing.assert_allclose(line.get_ydata(), (4.0 + i) * 0.5 ** np.arange(9), rtol=1e-15)
        assert line.get_color() == look(name).colour
    assert relative.get_ylim() == (0.0, 12.0)
    (rows, *_) = to_figure(CHARTS["rows"]).axes
    assert [text.get_text() for text in rows.get_yticklabels()] == list(NAMES)
    assert rows.get_ylim() == (6.5, -0.5)
    (points,) = to_figure(CHARTS["projections"]).axes[0].collections
    np.testing.assert_array_equal(points.get_offsets(), [[0, 5], [30, -5], [-20, 0]])
    assert [to_hex(colour) for colour in points.get_facecolors()] == [
        "#3b6fd4",
        "#d55e00",
        "#009e73",
    ]


def test_bars_are_where_the_ends_are_even_on_one_side_of_the_point() -> None:
    dots = Dots("a", (1.0, 2.0), (0.0, 1.0), x_low=(1.5, math.nan), x_high=(1.8, math.nan))
    ax = to_figure(Chart((Plane((dots,), y_names=("a", "b")),))).axes[0]
    segments = ax.collections[0].get_segments()
    np.testing.assert_array_equal(segments[0], [[1.5, 0], [1.8, 0]])


def test_steps_are_flat_between_their_edges() -> None:
    drawn = places.stairs(Line("a", (0.0, 1.0, 3.0), (5.0, 2.0), steps=True, filled=True))
    assert drawn.x == (0.0, 1.0, 1.0, 3.0)
    assert drawn.y == (5.0, 5.0, 2.0, 2.0)
    assert drawn.filled
    plain = Line("a", (0.0, 1.0), (5.0, 2.0))
    assert places.stairs(plain) is plain


@pytest.mark.parametrize("below", [0.003, 1.0, 20.0])
def test_symlog_places_are_those_of_matplotlib(below: float) -> None:
    values = np.array([-1e6, -3.0, -0.004, -0.001, 0.0, 1e-9, 0.5, 1.0, 19.0, 21.0, 4e5])
    theirs = SymmetricalLogTransform(10, below, 1).transform_non_affine(values) / below
    ((_, y),) = places.axes(_one(tuple(values), "symlog", below))
    np.testing.assert_allclose([y.place(v) for v in values], theirs, rtol=1e-12)


def _one(y: tuple[float, ...], scale: Scale, below: float = 1.0, whole: bool = False) -> Chart:
    x = tuple(map(float, range(len(y))))
    plane = Plane((Line("a", x, y),), y_scale=scale, linear_below=below, whole=whole)
    return Chart((plane,))


@pytest.mark.parametrize(
    ("y", "scale", "texts"),
    [
        ((0.0, 1.0), "linear", ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        ((-30.0, 20.0), "linear", ["−30", "−20", "−10", "0", "10", "20"]),
        ((0.001, 900.0), "log", ["0.001", "0.1", "10", "1000"]),
        ((1e-9, 1.0), "log", ["1e−08", "1e−06", "0.0001", "0.01", "1"]),
        ((-900.0, 900.0), "symlog", ["−1000", "−10", "0", "10", "1000"]),
        ((0.0, 0.5), "symlog", ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]),
        ((3.0, 3.0), "linear", ["2.7", "2.8", "2.9", "3.0", "3.1", "3.2", "3.3"]),
    ],
)
def test_ticks_are_round_numbers(y: tuple[float, ...], scale: Scale, texts: list[str]) -> None:
    ((_, axis),) = places.axes(_one(y, scale))
    assert places.tick_texts(axis) == texts


def test_epochs_are_whole() -> None:
    for epochs in (2, 4, 31, 500):
        ((x, _),) = places.axes(_one((1.0,) * epochs, "linear", whole=True))
        assert len(x.ticks) <= 9
        assert all(tick == int(tick) for tick in x.ticks)


def test_any_numbers_have_an_axis() -> None:
    noise = random.Random(0)
    for _ in range(600):
        scale = noise.choice(("linear", "log", "symlog"))
        values = tuple(
            noise.choice((0, 1, -1)) * 10.0 ** noise.uniform(-300, 300)
            for _ in range(noise.randint(0, 4))
        )
        ((_, y),) = places.axes(_one(values, scale, 10.0 ** noise.uniform(-12, 4)))
        low, high = y.limits
        assert math.isfinite(low)
        assert low < high < math.inf
        assert len(y.ticks) <= 12
        for value in values:
            at = y.place(value)
            assert at is None or math.isfinite(at)
            assert at is not None or (scale == "log" and value <= 0)


def test_a_filled_line_stands_on_zero_and_planes_in_a_row_may_share_their_axis() -> None:
    first, second = places.axes(CHARTS["histograms"])
    assert first[1].limits[0] == 0.0
    tall = Line("tall", (0.0, 1.0), (0.0, 50.0))
    chart = Chart((Plane((tall,)), CHARTS["histograms"].planes[0]), same_y=True)
    (_, mine), (_, other) = places.axes(chart)
    assert mine.limits == other.limits
    assert mine.limits[1] > 50
    assert second[1].limits == first[1].limits


def test_projections_have_one_scale() -> None:
    (x, y), *_ = places.axes(CHARTS["projections"])
    assert x.limits[1] - x.limits[0] == pytest.approx(y.limits[1] - y.limits[0])
    assert to_figure(CHARTS["projections"]).axes[0].get_aspect() == 1


# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB.
_BLIND = {
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}
_XYZ = [
    [0.4124564, 0.3575761, 0.1804375],
    [0.2126729, 0.7151522, 0.0721750],
    [0.0193339, 0.1191920, 0.9503041],
]


def _lab(colour: str, seen: np.ndarray) -> np.ndarray:
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.array(_XYZ) @ np.clip(seen @ linear, 0, 1) / np.array([0.95047, 1, 1.08883])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("eyes", ["all", *_BLIND])
def test_losses_can_be_told_apart_without_red_or_green(eyes: str) -> None:
    seen = np.array(_BLIND.get(eyes, np.eye(3)))
    for a, b in itertools.combinations(NAMES, 2):
        first, second = look(a), look(b)
        distance = np.linalg.norm(_lab(first.colour, seen) - _lab(second.colour, seen))
        if distance < 15:  # CIELAB; about 2 is the least that an eye sees side by side
            assert first.dashes != second.dashes, (a, b, distance)
        assert first.marker != second.marker


@pytest.mark.parametrize("eyes", ["all", *_BLIND])
def test_classes_can_be_told_apart_without_red_or_green(eyes: str) -> None:
    seen = np.array(_BLIND.get(eyes, np.eye(3)))
    for first, second in itertools.combinations(tsne.LOOKS, 2):
        distance = np.linalg.norm(_lab(first.colour, seen) - _lab(second.colour, seen))
        assert first.marker != second.marker or distance > 20, (first, second, distance)
