"""What must not change a loss: order, rotation, names of classes, lengths of embeddings."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from metriscope.losses import _draw
from tests.loss_cases import (
    CLASSES,
    DIM,
    LAYOUTS,
    PLAIN,
    batch,
    label,
    make,
    plain_cases,
    seeded,
)


@pytest.fixture
def fixed_draw(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes losses draw given pairs: call it with labels, and where each sample has moved to."""

    def fix(y: Tensor, order: Tensor) -> None:
        torch.manual_seed(0)
        anchors, positive = drawn["anchors"](y), drawn["positive"](y)
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order))
        monkeypatch.setattr(_draw, "anchor_of_class", lambda _: anchors[order])
        monkeypatch.setattr(_draw, "positive", lambda _: place[positive[order]])

    drawn = {"anchors": _draw.anchor_of_class, "positive": _draw.positive}
    return fix


def assert_same(name: str, a: Any, b: Any, order: Tensor) -> None:
    assert b.loss.item() == pytest.approx(a.loss.item(), rel=1e-9), name
    assert int(b.active_terms) == int(a.active_terms)
    assert int(b.total_terms) == int(a.total_terms)
    assert int(b.excluded) == int(a.excluded)
    assert b.active_samples.tolist() == a.active_samples[order].tolist()


@plain_cases
def test_order_of_the_batch_does_not_matter(
    name: str, params: dict[str, Any], fixed_draw: Any
) -> None:
    loss = make(name, params)
    z, y = batch(LAYOUTS["uneven"])
    torch.manual_seed(5)
    order = torch.randperm(len(y))
    if params.get("pairing") == "half":  # which half a sample is in does matter
        h = len(y) // 2
        order = torch.cat([torch.randperm(h), torch.randperm(h) + h, torch.tensor([2 * h])])
    same = torch.arange(len(y))
    fixed_draw(y, same)
    before = loss.evaluate(z, y)
    fixed_draw(y, order)
    if params.get("pairing") == "half":
        # N-pair counts pairs (i, h + i) as nothing special: each half may be shuffled alone.
        assert not torch.equal(order[:h], order[h : 2 * h] - h)
    assert_same(name, before, loss.evaluate(z[order], y[order]), order)


@plain_cases
def test_rotation_does_not_matter(name: str, params: dict[str, Any], fixed_draw: Any) -> None:
    loss = make(name, params)
    z, y = batch(LAYOUTS["uneven"])
    same = torch.arange(len(y))
    fixed_draw(y, same)
    before = loss.evaluate(z, y)
    q, _ = torch.linalg.qr(torch.randn(DIM, DIM, dtype=torch.float64))
    with torch.no_grad():
        for weight in loss.parameters():
            weight.copy_(weight @ q)
    assert_same(name, before, loss.evaluate(z @ q, y), same)


@plain_cases
def test_names_of_classes_do_not_matter(name: str, params: dict[str, Any], fixed_draw: Any) -> None:
    loss = make(name, params)
    z, y = batch(LAYOUTS["uneven"])
    same = torch.arange(len(y))
    fixed_draw(y, same)
    before = loss.evaluate(z, y)
    torch.manual_seed(6)
    codes = torch.randperm(CLASSES)
    if loss.class_level:
        with torch.no_grad():
            for weight in loss.parameters():
                weight[codes] = weight.clone()
    else:
        codes = codes * 10**15 - 3 * 10**15
    assert_same(name, before, loss.evaluate(z, codes[y]), same)


@pytest.mark.parametrize(
    ("name", "params"), [c for c in PLAIN if c[1].get("normalize", True)], ids=label
)
def test_length_of_embeddings_does_not_matter(name: str, params: dict[str, Any]) -> None:
    loss = make(name, params)
    z, y = batch(LAYOUTS["uneven"])
    lengths = torch.linspace(0.1, 30, len(y), dtype=torch.float64)[:, None]
    assert_same(name, seeded(loss, z, y), seeded(loss, z * lengths, y), torch.arange(len(y)))
