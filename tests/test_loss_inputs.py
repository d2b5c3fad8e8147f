"""Losses: what is refused, what is warned of, and what is drawn at random."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from metriscope import losses
from metriscope.losses import PAPER, _draw
from metriscope.types import InputError
from tests.loss_cases import (
    batch,
    every_name,
    label,
    make,
)


@every_name
def test_bad_batches_are_refused(name: str) -> None:
    loss = make(name, {})
    z, y = batch([0, 0, 1, 1])
    for bad_z, bad_y, says in [
        (z[0], y, "matrix"),
        (z.long(), y, "floating-point"),
        (z, y[:3], "4 integers"),
        (z, y.double(), "4 integers"),
        (z, y[:, None], "4 integers"),
        (z[:0], y[:0], "empty"),
    ]:
        with pytest.raises(InputError, match=says):
            loss(bad_z, bad_y)


@pytest.mark.parametrize("name", ["arcface", "ccl"])
def test_class_level_losses_check_labels_and_sizes(name: str) -> None:
    loss = make(name, {})
    z, y = batch([0, 0, 1, 1])
    with pytest.raises(InputError, match=r"label 9 is outside \[0, 8\)"):
        loss(z, torch.tensor([0, 9, 1, 1]))
    with pytest.raises(InputError, match=r"label -1 is outside"):
        loss(z, torch.tensor([0, -1, 1, 1]))
    with pytest.raises(InputError, match="4 dimensions"):
        loss(z[:, :4], y)
    with pytest.raises(InputError, match="num_classes= and dim="):
        losses.create(name)
    with pytest.raises(InputError, match="num_classes is 1"):
        losses.create(name, num_classes=1, dim=4)


def test_create_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean triplet"):
        losses.create("tripelt")
    with pytest.raises(InputError, match="did you mean margin"):
        losses.create("triplet", margn=1)
    with pytest.raises(InputError, match="unknown parameter of scl"):
        losses.create("scl", margin=1)


BAD_PARAMETERS: list[tuple[str, dict[str, Any]]] = [
    *[(n, {"reduction": "average"}) for n in PAPER],
    *[(n, {"margin": -0.1}) for n in ("contrastive", "triplet", "arcface", "ccl")],
    *[(n, {"margin": float("nan")}) for n in ("contrastive", "triplet", "arcface", "ccl")],
    *[(n, {"margin": "1"}) for n in ("contrastive", "triplet", "arcface", "ccl")],
    *[(n, {"temperature": 0}) for n in ("infonce", "scl")],
    *[(n, {"scale": 0}) for n in ("npair", "arcface", "ccl")],
    *[(n, {"scale": float("inf")}) for n in ("npair", "arcface", "ccl")],
    ("arcface", {"margin": 1.6}),
    ("ccl", {"label_smoothing": 1.1}),
    ("ccl", {"weight": -1}),
    ("ccl", {"form": "wen2016"}),
    ("npair", {"l2": -1}),
    ("npair", {"normalize": 1}),
    ("npair", {"pairing": "all"}),
    ("infonce", {"positives": "two"}),
    ("scl", {"form": "sideways"}),
    ("contrastive", {"pairs": "some"}),
    ("triplet", {"mining": "easy"}),
    ("triplet", {"soft": "yes"}),
    ("triplet", {"mining": "batch_all", "soft": True}),
]


def refusals() -> list[str]:
    """What is said of each bad parameter; nothing where it is not refused."""
    said = []
    for name, params in BAD_PARAMETERS:
        try:
            make(name, params)
            said.append("")
        except InputError as error:
            said.append(str(error))
    return said


@pytest.fixture(scope="module")
def said() -> list[str]:
    """:func:`refusals` in a process without the run-time type checks, which would speak first."""
    code = "import json, tests.test_loss_inputs as t; print(json.dumps(t.refusals()))"
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("case", range(len(BAD_PARAMETERS)), ids=lambda i: label(BAD_PARAMETERS[i]))
def test_bad_parameters_are_refused(said: list[str], case: int) -> None:
    assert next(iter(BAD_PARAMETERS[case][1])) in said[case]


def test_advice_on_margins_that_cannot_be_met() -> None:
    for name, key in (("contrastive", "negative pairs"), ("triplet", "triplets")):
        (said,) = losses.create(name, margin=2.5).advice(10)
        assert "margin 2.5 cannot be met" in said
        assert "1.49" in said
        assert key in said
        assert losses.create(name, margin=1.4).advice(10) == []
        assert losses.create(name, margin=1.9).advice(2) == []  # antipodes
    assert losses.create("triplet", margin=2.0, squared=True).advice(10) == []
    assert losses.create("triplet", margin=5.0, soft=True).advice(10) == []


# -------------------------------------------------------------------------------------------- draws


def test_drawn_positives_are_uniform_over_the_others() -> None:
    y = torch.tensor([5, 1, 5, 5, 9, 1, 5])
    torch.manual_seed(0)
    draws = torch.stack([_draw.positive(y) for _ in range(3000)])
    for i, others in {0: [2, 3, 6], 3: [0, 2, 6], 1: [5], 4: [4]}.items():
        found, counts = draws[:, i].unique(return_counts=True)
        assert found.tolist() == others
        # 4.5 standard deviations of a count of 3000 draws at 1/3
        assert (counts - 3000 / len(others)).abs().max() < 4.5 * 26


def test_drawn_anchors_are_one_of_each_class_with_two() -> None:
    y = torch.tensor([5, 1, 5, 5, 9, 1, 5])
    torch.manual_seed(0)
    draws = torch.stack([_draw.anchor_of_class(y) for _ in range(3000)])
    assert (draws[:, y == 5].sum(1) == 1).all()
    assert (draws[:, y == 1].sum(1) == 1).all()
    assert not draws[:, y == 9].any()
    share = draws.double().mean(0)
    assert torch.allclose(share[y == 5], torch.tensor(0.25).double(), atol=0.04)
    assert torch.allclose(share[y == 1], torch.tensor(0.5).double(), atol=0.04)


def test_npair_draws_another_pair_each_step() -> None:
    z, y = batch([0] * 8 + [1] * 8)
    loss = make("npair", {})
    torch.manual_seed(0)
    values = {loss(z, y).item() for _ in range(20)}
    assert len(values) > 10
    torch.manual_seed(0)
    assert loss(z, y).item() in values
