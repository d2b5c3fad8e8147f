"""Sweeps and their panels: a difference between settings is told from one between losses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from metriscope import losses
from metriscope.cli.compare import _sweep
from metriscope.plan import plan, plan_sweep, read_sweep, vary
from metriscope.report.charts import Line
from metriscope.report.evidence import Evidence
from metriscope.report.panels import PANELS, _varied
from metriscope.report.panels._settings_or_losses import _verdict, spread
from metriscope.report.tables import Cell
from metriscope.types import InputError, Interval, Results, RunResult
from tests.helpers import tiny_spec

TRIPLETS = [tiny_spec("triplet", seed) for seed in (0, 1)]
SPECS = [*TRIPLETS, tiny_spec("scl")]

# -------------------------------------------------------------------------------- specifications


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("triplet.margin", "2", 2.0),
        ("triplet.squared", "true", True),
        ("reduction", "sum", "sum"),
        ("optimizer.lr", np.float32(0.5), 0.5),
        ("head.dim", np.int64(3), 3),
        ("head.hidden", "(64, 32)", (64, 32)),
        ("head.hidden", "()", ()),
        ("epochs", "7", 7),
        ("batch_size", 64, 64),
        ("sampler", "m_per_class", "m_per_class"),
    ],
)
def test_one_setting_changes_and_nothing_else(name: str, value: Any, found: Any) -> None:
    full = f"triplet.{name}" if name == "reduction" else name
    changed = vary(TRIPLETS[0], name, value)
    assert changed.settings == TRIPLETS[0].settings | {full: found}
    assert changed.key != TRIPLETS[0].key
    assert replace(changed, **_parts(TRIPLETS[0])) == TRIPLETS[0]
    assert vary(changed, full, TRIPLETS[0].settings[full]) == TRIPLETS[0]


def _parts(spec: Any) -> dict[str, Any]:
    names = ("params", "head", "optimizer", "epochs", "batch_size", "sampler")
    return {name: getattr(spec, name) for name in names}


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("triplet.margn", 1, "did you mean margin"),
        ("scl.temperature", 1, "scl is not among the compared losses"),
        ("tripelt.margin", 1, "did you mean triplet"),
        ("head", 1, "unknown setting 'head'"),
        ("head.", 1, "unknown setting|unknown parameter"),
        ("", 1, "unknown setting"),
        ("seed", 1, "unknown setting 'seed'"),
        ("temperature", 1, "unknown setting 'temperature'"),
        ("triplet.margin", "x", "must be like 1.0"),
        ("triplet.margin", "nan", "must be like 1.0"),
        ("triplet.margin", -1, "margin is -1.0"),
        ("optimizer.lr", 0, "above 0"),
        ("head.dim", 0, "at least 1"),
        ("head.dim", 1.5, "must be like 8"),
        ("head.hidden", "(0,)", "widths of at least 1"),
        ("epochs", 0, "at least 1"),
        ("batch_size", 1, "at least 2"),
        ("batch_size", True, "must be like 32"),
        ("sampler", "x", "unknown sampler 'x'"),
    ],
)
def test_what_cannot_be_is_refused_before_data_are_read(name: str, value: Any, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        plan_sweep(TRIPLETS, {name: [value]})
    assert str(caught.value).count("\n") < 2
    with pytest.raises(InputError):
        plan(["triplet"], 1, None, None, "paper", {}, 0.2, {name: [value]})


def test_a_setting_of_a_loss_varies_that_loss_alone() -> None:
    made = plan_sweep(SPECS, {"triplet.margin": ["0.5", 0.5, 1.0, 2]})
    assert [(s.loss, s.seed, s.params["margin"]) for s in made] == [
        ("triplet", seed, margin) for margin in (0.5, 1.0, 2.0) for seed in (0, 1)
    ]
    assert made[2:4] == TRIPLETS  # as they are in the comparison: not run twice


def test_a_setting_of_all_varies_all() -> None:
    assert len(plan_sweep(SPECS, {"optimizer.lr": [1e-3, 1e-2], "batch_size": [16]})) == 9
    made = plan_sweep(SPECS, {"reduction": ["sum", "mean_active"]})
    assert [(s.loss, s.params["reduction"]) for s in made][::3] == [
        ("triplet", "sum"),
        ("triplet", "mean_active"),
    ]
    assert {s.loss for s in made} == {"triplet", "scl"}
    assert {s.loss for s in plan_sweep(SPECS, {"margin": [0.5]})} == {"triplet"}


def test_values_are_read_from_text_and_from_lists() -> None:
    assert read_sweep({"a": "1, 2,", "head.hidden": "(512,256),(64,),512,[3,4]"}) == {
        "a": ["1", "2"],
        "head.hidden": ["(512,256)", "(64,)", "512", "[3,4]"],
    }
    (found,) = read_sweep({"a": np.linspace(0, 1, 3)}).values()
    assert found == [0.0, 0.5, 1.0]
    assert {type(value) for value in found} == {float}
    assert read_sweep(None) == {}
    for nothing in ("", " , ", [], (), 0.5, None, {"x": 1}):
        with pytest.raises(InputError, match="triplet"):
            read_sweep({"triplet.margin": nothing})


def test_the_command_line_joins_what_is_given_twice() -> None:
    assert _sweep(("a = 1,2", "b=x=y", "a=3")) == {"a": " 1,2,3", "b": "x=y"}
    with pytest.raises(InputError, match="has no '='"):
        _sweep(("triplet.margin",))


# ----------------------------------------------------------------------------------- the real thing


@pytest.mark.parametrize(("margin", "share"), [(1.0, 0.0), (2.0, 1.0)])
def test_random_unit_vectors_are_all_or_nothing_by_the_margin(margin: float, share: float) -> None:
    """In 128 dimensions nearly all are √2 apart: greediness is a matter of the margin."""
    torch.manual_seed(0)
    out = losses.create("contrastive", margin=margin).evaluate(
        torch.randn(512, 128), torch.arange(512) % 10
    )
    negative = out.details["active.terms.negative"]
    assert int(negative.whole) == 512 * 511 // 2 - int(out.details["active.terms.positive"].whole)
    assert float(negative.part) / float(negative.whole) == share


# ----------------------------------------------------------------------------------------- panels


def done(spec: Any, recall: float, **scores: float) -> RunResult:
    shown = {"active.terms": 0.5, "grad_norm.head": 1.0, "intra.pair_cos.mean": 0.2}
    return RunResult(spec, "done", {"recall@1": recall, **shown, **scores})


def swept(values: dict[Any, float], name: str = "triplet.margin") -> Results:
    """Two seeds 0.02 apart; the setting moves triplet by as much as ``values`` say."""
    runs = [done(s, 0.8 + 0.02 * s.seed) for s in TRIPLETS] + [done(SPECS[2], 0.86)]
    beside = [
        done(vary(spec, name, value), recall + 0.02 * spec.seed)
        for value, recall in values.items()
        for spec in TRIPLETS
    ]
    about = {"dataset": "tiny", "sweep": {name: list(values)}}
    return Results(tuple(runs), about=about, others={"sweep": tuple(beside)})


def _panel(name: str) -> Any:
    return PANELS.get(name)()


def test_sensitivity_shows_each_value_and_that_of_the_comparison() -> None:
    evidence = Evidence(swept({0.1: 0.7, 2.0: 0.9}))
    table = _panel("sensitivity").frame(evidence)
    assert [row.cells[1].text for row in table.rows] == ["0.1", "1 (as compared)", "2"]
    assert [row.cells[2].text for row in table.rows] == [
        "0.710 ± 0.014",
        "0.810 ± 0.014",
        "0.910 ± 0.014",
    ]
    chart = _panel("sensitivity").plot(evidence)
    assert [plane.x_scale for plane in chart.planes] == ["log"] * 4
    assert [plane.y_label for plane in chart.planes] == [c.label for c in table.columns[2:]]
    (line,) = chart.planes[0].marks
    assert isinstance(line, Line)
    assert (line.x, line.y) == ((0.1, 1.0, 2.0), tuple(row.cells[2].mean for row in table.rows))
    assert line.low[0] == pytest.approx(0.71 - table.rows[0].cells[2].sd)


def test_whether_settings_or_losses_make_the_difference_is_said() -> None:
    caption = _panel("sensitivity").caption(Evidence(swept({0.1: 0.7, 2.0: 0.9})))
    # Tukey: q(0.95; 3 means, 3 degrees of freedom) = 5.910, of an SD of 0.01414 of two seeds.
    assert "lie 0.050 apart in Recall@1 (seeds alone: up to 0.220)." in caption
    assert (
        "triplet.margin from 0.1 to 2 moves Recall@1 by 0.200 (0.710 to 0.910; seeds alone: up to "
        "0.059): more than chance explains; whether it matters more than the choice of loss cannot "
        "be told." in caption  # 0.15 more, of which seeds explain √(0.059² + 0.220²)
    )
    caption = _panel("sensitivity").caption(Evidence(swept({0.5: 0.801})))
    assert "by 0.001 (0.810 to 0.811; seeds alone: up to 0.061): no more than chance" in caption


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        (0.050, "cannot be told"),  # a range of 0.051 beside one of 0.050
        (0.001, "the setting matters more than the choice of loss"),
        (0.2, "more than chance explains, but less than the choice of loss"),
    ],
)
def test_two_ranges_are_told_apart_only_beyond_what_seeds_explain(losses: float, said: str) -> None:
    def of(width: float) -> Any:
        return spread(Cell("", mean, 0.005, 3, 3) for mean in (0.8, 0.8 + width))

    assert said in _verdict(of(0.051), of(losses))
    assert _verdict(of(0.001), of(losses)) == "no more than chance explains"


def test_a_setting_can_matter_less_than_the_loss() -> None:
    found = swept({0.1: 0.7, 2.0: 0.9})
    far = Results((*found.runs[:2], done(SPECS[2], 0.2)), (), found.about, None, found.others)
    caption = _panel("sensitivity").caption(Evidence(far))
    assert "more than chance explains, but less than the choice of loss." in caption
    alone = Results(found.runs[:2], (), found.about, None, found.others)
    caption = _panel("sensitivity").caption(Evidence(alone))
    assert "there is no second loss to hold that against." in caption
    assert "lie" not in caption.split(". ")[-1]


def test_one_seed_is_called_one_seed() -> None:
    found = swept({0.1: 0.7, 2.0: 0.9})
    first = [run for run in found.runs if run.spec.seed == 0]
    beside = tuple(run for run in found.others["sweep"] if run.spec.seed == 0)
    one = Results(tuple(first), (), found.about, None, {"sweep": beside})
    caption = _panel("sensitivity").caption(Evidence(one))
    assert "(0.700 to 0.900; one seed): how much of that is chance, nobody can tell." in caption


def test_names_are_not_put_on_an_axis_of_numbers() -> None:
    chart = _panel("sensitivity").plot(Evidence(swept({"sum": 0.7}, "triplet.reduction")))
    assert chart.planes[0].y_names == ("sum", "mean")
    assert chart.planes[0].x_label == "Recall@1"
    caption = _panel("sensitivity").caption(Evidence(swept({"sum": 0.7}, "triplet.reduction")))
    assert "triplet.reduction (sum, mean) moves Recall@1 by 0.100" in caption


def test_a_sweep_of_several_losses_says_where_the_best_one_changes() -> None:
    found = swept({0.5: 0.7}, "optimizer.lr")
    scl = [tiny_spec("scl", seed) for seed in (0, 1)]
    runs = (*found.runs[:2], *(done(spec, 0.86 + 0.02 * spec.seed) for spec in scl))
    more = [done(vary(spec, "optimizer.lr", 0.5), 0.2 + 0.02 * spec.seed) for spec in scl]
    found = replace(found, runs=runs, others={"sweep": (*found.others["sweep"], *more)})
    caption = _panel("sensitivity").caption(Evidence(found))
    assert "of scl by 0.660" in caption
    assert "and of triplet by 0.100" in caption
    assert "has the highest mean depends on it: scl at 0.01; triplet at 0.5." in caption


def test_other_settings_than_the_one_varied_are_not_mixed_in() -> None:
    """As after tuning, when an earlier sweep lies around other settings."""
    found = swept({0.1: 0.7, 2.0: 0.9})
    strange = done(vary(vary(TRIPLETS[0], "triplet.margin", 0.5), "optimizer.lr", 0.5), 0.1)
    found = replace(found, others={"sweep": (*found.others["sweep"], strange)})
    assert len(_panel("sensitivity").frame(Evidence(found)).rows) == 3


def test_failed_runs_are_said_and_never_averaged() -> None:
    found = swept({0.1: 0.7, 2.0: 0.9})
    first, second, *rest = found.others["sweep"]
    lost = (
        RunResult(first.spec, "failed", error="x"),
        second,
        *(RunResult(r.spec, "failed") for r in rest),
    )
    evidence = Evidence(replace(found, others={"sweep": lost}))
    rows = _panel("sensitivity").frame(evidence).rows
    assert [row.note for row in rows] == ["1 of 2 runs", "", "failed"]
    assert rows[0].cells[2].mean == second.scores["recall@1"]
    assert len(_panel("sensitivity").plot(evidence).planes[0].marks[0].x) == 2


@pytest.mark.parametrize("values", [{}, {1.0: 0.8}])
def test_a_sweep_of_one_value_is_not_shown(values: dict[Any, float]) -> None:
    evidence = Evidence(swept(values))
    assert _panel("sensitivity").frame(evidence).rows == ()
    assert _panel("sensitivity").plot(evidence) is None


def test_values_are_shown_in_a_few_words() -> None:
    assert _varied.shown((512, 256)) == "512 256"
    assert _varied.shown(()) == "none"
    assert _varied.shown(True) == "True"


def tuned() -> Results:
    best = {"triplet.margin": 0.25, "optimizer.lr": 0.001}
    at_best = [vary(vary(s, "triplet.margin", 0.25), "optimizer.lr", 1e-3) for s in TRIPLETS]
    given = {"triplet.margin": 1.0, "optimizer.lr": 0.01}
    trials = [
        {"settings": s, "value": v, "key": k}
        for s, v, k in ((given, 0.7, "a"), (given, None, "b"), (best, 0.9, "c"), (given, 0.8, "d"))
    ]
    found = {
        "ranges": {},
        "given": given,
        "best": best,
        "default": 0.7,
        "value": 0.9,
        "failed": 1,
        "trials": trials,
    }
    scl = {**found, "best": given, "value": 0.7, "failed": 0, "trials": trials[:1]}
    tuning = {
        "budget": 4,
        "goal": "top1",
        "score": "val.recall@1",
        "better": "higher",
        "seed": 0,
        "notes": ["triplet is odd."],
        "losses": {"triplet": found, "scl": scl},
    }
    return Results(
        (*(done(s, 0.85 + 0.01 * s.seed) for s in at_best), done(SPECS[2], 0.86)),
        about={"dataset": "tiny", "tuning": tuning},
        others={
            "untuned": (*(done(s, 0.8 + 0.02 * s.seed) for s in TRIPLETS), done(SPECS[2], 0.86))
        },
    )


def test_tuning_shows_both_and_the_change_on_the_test_part() -> None:
    evidence = Evidence(tuned())
    table = _panel("tuning").frame(evidence)
    triplet, scl = table.rows
    assert triplet.note == "1 of 4 trials failed"
    texts = [cell.text for cell in triplet.cells]
    assert texts == [
        "--set triplet.margin=0.25 --set optimizer.lr=0.001",
        "0.700",
        "0.900",
        "0.810 ± 0.014",
        "0.855 ± 0.007",
        "+0.045",
    ]
    change = triplet.cells[5]
    assert change.mean == pytest.approx(0.045)
    assert isinstance(change.interval, Interval)  # of two seeds: 0.05 and 0.04
    assert change.interval.low == pytest.approx(0.045 - 12.7062 * 0.005, abs=1e-5)
    assert scl.cells[0].text == "as given"
    assert scl.cells[5].mean == 0
    assert scl.cells[5].interval is None  # one seed: none is invented
    caption = _panel("tuning").caption(evidence)
    assert "4 trials" in caption
    assert "flattered by chance" in caption
    assert "0 of 1 losses changed by more than chance explains" in caption
    assert caption.endswith("triplet is odd.")


def test_the_picture_of_tuning_draws_the_numbers_of_its_table() -> None:
    evidence = Evidence(tuned())
    table = _panel("tuning").frame(evidence)
    changes, trials = _panel("tuning").plot(evidence).planes
    assert changes.y_names == ("triplet", "scl")
    line, before, after = changes.marks[:3]
    assert line.x == (*before.x, *after.x) == tuple(c.mean for c in table.rows[0].cells[3:5])
    best = trials.marks[0]
    assert best.x == (1.0, 3.0, 4.0)
    assert best.y == (0.7, 0.9, 0.9)


def test_without_tuning_there_is_no_panel_of_it() -> None:
    evidence = Evidence(swept({0.1: 0.7}))
    assert _panel("tuning").frame(evidence).rows == ()
    assert _panel("tuning").plot(evidence) is None
    assert _panel("tuning").caption(evidence) == ""
