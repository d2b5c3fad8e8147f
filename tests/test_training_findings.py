"""Findings about training: their arithmetic against real losses, and what they read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from metriscope import losses
from metriscope.findings import FINDINGS, examine, examine_subject
from metriscope.findings._course import course, loss_course
from metriscope.findings._floors import Batches, blind, floor
from metriscope.findings.base import Subject
from metriscope.losses.base import Loss
from metriscope.types import Finding
from tests.cases_training import FALLING, training
from tests.fakes import results, run

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("triplet", {"margin": 2.0}),
    ("triplet", {"margin": 3.0, "mining": "batch_all"}),
    ("triplet", {"margin": 3.0, "squared": True}),
    ("triplet", {"soft": True}),
    ("contrastive", {"margin": 2.5}),
    ("contrastive", {"margin": 2.5, "pairs": "balanced"}),
    ("npair", {}),
    ("npair", {"scale": 2.0, "pairing": "anchor"}),
    ("npair", {"pairing": "half"}),
    ("infonce", {"temperature": 1.0}),
    ("infonce", {"temperature": 0.5, "positives": "all"}),
    ("scl", {}),
    ("scl", {"temperature": 1.0, "form": "in"}),
    ("arcface", {"scale": 1.0}),
    ("ccl", {"scale": 1.0, "margin": 0.2}),
]
C, M = 6, 8  # classes, and rows of each
BATCHES = Batches(C, C * M, C)


def _simplex() -> Tensor:
    """(C, C) corners of the simplex."""
    centred = torch.eye(C, dtype=torch.float64) - 1 / C
    return nn.functional.normalize(centred, dim=1)


def _made(loss: str, params: Mapping[str, Any]) -> tuple[Loss, dict[str, Any]]:
    known = losses.resolve(loss, dict(params))
    made = losses.create(loss, num_classes=C, dim=C, **params)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(_simplex())
    return made, known


def _get(subject: Subject, code: str) -> Finding:
    return next(f for f in examine_subject(subject) if f.code == code)


# ------------------------------------------------------------------------------------- arithmetic


@pytest.mark.parametrize(("loss", "params"), SETTINGS)
def test_the_floor_is_the_loss_of_the_simplex(loss: str, params: dict[str, Any]) -> None:
    made, known = _made(loss, params)
    labels = torch.arange(C).repeat(M)  # each class in either half
    found = floor(loss, known, BATCHES)
    assert found == pytest.approx(float(made(_simplex()[labels], labels).detach()), rel=1e-3)


@pytest.mark.parametrize(("loss", "params"), SETTINGS)
def test_no_embedding_is_below_the_floor(loss: str, params: dict[str, Any]) -> None:
    made, known = _made(loss, params)
    labels = torch.arange(C).repeat(M)
    torch.manual_seed(0)
    z = (_simplex()[labels] + 0.3 * torch.randn(C * M, C)).requires_grad_()
    optimizer = torch.optim.Adam([z, *made.parameters()], lr=0.02)
    lowest = math.inf
    for _ in range(60):
        value = made(z, labels)
        lowest = min(lowest, float(value.detach()))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    found = floor(loss, known, BATCHES)
    assert found is not None
    assert lowest >= found - 1e-5


@pytest.mark.parametrize(("loss", "params"), SETTINGS)
@pytest.mark.parametrize("shrunk", [1.0, 0.3, 0.0])
def test_embeddings_that_ignore_the_labels_are_not_below_the_blind_value(
    loss: str, params: dict[str, Any], shrunk: float
) -> None:
    made, known = _made(loss, params)
    found = blind(loss, known, BATCHES)
    if loss in ("arcface", "ccl"):
        assert found is None
        return
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(C).repeat(M)
    offset = torch.ones(C, dtype=torch.float64)
    values = [
        float(made(offset + shrunk * torch.randn(C * M, C, generator=generator), labels))
        for _ in range(20)
    ]
    assert found is not None
    assert sum(values) / len(values) >= found * 0.995
    if shrunk == 0 and loss != "contrastive":
        assert values[0] == pytest.approx(found, rel=1e-5)


def test_unknown_losses_and_parameters_have_no_floor() -> None:
    for loss, params in (
        ("CircleLoss", {"m": 0.4}),
        ("triplet", {}),
        ("npair", {"normalize": False, "scale": 1.0}),
        ("ccl", {"label_smoothing": 0.1, "scale": 16.0}),
        ("NTXentLoss", {"temperature": 0.1, "distance": "LpDistance"}),
        ("TripletMarginLoss", {"margin": 0.1, "distance": "SNRDistance"}),
        ("TripletMarginLoss", {"margin": 0.1, "distance": "LpDistance", "p": 1}),
        ("NTXentLoss", {"temperature": 0.1, "normalize_embeddings": False, "distance": "Cosine"}),
    ):
        assert floor(loss, params, BATCHES) is None


THEIRS: dict[str, tuple[str, dict[str, Any]]] = {
    "TripletMarginLoss(margin=2.0, reducer=MeanReducer())": ("triplet", {"margin": 2.0}),
    "NTXentLoss(temperature=0.5)": ("infonce", {"temperature": 0.5}),
    "SupConLoss(temperature=0.5)": ("scl", {"temperature": 0.5}),
    "NPairsLoss()": ("npair", {}),
}


@pytest.mark.parametrize("made", THEIRS)
def test_losses_of_pytorch_metric_learning_have_the_floors_of_ours(made: str) -> None:
    from pytorch_metric_learning import losses as theirs
    from pytorch_metric_learning.reducers import MeanReducer

    from metriscope.monitor.criteria import Criterion

    loss = eval(made, vars(theirs) | {"MeanReducer": MeanReducer})
    heard = Criterion(loss, lambda _: None)
    name, params = THEIRS[made]
    known = losses.resolve(name, params)
    found = floor(heard.name, heard.params, BATCHES)
    assert found == pytest.approx(floor(name, known, BATCHES))
    assert blind(heard.name, heard.params, BATCHES) == pytest.approx(blind(name, known, BATCHES))
    labels = torch.arange(C).repeat(M)
    assert found == pytest.approx(float(loss(_simplex()[labels], labels)), rel=1e-5)


# ----------------------------------------------------------------------------------------- courses


def test_a_course_of_a_monitor_does_not_follow_single_rows() -> None:
    row = [2.0] + [1.0, 1.2] * 12
    after = course(training(row=[*row, 50.0]))
    assert after is not None
    assert after.start == 2.0
    assert 1.0 <= after.now <= 1.2
    assert after.noise == pytest.approx(0.2 / 0.954)


def test_short_and_undefined_columns_have_no_course() -> None:
    assert course(training(row=FALLING[:5])) is None
    assert course(training(row=[None, math.nan] * 10)) is None
    assert course(training(), "grad_norm.model") is None


def test_a_mean_over_active_terms_is_taken_times_their_share() -> None:
    params = {"margin": 0.2, "reduction": "mean_active", "mining": "batch_all"}
    shares = [0.5 * 0.9**i for i in range(40)]
    subject = training("triplet", [0.15] * 40, params, active__terms=shares)
    losses_ = loss_course(subject)
    assert losses_ is not None
    assert losses_.start == pytest.approx(0.075)
    assert _get(subject, "MS202").severity != "warning"
    assert _get(training("triplet", [0.15] * 40, {"margin": 0.2}), "MS202").severity == "warning"
    sided = training("contrastive", params={"pairs": "balanced", "reduction": "mean_active"})
    assert loss_course(sided) is None


# -------------------------------------------------------------------------------- what is not seen


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_few_rows_fire_nothing_but_what_needs_none(rows: int) -> None:
    bad = training(
        "triplet",
        [1.0] * rows,
        spread=0.001,
        active__terms=[0.0] * rows,
        active__samples=[0.0] * rows,
        excluded=[0.9] * rows,
        grad_norm__model=[0.0] * rows,
    )
    assert not [f for f in examine_subject(bad) if f.fired]


def test_a_loss_of_nothing_is_not_at_its_floor() -> None:
    empty = training("triplet", [0.0] * 40, active__samples=[1.0] * 40)
    assert _get(empty, "MS206").severity == "not applicable"


def test_done_is_said_and_is_no_fault() -> None:
    at_floor = training("scl", [4.0] + [1.69] * 39)
    met = training(
        "triplet",
        FALLING,
        {"margin": 0.2, "mining": "batch_all"},
        active__terms=[0.3] + [0.001] * 39,
    )
    for subject, code in ((at_floor, "MS206"), (met, "MS207")):
        said = _get(subject, code)
        assert said.severity == "ok"
        assert "nothing is left to learn" in said.message
        assert _get(subject, "MS202").severity == "not applicable"
        assert not [f for f in examine_subject(subject) if f.fired]


def test_what_was_hardly_ever_active_is_said_without_contradiction() -> None:
    small = training(
        "contrastive", FALLING, spread=0.5, active__terms__negative=[0.004] + [0.0014] * 39
    )
    said = _get(small, "MS207")
    assert said.severity == "warning"
    assert "0.14% of the negative pairs" in said.message
    assert "At no time were more than 0.40%." in said.message
    assert (said.verify or "").startswith("active.terms.negative should")
    triplet = training("triplet", FALLING, spread=0.5, active__terms=[0.001] * 40)
    assert (_get(triplet, "MS207").verify or "").startswith("active.terms should")


def test_supcon_knows_its_floor_from_its_own_excess() -> None:
    """Whatever the sizes of classes in a batch, which the mean alone does not tell."""
    known = training("scl", [4.0] + [2.9] * 39, loss__excess=[1.4] + [0.01] * 39)
    assert _get(known, "MS206").severity == "ok"
    assert _get(known, "MS206").value == pytest.approx(0.01 / 1.4, rel=0.1)
    assert not _get(training("scl", [4.0] + [2.9] * 39), "MS206").message


def test_the_simplex_needs_dimensions() -> None:
    """Rankin: more than d + 1 unit vectors cannot all be more than √2 apart."""
    margin = {"margin": 1.42}
    for dim, fires in ((9, False), (8, True), (None, False)):
        subject = training("triplet", params=margin, about={"dim": dim})
        assert _get(subject, "MS205").fired == fires


@pytest.mark.parametrize(
    ("loss", "margin", "fires"),
    [
        ("arcface", 0.5, False),
        ("ArcFaceLoss", 2.0, True),
        ("ccl", 0.3, False),
        ("ccl", 1.2, True),
        ("CosFaceLoss", 0.35, False),
        ("CosFaceLoss", 1.2, True),
    ],
)
def test_margins_of_cosines_and_angles_have_their_own_bounds(
    loss: str, margin: float, fires: bool
) -> None:
    assert _get(training(loss, params={"margin": margin}), "MS205").fired == fires


def test_the_first_place_says_the_cause() -> None:
    causes = set()
    for first in ("embeddings", "loss", "gradient of model"):
        where = {"nonfinite": {"step": 250, "first": first, "skipped": False}}
        found = _get(training(row=[*FALLING[:24], None, None], about=where), "MS210")
        assert (found.severity, found.value) == ("problem", 250.0)
        assert f"in the {first}, at step 250" in found.message
        causes.add(found.cause)
    assert len(causes) == 3
    assert _get(training(about={"nonfinite": {**where["nonfinite"], "step": 20}}), "MS210").message


@pytest.mark.parametrize(
    ("first", "skipped", "streak", "after", "severity"),
    [
        ("gradient of model", False, 0, 1.0, "warning"),
        ("gradient of model", False, 0, math.nan, "problem"),
        ("gradient of model", False, 0, None, "problem"),
        ("gradient of model", True, 0, 1.0, "warning"),
        ("gradient of model", True, 16, None, "warning"),
        ("gradient of model", True, 17, None, "problem"),
        ("loss", True, 1, 1.0, "problem"),
        ("embeddings", False, 0, math.nan, "problem"),
    ],
)
def test_what_is_not_finite_may_pass(
    first: str, skipped: bool, streak: int, after: float | None, severity: str
) -> None:
    about = {
        "nonfinite": {"step": 195, "first": first, "skipped": skipped},
        "skipped": streak + skipped,
        "skipped_since_update": streak,
    }
    found = _get(training(row=[*FALLING[:19], *[after] * 4], about=about), "MS210")
    assert found.severity == severity
    assert ("finite again" in found.message) == (after == 1.0)
    assert ("skipped" in found.message) == skipped


def test_missing_parameters_are_named() -> None:
    names = ["W", "b", "c", "d"]
    found = _get(training("arcface", about={"missing_parameters": names}), "MS212")
    assert "4 of the loss's parameters (W, b, c, …) are" in found.message


def test_an_anchor_without_positives_says_what_batch_would_do() -> None:
    found = _get(training(excluded=[0.92] * 40, about={"classes": 200, "batch_size": 16}), "MS211")
    assert found.severity == "problem"
    assert "599 rows" in found.next_step
    assert pytest.approx(0.05, abs=0.001) == (1 - 1 / 200) ** (599 - 1)


def test_advice_speaks_to_its_user() -> None:
    ours = run("contrastive", params=losses.resolve("contrastive", {"margin": 2.0}))
    (compared,) = [f for f in examine(results(ours)) if f.code == "MS205"]
    assert "--set contrastive.margin=0.75" in compared.next_step
    for check in FINDINGS.all().values():
        if "training" in check.of:
            subject = training("triplet", params={"margin": 2.0}, about={"nonfinite": None})
            assert "--" not in _get(subject, check.code).next_step


def test_a_model_that_was_good_before_has_no_fall_to_show() -> None:
    """Flat losses of fine-tuning; the same values where the labels would be ignored do fire."""
    rows = [1.0, *([1.03, 1.01, 1.05] * 13)]
    for loss, good in (("infonce", 1.3), ("scl", 2.4)):
        assert not _get(training(loss, [good * r for r in rows]), "MS202").fired
        assert _get(training(loss, [4.1 * r for r in rows]), "MS202").fired
    assert not _get(training("triplet", [0.014, *[0.018] * 39], {"margin": 0.2}), "MS202").fired


def test_a_loss_within_its_noise_has_not_risen() -> None:
    noisy = _get(training("unknown", [0.95, *([1.0, 1.05, 0.96] * 13)]), "MS202")
    assert "within its noise" in noisy.message
    risen = _get(training("unknown", [0.95, *([1.3, 1.31] * 20)]), "MS202")
    assert "rose by" in risen.message


def test_a_noisy_loss_does_not_rise() -> None:
    noisy = [2.0] + [1.0, 1.6] * 20 + [1.6]
    assert not _get(training(row=noisy), "MS214").fired
    assert _get(training(row=[2.0] + [1.0] * 30 + [1.6] * 10), "MS214").fired


def test_a_loss_that_starts_at_its_margin_is_not_stuck_while_there_is_spread() -> None:
    soft = training("triplet", [0.72] * 60, {"soft": True}, spread=0.45)
    assert [f.code for f in examine_subject(soft) if f.fired] == ["MS202", "MS216"]
    blind = training("triplet", [0.72] * 60, {"soft": True}, spread=None)
    assert _get(blind, "MS201").fired


def test_an_untrained_network_that_starts_in_one_point_may_leave_it() -> None:
    def spread(*values: float) -> Subject:
        return training(row=[1.0] * len(values), spread=None, batch__spread__total=values)

    assert not _get(spread(0.001, 0.004, 0.009), "MS213").fired
    assert _get(spread(0.001, 0.0011, 0.001), "MS213").fired


def test_many_rows_of_one_loss_agree_with_their_suffix() -> None:
    """A window that slides over a steady state says the same at every place."""
    for start in range(5):
        subject = training(row=[4.0 + 0.01 * ((i + start) % 5) for i in range(51)])
        fired = {f.code for f in examine_subject(subject) if f.fired}
        assert fired == {"MS202"}
