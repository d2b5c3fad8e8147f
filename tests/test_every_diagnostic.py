"""What holds for every registered diagnostic, whatever it measures."""

from __future__ import annotations

import ast
import importlib
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metriscope import diagnostics
from metriscope.diagnostics import DIAGNOSTICS
from metriscope.diagnostics.base import (
    Diagnostic,
    Score,
    Space,
    all_scores,
    diagnostic,
    measure,
    measure_trace,
    reading,
)
from metriscope.types import InputError, LossOutput, Scores, Share, Step
from tests.spaces import HARD, clumps, cone, embeddings, space, unit

ALL = DIAGNOSTICS.names()
DEEP = [found.name for found in reading("diagnosis")]
OF_SPACES = [found.name for found in reading("embeddings")] + DEEP
OF_STEPS = [found.name for found in reading("step")]
OF_TRACES = [found.name for found in reading("trace")]


def numbers(found: Diagnostic, source: Space) -> Scores:
    """Scores as written, not yet clipped to their bounds."""
    values = {k: None if v is None else float(v) for k, v in found(source).items()}
    return {k: v if v is None or math.isfinite(v) else None for k, v in values.items()}


def assert_declared_and_bounded(found: Diagnostic, values: Scores, slack: float = 1e-12) -> None:
    assert list(values) == [score.name for score in found.scores]
    for score in found.scores:
        value = values[score.name]
        if value is not None:
            assert score.lower - slack <= value <= score.upper + slack, (score, value)


def with_training(x: np.ndarray, y: np.ndarray) -> Space:
    """The space with itself, turned a little, to train on."""
    turned = x + 0.3 * np.random.default_rng(5).standard_normal(x.shape)
    return space(x, y, (turned[::-1], y[::-1]))


DETAILS = DIAGNOSTICS.get("loss_details").scores


def step(b: int = 6, terms: int = 30, seed: int = 0) -> Step:
    rng = torch.Generator().manual_seed(seed)
    out = LossOutput(
        torch.rand((), generator=rng),
        torch.tensor(terms // 3),
        torch.tensor(terms),
        torch.arange(b) % 2 == 0,
        torch.tensor(1),
        {s.name: Share(torch.tensor(1), torch.tensor(2)) for s in DETAILS},
    )
    norms = {"head": torch.tensor(2.5), "loss": torch.tensor(0.5)}
    return Step(1, 0, out, torch.rand(b, generator=rng), norms)


TRACE = {
    "epoch": [0.0, 1, 2],
    "loss": [2.0, 1.0, 0.1],
    "active.terms": [1.0, 0.5, 0.25],
    "grad_norm.head": [9.0, 3.0, 2.0],
}


# ---------------------------------------------------------------------------------- registration


def test_every_diagnostic_reads_something_these_tests_cover() -> None:
    assert sorted(OF_SPACES + OF_STEPS + OF_TRACES) == ALL
    assert OF_SPACES
    assert OF_STEPS
    assert OF_TRACES


@pytest.mark.parametrize("name", ALL)
def test_it_is_documented_and_named_like_its_file(name: str) -> None:
    found = DIAGNOSTICS.get(name)
    assert found.name == name
    assert found.scores
    assert importlib.import_module(f"metriscope.diagnostics.{name}").__doc__
    doc = found.__doc__ or ""
    assert DIAGNOSTICS.describe(name).summary == doc.partition("\n")[0]
    for part in ("Formula", "Bounds:", "Source:"):
        assert part in doc, f"{name}: its docstring has no {part}"


def test_one_file_is_one_diagnostic() -> None:
    folder = Path(diagnostics.__path__[0])
    for file in folder.glob("*.py"):
        if file.stem == "base" or file.stem.startswith("_"):
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        decorated = [n.name for n in tree.body if getattr(n, "decorator_list", [])]
        assert decorated == [file.stem]


def test_a_score_comes_from_one_diagnostic_of_a_kind_and_means_the_same_in_all() -> None:
    for names in (OF_SPACES, OF_STEPS, OF_TRACES):
        scores = [s.name for name in names for s in DIAGNOSTICS.get(name).scores]
        assert len(scores) == len(set(scores))
    known = all_scores()
    for found in DIAGNOSTICS.all().values():
        for score in found.scores:
            assert known[score.name] == score
            assert score.lower < score.upper


def test_the_scores_of_the_contract_are_there() -> None:
    contract = """intra.eq1 inter.eq1 intra.pair_cos.mean intra.pair_cos.sd inter.euclid.mean
        inter.euclid.sd inter.cos.mean inter.cos.sd recall@1 recall@5 recall@10 r_precision map@r
        queries.excluded active.terms active.samples active.effective active.literal
        grad_norm.head grad_norm.head.sd grad_norm.loss epochs_to.50 epochs_to.60 epochs_to.90
        knn_accuracy@5 probe_accuracy"""
    assert set(contract.split()) <= set(all_scores())


# ------------------------------------------------------------------------------------ embeddings


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("case", HARD)
@pytest.mark.parametrize("name", OF_SPACES)
def test_hard_spaces_give_declared_bounded_scores(name: str, case: str, trained: bool) -> None:
    x, y = HARD[case]()
    found = DIAGNOSTICS.get(name)
    source = with_training(x, y) if trained else space(x, y)
    assert_declared_and_bounded(found, numbers(found, source))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_space_gives_bounded_scores(data: st.DataObject) -> None:
    n, d = data.draw(st.integers(1, 14)), data.draw(st.integers(1, 4))
    numbers_ = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 1e-7, 3.0])
    x = np.array(data.draw(st.lists(numbers_, min_size=n * d, max_size=n * d))).reshape(n, d)
    y = np.array(data.draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)))
    source = space(x, y)
    for name in OF_SPACES:
        found = DIAGNOSTICS.get(name)
        assert_declared_and_bounded(found, numbers(found, source))


@pytest.mark.parametrize("name", OF_SPACES)
def test_it_says_something_about_an_ordinary_space(name: str) -> None:
    found = DIAGNOSTICS.get(name)
    values = numbers(found, with_training(*clumps(sizes=(12, 9, 7, 1))))
    assert None not in values.values()
    assert_declared_and_bounded(found, values, slack=0)


def _rotated(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    q, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((x.shape[1],) * 2))
    return x @ q, y


def _reordered(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(2).permutation(len(x))
    return x[order], y[order]


def _relabelled(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x, np.random.default_rng(3).permutation(y.max() + 3)[y]


def _rescaled(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x * np.random.default_rng(4).uniform(0.5, 20, (len(x), 1)), y


_NOT_GEOMETRY = (
    ("linear_probe", _rotated),  # it standardises each dimension, so its axes matter
    ("hubs", _rotated),  # rows of its null are drawn along the axes,
    ("hubs", _reordered),  # in the order of rows
    ("norms", _rescaled),
)


@pytest.mark.parametrize("change", [_rotated, _reordered, _relabelled, _rescaled])
@pytest.mark.parametrize("make", [clumps, cone])
@pytest.mark.parametrize("name", OF_SPACES)
def test_scores_depend_on_geometry_alone(name: str, make, change) -> None:  # type: ignore[no-untyped-def]
    found = DIAGNOSTICS.get(name)
    x, y = unit(make()[0]), make()[1]
    train = unit(make(9)[0]), make(9)[1]
    before = numbers(found, space(x, y, train))
    after = numbers(found, space(*change(x, y), change(*train)))
    assert None not in before.values() or name == "class_clumps"  # classes of fewer than ten
    if (name, change) in _NOT_GEOMETRY:
        return
    for score, value in before.items():
        # A cone of spread 1e-6 holds 10 digits of its shape, and NC1 inverts it.
        tolerance = 1e-9 if make is clumps else 1e-6
        expected = value if value is None else pytest.approx(value, rel=tolerance, abs=1e-15)
        assert after[score] == expected, score


def test_float32_big_endian_and_read_only_arrays_are_accepted() -> None:
    x, y = clumps()
    want = measure(space(x.astype(np.float32), y))
    for kind in (">f4", "<f4"):
        array = embeddings(x, y)
        object.__setattr__(array, "x", x.astype(kind))
        array.x.setflags(write=False)
        array.y.setflags(write=False)
        assert measure(Space(array)) == want


def test_train_and_test_must_fit_together() -> None:
    x, y = clumps()
    with pytest.raises(InputError, match="5 dimensions and the test embeddings 4"):
        Space(embeddings(x[:, :4], y), embeddings(x, y))
    with pytest.raises(InputError, match="different class names"):
        Space(embeddings(x, y), embeddings(x, y, 9))


# --------------------------------------------------------------------------------- steps, traces


@pytest.mark.parametrize("terms", [30, 0])
@pytest.mark.parametrize("name", OF_STEPS)
def test_steps_give_declared_shares_of_tensors(name: str, terms: int) -> None:
    found = DIAGNOSTICS.get(name)
    shares = found(step(terms=terms))
    assert list(shares) == [score.name for score in found.scores]
    for score in found.scores:
        share = shares[score.name]
        assert isinstance(share, Share)
        for tensor in share:
            assert isinstance(tensor, torch.Tensor)
            assert tensor.shape == ()
            assert not tensor.requires_grad
        if share.whole > 0:
            assert score.lower <= float(share.part / share.whole) <= score.upper


@pytest.mark.parametrize("name", OF_STEPS)
def test_steps_are_measured_without_waiting_for_the_device(name: str) -> None:
    real = step()
    tensors = {k: v.to("meta") for k, v in vars(real.output).items() if k != "details"}
    details = {k: Share(*(t.to("meta") for t in s)) for k, s in real.output.details.items()}
    meta = Step(
        1,
        0,
        LossOutput(**tensors, details=details),
        real.embedding_grad_norms.to("meta"),
        {k: v.to("meta") for k, v in real.grad_norms.items()},
    )
    # A tensor without data cannot be read back: any .item() or bool() raises.
    for share in DIAGNOSTICS.get(name)(meta).values():
        assert share.part.is_meta
        assert share.whole.is_meta


@pytest.mark.parametrize("trace", [TRACE, {}, {"loss": [None, None]}, {"loss": [-1.0, -2.0]}])
@pytest.mark.parametrize("name", OF_TRACES)
def test_traces_give_declared_bounded_scores(name: str, trace: dict[str, list[float]]) -> None:
    found = DIAGNOSTICS.get(name)
    assert_declared_and_bounded(found, dict(found(trace)))


# --------------------------------------------------------------------------------------- measure


def test_measure_is_every_diagnostic_of_embeddings() -> None:
    source = with_training(*clumps())
    scores, deep = measure(source), measure(source, deep=True)
    assert set(deep) == {s.name for name in OF_SPACES for s in DIAGNOSTICS.get(name).scores}
    assert set(scores) == set(deep) - {
        s.name for name in DEEP for s in DIAGNOSTICS.get(name).scores
    }
    for name in DEEP:
        assert set(measure(source, [name])) == {s.name for s in DIAGNOSTICS.get(name).scores}
    assert set(measure(source, ["hubness"])) == {s.name for s in DIAGNOSTICS.get("hubness").scores}
    assert measure(source, ["loss_decay"]) == {}
    with pytest.raises(InputError, match="did you mean retrieval"):
        measure(source, ["retreival"])


def test_measure_trace_is_every_diagnostic_of_traces() -> None:
    scores = measure_trace(TRACE)
    assert scores["epochs_to.50"] == 1
    assert scores["active.terms"] == pytest.approx(0.375)
    assert scores["active.samples"] is None


def test_measured_scores_are_plain_finite_and_within_bounds() -> None:
    known = all_scores()
    for make in HARD.values():
        for name, value in measure(space(*make())).items():
            assert value is None or (type(value) is float and math.isfinite(value))
            assert value is None or known[name].lower <= value <= known[name].upper


@pytest.fixture
def registered():  # type: ignore[no-untyped-def]
    """Register a diagnostic for one test."""
    made: list[str] = []

    def make(name: str, compute, scores: list[Score]) -> None:  # type: ignore[no-untyped-def]
        diagnostic(name, reads="embeddings", group="geometry", scores=scores)(compute)
        made.append(name)

    yield make
    for name in made:
        del DIAGNOSTICS._objects[name]


def test_an_undeclared_score_is_refused(registered) -> None:  # type: ignore[no-untyped-def]
    def stray(space: Space) -> Scores:
        return {"other": 1.0}

    registered("stray", stray, [Score("declared")])
    with pytest.raises(InputError, match="'stray' returned 'other' but does not declare it"):
        measure(space(*clumps()), ["stray"])


def test_only_rounding_is_clipped_to_a_bound(registered) -> None:  # type: ignore[no-untyped-def]
    def edge(space: Space) -> Scores:
        return {"rounded": 1 + 2e-16, "wrong": 1.001, "undefined": math.nan, "endless": math.inf}

    names = ("rounded", "wrong", "undefined", "endless")
    registered("edge", edge, [Score(name, lower=0, upper=1) for name in names])
    assert measure(space(*clumps()), ["edge"]) == {
        "rounded": 1.0,
        "wrong": 1.001,
        "undefined": None,
        "endless": None,
    }
