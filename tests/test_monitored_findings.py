"""What a monitor says of real loops: each that is unwell by its code, none that is well."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pytorch_metric_learning import losses as theirs
from sklearn.datasets import load_digits
from torch import Tensor, nn

from metriscope import losses
from metriscope.monitor import Monitor

DIM = 32


def _digits() -> tuple[Tensor, Tensor]:
    digits = load_digits()
    return torch.tensor(digits.data, dtype=torch.float32) / 8 - 1, torch.tensor(digits.target)


def _many(classes: int = 100, rows: int = 20) -> tuple[Tensor, Tensor]:
    """Overlapping Gaussians."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(classes).repeat_interleave(rows)
    centres = 0.8 * torch.randn(classes, 64, generator=generator)
    return centres[y] + torch.randn(len(y), 64, generator=generator), y


def fit(
    loss: nn.Module,
    *,
    data: tuple[Tensor, Tensor] | None = None,
    shuffled: bool = False,
    proxies: bool = True,
    lr: float = 1e-3,
    later: tuple[int, float] = (0, 0.0),
    steps: int = 150,
    batch: int = 64,
    hidden: int = 0,
    geometry_every: int = 50,
) -> set[str]:
    """Codes that fired at any time, by Monitor's defaults but for the geometry's interval."""
    torch.manual_seed(0)
    x, y = _digits() if data is None else data
    if shuffled:
        y = y[torch.randperm(len(y))]
    model: nn.Module = nn.Linear(64, DIM)
    if hidden:
        model = nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, DIM))
    trained = [*model.parameters(), *(loss.parameters() if proxies else ())]
    optimizer = torch.optim.Adam(trained, lr=lr)
    fired: set[str] = set()
    with Monitor(
        model, loss, geometry_every=geometry_every, on_finding=lambda found: fired.add(found.code)
    ) as monitor:
        for step in range(1, steps + 1):
            if step == later[0]:
                optimizer.param_groups[0]["lr"] = later[1]
            rows = torch.randint(len(x), (batch,))
            value = loss(model(x[rows]), y[rows])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    assert {f.code for f in monitor.findings} <= fired
    return fired


def ours(name: str, **params: Any) -> nn.Module:
    return losses.create(name, num_classes=10, dim=DIM, **params)


HEALTHY = {
    "contrastive": ours("contrastive"),
    "triplet": ours("triplet", margin=0.2, mining="semi_hard"),
    "npair": ours("npair", scale=16.0, pairing="anchor"),
    "infonce": ours("infonce"),
    "arcface": ours("arcface", scale=16.0),
    "scl": ours("scl"),
    "ccl": ours("ccl"),
    "TripletMarginLoss": theirs.TripletMarginLoss(margin=0.2),
    "SupConLoss": theirs.SupConLoss(),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_loop_is_left_in_peace(name: str) -> None:
    assert fit(HEALTHY[name]) == set()


UNWELL: dict[str, tuple[set[str], nn.Module, dict[str, Any]]] = {
    "the hardest negatives of shuffled labels": (
        {"MS201", "MS213"},
        ours("triplet"),
        {"shuffled": True, "lr": 1e-2, "hidden": 64, "geometry_every": 20},
    ),
    "shuffled labels": ({"MS201"}, ours("infonce"), {"shuffled": True, "lr": 3e-3}),
    "shuffled labels, pairs": (
        {"MS216"},
        ours("contrastive"),
        {"shuffled": True, "lr": 3e-3, "steps": 510},
    ),
    "no learning rate": ({"MS202"}, ours("scl"), {"lr": 1e-9, "steps": 300, "batch": 32}),
    "a soft softmax": ({"MS204"}, theirs.NTXentLoss(temperature=1.0), {"batch": 32, "steps": 80}),
    "a margin beyond the sphere": ({"MS205"}, ours("contrastive", margin=2.0), {"steps": 80}),
    "a margin of nothing": (
        {"MS207"},
        ours("contrastive", margin=0.05),
        {"lr": 3e-3, "steps": 100, "geometry_every": 20},
    ),
    "a rate that jumps": ({"MS214"}, ours("infonce"), {"later": (100, 3.0), "hidden": 64}),
    "weights that explode": (
        {"MS208", "MS214"},
        ours("arcface", scale=16.0),
        {"later": (100, 100.0), "hidden": 64},
    ),
    "no division by the norm": (
        {"MS209"},
        ours("npair", normalize=False, pairing="anchor"),
        {"later": (100, 3.0)},
    ),
    "a rate that overflows": (
        {"MS210"},
        ours("npair", normalize=False, pairing="anchor"),
        {"later": (100, 1e30)},
    ),
    "many classes, small batches": (
        {"MS211"},
        ours("infonce"),
        {"data": _many(), "batch": 16, "steps": 80},
    ),
    "proxies left out": ({"MS212"}, ours("arcface", scale=16.0), {"proxies": False, "steps": 80}),
    "one pair a class": ({"MS402"}, ours("npair", scale=16.0), {"batch": 512, "steps": 100}),
}


@pytest.mark.parametrize("what", UNWELL)
def test_what_is_unwell_is_named(what: str) -> None:
    codes, loss, how = UNWELL[what]
    fired = fit(loss, **how)
    assert codes <= fired
    assert len(fired) <= len(codes) + 1  # one more may follow from it
