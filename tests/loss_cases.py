"""What the tests of losses share: every variant of every registered loss, and small batches."""

from __future__ import annotations

import itertools
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch
from torch import Tensor

from metriscope import losses
from metriscope.losses import LOSSES
from metriscope.losses.base import Loss

DIM, CLASSES = 5, 8

# Numbers other than the defaults. Choices and flags are found in the signatures.
NUMBERS: dict[str, list[dict[str, Any]]] = {
    "contrastive": [{"margin": 0.3}, {"margin": 2.5}],
    "triplet": [{"margin": 0.0}, {"margin": 0.2}],
    "npair": [{"scale": 7.0, "l2": 0.5}],
    "infonce": [{"temperature": 1.0}],
    "arcface": [{"scale": 4.0, "margin": 0.0}, {"margin": 1.5}],
    "scl": [{"temperature": 0.5}],
    "ccl": [{"margin": 0.3, "weight": 0.5, "label_smoothing": 0.1}],
}
IMPOSSIBLE = [{"mining": "batch_all", "soft": True}]

LAYOUTS: dict[str, list[int]] = {
    "balanced": [0, 1, 2, 3] * 4,
    "uneven": [3, 0, 0, 1, 0, 0, 1, 0, 2, 1, 2, 0, 3, 2, 0, 1, 0],
    "singletons": [0, 0, 1, 2, 0, 3, 4, 5, 0, 1, 6],
    "all different": [4, 2, 0, 1, 3],
    "one class": [2] * 6,
    "one positive pair": [1, 1],
    "one negative pair": [1, 0],
    "one sample": [3],
}


def variants(name: str) -> list[dict[str, Any]]:
    """Every choice with every other, then other numbers with each single choice."""
    hints = get_type_hints(LOSSES.get(name).__init__)
    choices: dict[str, tuple[Any, ...]] = {}
    for key, hint in hints.items():
        if get_origin(hint) is Literal:
            choices[key] = get_args(hint)
        elif hint is bool:
            choices[key] = (False, True)
    grid = [dict(zip(choices, v, strict=True)) for v in itertools.product(*choices.values())]
    modes = [key for key in choices if key != "reduction" and str in map(type, choices[key])]
    singles = [{k: v} for k in modes for v in choices[k]] or [{}]
    grid += [{**n, **single} for n in NUMBERS.get(name, []) for single in singles]
    return [v for v in grid if not any(bad.items() <= v.items() for bad in IMPOSSIBLE)]


def label(case: Any) -> str:
    return ",".join(map(str, case.values())) if isinstance(case, dict) else str(case)


CASES = [(name, params) for name in LOSSES.names() for params in variants(name)]
every_case = pytest.mark.parametrize(("name", "params"), CASES, ids=label)
PLAIN = [(n, p) for n, p in CASES if p.get("reduction", "mean") == "mean"]
plain_cases = pytest.mark.parametrize(("name", "params"), PLAIN, ids=label)
every_name = pytest.mark.parametrize("name", LOSSES.names())


def make(name: str, params: dict[str, Any], dtype: torch.dtype = torch.float64) -> Loss:
    torch.manual_seed(7)
    return losses.create(name, num_classes=CLASSES, dim=DIM, **params).to(dtype)


def batch(y: list[int], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Overlapping classes: class means plus noise of the same size."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(CLASSES, DIM, dtype=torch.float64, generator=generator)
    noise = torch.randn(len(y), DIM, dtype=torch.float64, generator=generator)
    return means[torch.tensor(y)] + noise, torch.tensor(y)


def seeded(loss: Loss, z: Tensor, y: Tensor) -> Any:
    torch.manual_seed(0)
    return loss.evaluate(z, y)
