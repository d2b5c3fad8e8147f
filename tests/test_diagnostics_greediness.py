"""Active shares, gradient norms and loss decay, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metriscope.diagnostics import DIAGNOSTICS
from metriscope.types import LossOutput, Share, Step


def step(
    gradients: list[float],
    *,
    active: int = 3,
    total: int = 12,
    samples: list[int] | None = None,
    excluded: int = 0,
    norms: dict[str, float] | None = None,
    dtype: torch.dtype = torch.float32,
) -> Step:
    chosen = samples if samples is not None else [0] * len(gradients)
    out = LossOutput(
        torch.tensor(1.0, requires_grad=True),
        torch.tensor(active),
        torch.tensor(total),
        torch.tensor(chosen, dtype=torch.bool),
        torch.tensor(excluded),
    )
    norms = {"head": 1.0} if norms is None else norms
    groups = {k: torch.tensor(v) for k, v in norms.items()}
    return Step(2, 5, out, torch.tensor(gradients, dtype=dtype), groups)


def shares(name: str, source: Step) -> dict[str, tuple[float, float]]:
    return {k: (float(s.part), float(s.whole)) for k, s in DIAGNOSTICS.get(name)(source).items()}


def test_active_shares_of_a_batch() -> None:
    got = shares("active_share", step([1, 2, 0, 3, 0], samples=[1, 1, 0, 1, 0], excluded=1))
    assert got == {
        "active.terms": (3, 12),
        "active.samples": (3, 4),
        "active.literal": (3, 5),
        "active.effective": (pytest.approx(36 / (5 * 14)), 1),
    }


def test_a_batch_without_terms_says_nothing() -> None:
    got = shares("active_share", step([0, 0], active=0, total=0, excluded=2))
    assert set(got.values()) == {(0, 0)}


def test_the_effective_share_is_one_where_all_pull_alike_and_one_over_b_where_one_does() -> None:
    assert shares("active_share", step([0.3] * 8))["active.effective"] == (pytest.approx(1), 1)
    lone = shares("active_share", step([0, 0, 5, 0]))["active.effective"]
    assert lone == (pytest.approx(1 / 4), 1)


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_the_effective_share_survives_tiny_and_huge_gradients(size: float) -> None:
    got = shares("active_share", step([size, 2 * size]))["active.effective"]
    assert got == (pytest.approx(9 / 10), 1)


def test_a_nan_gradient_is_not_hidden() -> None:
    part, whole = shares("active_share", step([1.0, math.nan]))["active.effective"]
    assert math.isnan(part)
    assert whole == 1


@given(st.lists(st.floats(0, 1e6, width=32), min_size=1, max_size=12))
def test_the_effective_share_is_its_formula(gradients: list[float]) -> None:
    part, whole = shares("active_share", step(gradients, dtype=torch.float64))["active.effective"]
    if not any(gradients):
        assert (part, whole) == (0, 0)
        return
    top = max(gradients)
    g = [v / top for v in gradients]
    assert whole == 1
    assert part == pytest.approx(sum(g) ** 2 / (len(g) * sum(v * v for v in g)), rel=1e-12)


def test_gradient_norms_are_passed_on_and_a_loss_without_parameters_has_none() -> None:
    got = shares("gradient_norm", step([1.0], norms={"head": 2.5, "loss": 0.5}))
    assert got == {"grad_norm.head": (2.5, 1), "grad_norm.loss": (0.5, 1)}
    got = shares("gradient_norm", step([1.0], norms={"head": 2.5}))
    assert got == {"grad_norm.head": (2.5, 1), "grad_norm.loss": (0, 0)}


def test_shares_add_up_over_an_epoch() -> None:
    steps = [step([1.0, 1.0], active=1, total=2), step([1.0, 1.0], active=1, total=8)]
    found: list[Share] = [DIAGNOSTICS.get("active_share")(s)["active.terms"] for s in steps]
    assert float(sum(s.part for s in found) / sum(s.whole for s in found)) == 0.2


# ------------------------------------------------------------------------------------ loss decay

DECAY = DIAGNOSTICS.get("loss_decay")


def test_epochs_to_count_from_the_loss_before_any_update() -> None:
    assert DECAY({"loss": [8.0, 6.0, 4.0, 3.5, 3.2, 0.9, 0.8, 1.0]}) == {
        "loss.initial": 8.0,
        "loss.final": 1.0,
        "loss.decay": 0.875,
        "epochs_to.50": 2,
        "epochs_to.60": 4,
        "epochs_to.90": 6,
    }


def test_epochs_to_are_undefined_where_the_loss_never_gets_there() -> None:
    got = DECAY({"loss": [1.0, 0.55, 0.45, 0.9]})
    assert (got["epochs_to.50"], got["epochs_to.60"], got["epochs_to.90"]) == (2, None, None)
    assert got["loss.decay"] == pytest.approx(0.1)


@pytest.mark.parametrize("initial", [0.0, -1.0, None, math.nan])
def test_decay_is_undefined_without_a_positive_start(initial: float | None) -> None:
    got = DECAY({"loss": [initial, -5.0]})
    for name in ("loss.decay", "epochs_to.50", "epochs_to.60", "epochs_to.90"):
        assert got[name] is None
    assert got["loss.final"] == -5.0


def test_epochs_without_a_loss_are_passed_over() -> None:
    got = DECAY({"loss": [4.0, None, math.nan, 2.0, None]})
    assert got["epochs_to.50"] == 3
    assert got["loss.final"] is None
    assert got["loss.decay"] is None


def test_the_loss_before_any_update_is_no_epoch() -> None:
    assert DECAY({"loss": [4.0]})["epochs_to.50"] is None
    assert set(DECAY({}).values()) == {None}


# -------------------------------------------------------------------------------- training means


def test_training_means_leave_out_epoch_0_and_undefined_epochs() -> None:
    got = DIAGNOSTICS.get("training_means")(
        {
            "loss": [9.0, 1.0, 1.0],
            "active.terms": [1.0, 0.5, 0.25],
            "active.samples": [1.0, None, 0.5],
            "active.literal": [9.0, 8.0, 2.0],
            "active.effective": [1.0, None, None],
            "grad_norm.head": [7.0, 1.0, 2.0],
            "grad_norm.head.sd": [7.0, 0.25, 0.5],
        }
    )
    assert got == {
        "active.terms": 0.375,
        "active.samples": 0.5,
        "active.literal": 5.0,
        "active.effective": None,
        "grad_norm.head": 1.5,
        "grad_norm.head.sd": 0.375,
        "grad_norm.loss": None,
        "grad_norm.loss.sd": None,
    }
