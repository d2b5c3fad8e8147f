"""What panels say beside their pictures, how planes of a row lie, and what a page weighs."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import grid105
from scipy.stats import spearmanr

from metriscope import views
from metriscope.report import html
from metriscope.report.charts import Chart, Dots, Plane, Rule
from metriscope.report.charts.interactive import library, to_plotly
from metriscope.report.evidence import Evidence
from metriscope.report.panels import PANELS
from metriscope.types import Results
from tests.fakes import advised, comparison, results, run

MOST = {"one loss": 220_000, "each further one": 130_000}  # bytes; measured: 177,000 and 102,000


def _caption(name: str, found: Results) -> str:
    return PANELS.get(name)().caption(Evidence(found))


def _label(name: str, found: Results) -> str:
    chart = PANELS.get(name)().plot(Evidence(found))
    assert chart is not None
    return chart.planes[0].x_label


def test_intervals_are_by_themselves_and_p_is_corrected_and_that_is_said() -> None:
    found = comparison()
    assert "each by itself" in _label("comparisons", found)
    assert "corrected for having looked at 6 pairs" in _caption("comparisons", found)
    table = PANELS.get("comparisons")().frame(Evidence(found))
    advice = PANELS.get("answer")().frame(Evidence(advised(found, "scl")))
    for column in (table.columns[0], advice.columns[2]):
        assert column.meaning.endswith("its interval, by itself")
    for column in (table.columns[1], advice.columns[3]):
        assert column.meaning.endswith("after Holm's correction over all of them")
    assert "corrected" not in _caption("comparisons", comparison(losses=("scl", "ccl")))


def test_an_axis_promises_no_bars_that_are_not_there() -> None:
    assert _label("answer", comparison()).endswith("(bars: ± SD, small: seeds)")
    assert _label("answer", comparison(seeds=1)).endswith("test part (small: seeds)")
    assert _label("answer", advised(comparison(), "scl")).endswith(
        "(bars: intervals, small: seeds)"
    )
    one = advised(comparison(seeds=1), "scl")
    for row in one.recommendation["rows"]:
        row |= {"low": None, "high": None}
    assert _label("answer", one).endswith("validation part (small: seeds)")


def _kept(**means: float) -> Results:
    epochs = dict(zip(means, (5.0, 1.0, 9.0, 2.0, 3.0), strict=False))
    return results(
        *(
            run(loss, seed, intra__pair_cos__mean=mean, epochs_to__50=epochs[loss])
            for loss, mean in means.items()
            for seed in range(2)
        )
    )


def test_collapsed_losses_do_not_decide_the_plane() -> None:
    means = {"triplet": 0.5, "scl": 0.4, "npair": 0.3, "ccl": 0.0999, "arcface": 0.001}
    said = _caption("plane", _kept(**means))
    rho = spearmanr([5, 1, 9], [0.5, 0.4, 0.3]).statistic
    assert rho != pytest.approx(spearmanr([5, 1, 9, 2, 3], list(means.values())).statistic)
    assert f"is {rho:+.2f} over 3 losses" in said
    assert said.count("nearly collapsed: ccl, arcface.") == 1
    whole = _caption("plane", _kept(**means | {"ccl": 0.1}))
    assert "over 4 losses" in whole
    few = _caption("plane", _kept(triplet=0.5, scl=0.4, ccl=0.01))
    assert "too few" in few
    assert "nearly collapsed: ccl." in few


def test_planes_of_a_row_are_in_line_whatever_stands_over_them() -> None:
    dots = Dots("scl", (0.5,), (0.0,))
    bare = Plane((dots,), y_names=("scl",))
    named = Plane((dots, Rule("untrained features", x=0.4)), y_names=("scl",))
    titled = Plane((dots,), title="a title", y_names=("scl",))
    for planes in ((bare, named), (named, titled, bare)):
        layouts = [plane["layout"] for plane in to_plotly(Chart(planes, same_y=True))]
        assert len({layout["margin"]["t"] for layout in layouts}) == 1
        assert len({layout["height"] for layout in layouts}) == 1


def test_a_page_grows_by_little_a_loss_and_dataset(tmp_path: Path) -> None:
    def bytes_of(names: tuple[str, ...]) -> int:
        folder = tmp_path / str(len(names))
        found = grid105.write(
            folder, datasets={"a": 8}, names=names, seeds=2, rows=400, dim=8, epochs=100
        )
        views.complete(folder, found)
        html.write(found, folder / "report.html")
        return (folder / "report.html").stat().st_size

    one, two = bytes_of(("triplet",)), bytes_of(("triplet", "scl"))
    assert 0 < one - len(library().encode()) < MOST["one loss"]
    assert 0 < two - one < MOST["each further one"]
