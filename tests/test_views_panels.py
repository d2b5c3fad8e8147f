"""Panels that show how spaces look: their numbers are those of the views."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks import grid105

from metriscope import kept, views
from metriscope.report import style
from metriscope.report.charts import Chart, Dots, Line
from metriscope.report.evidence import Evidence
from metriscope.report.panels import PANELS, classes, confusions, tsne
from metriscope.report.panels.base import Panel
from metriscope.types import ClassRow, Confusion, View
from tests import fakes

NAMES = ("tsne", "distances", "spectra", "classes", "confusions")
LOSSES = ("triplet", "scl", "ccl")


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    folder = tmp_path_factory.mktemp("compared")
    results = grid105.write(
        folder, datasets={"a": 4}, names=LOSSES, seeds=2, rows=80, dim=6, epochs=2
    )
    views.complete(folder, results)
    return Evidence(results, folder)


def panel(name: str) -> Panel:
    return PANELS.get(name)()


def changed(evidence: Evidence, **changes: object) -> Evidence:
    """With the view of the last loss changed."""
    made = Evidence(evidence.results, evidence.folder)
    run, view = made.shown["ccl"]
    made.shown["ccl"] = (run, replace(view, **changes))  # type: ignore[arg-type]
    return made


def drawn(name: str, evidence: Evidence) -> Chart:
    chart = panel(name).plot(evidence)
    assert chart is not None
    return chart


@pytest.mark.parametrize("name", NAMES)
def test_without_views_a_panel_is_hidden(name: str) -> None:
    bare = Evidence(fakes.full())
    assert panel(name).frame(bare).rows == ()
    assert panel(name).plot(bare) is None
    assert isinstance(panel(name).caption(bare), str)


@pytest.mark.parametrize("name", ["tsne", "distances", "spectra"])
def test_a_row_a_loss(name: str, evidence: Evidence) -> None:
    assert [row.name for row in panel(name).frame(evidence).rows] == list(LOSSES)
    assert "seed 0 of each loss" in panel(name).caption(evidence)


def test_other_seeds_are_named(evidence: Evidence) -> None:
    other = Evidence(evidence.results, evidence.folder)
    _, view = other.shown["scl"]
    other.shown["scl"] = (other.results.by_loss()["scl"][1], view)
    assert "triplet 0, scl 1, ccl 0" in panel("tsne").caption(other)


# ------------------------------------------------------------------------------------------ t-SNE


def test_projections_are_turned_alike_and_not_deformed(evidence: Evidence) -> None:
    rng = np.random.default_rng(0)
    points = rng.standard_normal((50, 2)) * [3, 1]
    turn = np.array([[0.6, -0.8], [-0.8, -0.6]])  # a reflection too
    assert tsne.aligned(7 * points @ turn + 5, points) == pytest.approx(
        (points - points.mean(0)) / np.sqrt(((points - points.mean(0)) ** 2).sum(1).mean())
    )
    far = rng.standard_normal((50, 2))
    before, after = (
        np.linalg.norm(x[:, None] - x[None], axis=2) for x in (far, tsne.aligned(far, points))
    )
    assert after / after.max() == pytest.approx(before / before.max())
    for (_, view), plane in zip(
        evidence.shown.values(), drawn("tsne", evidence).planes, strict=True
    ):
        assert plane.bare
        at = {
            text.partition(" · ")[2]: place
            for dots in plane.marks
            if isinstance(dots, Dots)
            for text, *place in zip(dots.texts, dots.x, dots.y, strict=True)
        }
        there = np.array([at[row] for row in view.ids])
        assert (there**2).sum(1).mean() == pytest.approx(1, abs=0.01)
        assert np.corrcoef(
            np.linalg.norm(there[:, None] - there[None], axis=2).ravel(),
            np.linalg.norm(view.points[:, None] - view.points[None], axis=2).ravel(),
        )[0, 1] == pytest.approx(1, abs=1e-4)


def of_rows(chart: Chart, place: int = 0) -> dict[str, tuple[str, str]]:
    """Colour and mark by what a row is called."""
    return {
        text: (colour, mark.look.marker)
        for mark in chart.planes[place].marks
        if isinstance(mark, Dots)
        for text, colour in zip(mark.texts, mark.colours, strict=True)
    }


def labelled(evidence: Evidence, classes: int, name: str = "class") -> Evidence:
    """As if the rows drawn were of so many classes."""
    n = len(evidence.shown["ccl"][1].labels)
    made = Evidence(evidence.results, evidence.folder)
    for loss, (run, view) in list(made.shown.items()):
        labels = tuple(f"{name} {i % classes}" for i in range(n))
        made.shown[loss] = (run, replace(view, labels=labels))
    return made


def test_a_row_has_one_look_in_all_pictures_and_the_legend_says_which(evidence: Evidence) -> None:
    chart = drawn("tsne", evidence)
    first, *others = (of_rows(chart, place) for place in range(len(LOSSES)))
    assert [first] * 2 == others
    _, view = evidence.shown["triplet"]
    assert set(first) == {f"{a} · {b}" for a, b in zip(view.labels, view.ids, strict=True)}
    named = {name: (look.colour, look.marker) for name, look in chart.legend}
    assert len(set(named.values())) == len(set(view.labels)) == 4
    assert all(named[text.partition(" · ")[0]] == look for text, look in first.items())
    assert not chart.lines


def test_twenty_classes_look_different_and_their_names_are_safe(evidence: Evidence) -> None:
    chart = drawn("tsne", labelled(evidence, 20, "\u202e<b>" + "y" * 300))
    assert len({look for _, look in chart.legend}) == 20 == len(set(of_rows(chart).values()))
    assert all(len(name) <= 40 and "\u202e" not in name for name, _ in chart.legend)


def test_many_classes_share_grey(evidence: Evidence) -> None:
    made = labelled(evidence, 30)
    chart = drawn("tsne", made)
    assert chart.legend == ()
    assert len(set(of_rows(chart).values())) == tsne.MOST + 1
    grey, *marks = chart.planes[0].marks
    assert isinstance(grey, Dots)
    assert set(grey.colours) == {tsne.OTHERS.colour}  # and so below the others
    assert not any(tsne.OTHERS.colour in m.colours for m in marks if isinstance(m, Dots))
    view = made.shown["triplet"][1]
    place = view.ids.index(grey.texts[0].partition(" · ")[2])
    size = np.sqrt(((view.points - view.points.mean(0)) ** 2).sum(1).mean())
    x = (view.points[place, 0] - view.points[:, 0].mean()) / size
    assert abs(grey.x[0]) == pytest.approx(abs(x), abs=1e-3)
    assert "20 largest" in panel("tsne").caption(made)


def test_a_picture_that_misleads_says_so(evidence: Evidence) -> None:
    good = changed(evidence, preserved=0.51)
    bad = changed(evidence, preserved=0.49)
    for made, wrong in ((good, False), (bad, True)):
        assert ("Distorted: ccl" in panel("tsne").caption(made).replace("triplet, scl, ", "")) == (
            wrong
        )
        assert (drawn("tsne", made).planes[2].title == "ccl: distorted") == wrong
        row = panel("tsne").frame(made).rows[2]
        assert (row.note == "distorted") == wrong
        assert row.cells[0].mean == (0.49 if wrong else 0.51)


def test_a_space_that_is_one_point_is_drawn_as_one(evidence: Evidence) -> None:
    n = len(evidence.shown["ccl"][1].labels)
    made = changed(
        evidence,
        points=np.zeros((n, 2)),
        preserved=None,
        trustworthiness=None,
        spectrum=np.zeros(6),
        overlap=None,
        settings={"collapsed": True},
    )
    assert drawn("tsne", made).planes[2].title == "ccl: one point"
    assert panel("tsne").frame(made).rows[2].cells[0].text == "–"
    assert len(drawn("spectra", made).planes[0].marks) == 2
    assert panel("spectra").frame(made).rows[2].cells[0].mean is None
    assert panel("distances").frame(made).rows[2].cells[0].text == "–"


def test_classes_have_colours_that_are_seen_on_both_pages() -> None:
    def light(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    dark = light("#14181f")
    for colour in {look.colour for look in (*tsne.LOOKS, tsne.OTHERS)}:
        assert 1.05 / (light(colour) + 0.05) >= 3
        assert (light(colour) + 0.05) / (dark + 0.05) >= 3


# ------------------------------------------------------------------------------ distances, spectra


def test_histograms_are_those_of_the_view(evidence: Evidence) -> None:
    planes = drawn("distances", evidence).planes
    assert len({plane.x_range for plane in planes}) == 1
    for (loss, (_, view)), plane in zip(evidence.shown.items(), planes, strict=True):
        within, between = plane.marks
        assert isinstance(within, Line)
        assert isinstance(between, Line)
        assert (within.look, between.look.colour) == (style.look(loss), style.INK)
        assert len(within.x) == len(within.y) + 1
        assert sum(within.y) == pytest.approx(1, abs=1e-4)
        assert sum(between.y) == pytest.approx(1, abs=1e-4)
        assert list(between.y) == view.between[: len(between.y)].tolist()
    row = panel("distances").frame(evidence).rows[0]
    view = evidence.shown["triplet"][1]
    assert [cell.mean for cell in row.cells] == [view.overlap, *view.medians, 80]


def test_spectra_count_dimensions() -> None:
    from metriscope.report.panels.spectra import _cells

    def means(*spectrum: float, dim: int | None = 8) -> list[float | None]:
        settings = {} if dim is None else {"dim": dim}
        view = replace(fakes.view(), spectrum=np.array(spectrum), settings=settings)
        return [cell.mean for cell in _cells(view)]

    assert means(*[1 / 8] * 8) == pytest.approx([8, 8, 8, 1 / 8, 8])
    assert means(1.0, 0, 0, dim=64) == pytest.approx([1, 1, 1, 1, 64])  # of three rows
    assert means(0.0, 0, 0, dim=64) == [None, None, None, None, 64]
    entropy = -0.75 * np.log(0.75) - 0.25 * np.log(0.25)
    assert means(0.75, 0.25) == pytest.approx([np.exp(entropy), 1, 2, 0.9, 8])
    assert means(0.75, 0.25, dim=None)[-1] is None


def test_a_loss_far_narrower_than_the_others_has_an_axis_of_its_own(evidence: Evidence) -> None:
    made = changed(evidence, edges=np.linspace(0, 0.008, 101))
    *others, narrow = drawn("distances", made).planes
    assert narrow.x_range == (0, 0.008)
    assert {plane.x_range for plane in others} == {
        (0, max(made.shown[loss][1].edges[-1] for loss in LOSSES))
    }
    (within, *_) = narrow.marks
    assert isinstance(within, Line)
    assert len(within.y) == 100
    assert panel("distances").caption(made).endswith("an axis of its own: ccl.")
    assert "of its own" not in panel("distances").caption(evidence)


# --------------------------------------------------------------------------- classes, confusions


def test_classes_come_worst_first_with_the_numbers_of_each_loss(evidence: Evidence) -> None:
    table = panel("classes").frame(evidence)
    assert len(table.rows) == 4
    assert len(table.columns) == 2 + 2 * len(LOSSES)
    means = [np.mean([row.cells[j].mean for j in (2, 4, 6)]) for row in table.rows]
    assert means == sorted(means)
    for row in table.rows:
        for j, loss in enumerate(LOSSES):
            own = next(c for c in evidence.shown[loss][1].classes if c.name == row.name)
            assert [row.cells[k].mean for k in (2 + 2 * j, 3 + 2 * j)] == [own.recall, own.spread]
            assert row.cells[2 + 2 * j].interval == own.interval
    for loss, plane in zip(LOSSES, drawn("classes", evidence).planes, strict=True):
        (dots,) = plane.marks
        assert isinstance(dots, Dots)
        assert set(dots.y) == {c.recall for c in evidence.shown[loss][1].classes}


def test_of_many_classes_the_worst_are_shown(evidence: Evidence) -> None:
    rows = tuple(
        ClassRow(f"c{i}", 5, 5 if i else 0, 0.1, None if not i else i / 1_000) for i in range(700)
    )
    made = Evidence(evidence.results, evidence.folder)
    for loss, (run, view) in list(made.shown.items()):
        settings = {"queries": 40, "rows": 3_500}
        made.shown[loss] = (run, replace(view, classes=rows, settings=settings))
    table = panel("classes").frame(made)
    assert [row.name for row in table.rows] == [f"c{i}" for i in range(1, classes.MOST + 1)]
    assert "The 500 worst of 700" in panel("classes").caption(made)
    assert "40 queries drawn at random, of 3,500" in panel("classes").caption(made)


def test_confusions_show_examples_and_pictures(evidence: Evidence, tmp_path: Path) -> None:
    table = panel("confusions").frame(evidence)
    view = evidence.shown["triplet"][1]
    mine = [row for row in table.rows if row.name == "triplet"]
    assert len(mine) == min(confusions.SHOWN, len(view.confusions))
    worst = view.confusions[0]
    texts = [cell.text for cell in mine[0].cells]
    assert texts[:3] == [worst.label, worst.found, str(worst.queries)]
    assert mine[0].cells[3].mean == worst.share
    (query, found), *_ = view.examples[0]
    assert f"{query} → {found}" in texts[4]
    assert mine[0].cells[4].pictures == ()
    kept.write_thumbnails(tmp_path, {query: b"one", found: b"two"})
    made = Evidence(evidence.results, evidence.folder)
    made.__dict__["thumbnails"] = kept.read_thumbnails(tmp_path)
    one = changed(made, confusions=(worst,), examples=(((query, found),),))
    one.__dict__["thumbnails"] = made.thumbnails
    last = panel("confusions").frame(one).rows[-1]
    assert last.cells[4].pictures == (b"one", b"two")
    assert "labelled wrong" in panel("confusions").caption(one)


def test_without_examples_confusions_have_no_column_of_them(evidence: Evidence) -> None:
    made = Evidence(evidence.results, evidence.folder)
    for loss, (run, view) in list(made.shown.items()):
        made.shown[loss] = (run, replace(view, examples=()))
    table = panel("confusions").frame(made)
    assert [column.label for column in table.columns][-1] == "Share of the class"
    assert {len(row.cells) for row in table.rows} == {4}
    assert "Examples" not in panel("confusions").caption(made)
    assert "Examples" in panel("confusions").caption(evidence)


def test_hostile_names_are_cut_and_made_visible(evidence: Evidence) -> None:
    name = "\u202e<script>$x$" + "y" * 300
    view = fakes.view(names=(name, "dog", "eel"))
    made = changed(evidence, **{f: getattr(view, f) for f in ("labels", "ids", "points")})
    made.shown["ccl"] = (
        made.shown["ccl"][0],
        replace(
            made.shown["ccl"][1],
            classes=(ClassRow(name, 3, 3, 0.5, 0.0),),
            confusions=(Confusion(name, name, 3, 1.0),),
            examples=(((name, name),),),
        ),
    )
    for which in NAMES:
        table = panel(which).frame(made)
        texts = [row.name for row in table.rows] + [c.text for r in table.rows for c in r.cells]
        chart = panel(which).plot(made)
        for plane in chart.planes if chart else ():
            texts += [t for mark in plane.marks if isinstance(mark, Dots) for t in mark.texts]
        assert not any("\u202e" in text for text in texts)
        assert max(map(len, texts)) < 200


def test_a_view_of_other_rows_is_not_turned(evidence: Evidence) -> None:
    view: View = fakes.view()
    made = changed(evidence, labels=view.labels, ids=view.ids, points=view.points)
    (dots,) = drawn("tsne", made).planes[2].marks
    assert isinstance(dots, Dots)
    points = view.points - view.points.mean(0)
    assert np.array(dots.x) == pytest.approx(
        points[:, 0] / np.sqrt((points**2).sum(1).mean()), abs=1e-3
    )
