"""A monitor around a training step: at its default settings, one thread.

The same loop with and without a monitor, by turns; also with every number of every step read back
and examined at once, which nobody needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.measure import turns
from benchmarks.tables import Row, compared
from metriscope import losses
from metriscope.monitor import Monitor

STEPS = 10  # one row of the trace
CLASSES = 8


def vit(size: str) -> nn.Module:
    """A vision transformer of the shape of ViT-B/32, or a small one, with random weights."""
    from transformers import ViTConfig, ViTModel

    small = {
        "hidden_size": 192,
        "num_hidden_layers": 4,
        "num_attention_heads": 3,
        "intermediate_size": 768,
    }
    config = ViTConfig(image_size=224, patch_size=32, **({} if size == "base" else small))
    return ViTModel(config, add_pooling_layer=False)


def epoch(
    make: Callable[[], nn.Module], embed: Callable[[nn.Module, Tensor], Tensor], x: Tensor, **o: Any
) -> Callable[[], None]:
    """Ten steps; under a monitor if it has options."""
    torch.manual_seed(0)
    model, loss = make(), losses.create("triplet")
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    y = torch.arange(len(x)) % CLASSES
    if o:
        Monitor(model, loss, **o).attach()

    def work() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss(embed(model, x), y).backward()
            optimizer.step()

    return work


def run(*, quick: bool) -> list[Row]:
    """The section."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(16, 3, 224, 224, generator=generator)
    size = "small" if quick else "base"

    def embed(model: nn.Module, x: Tensor) -> Tensor:
        z: Tensor = model(x).last_hidden_state[:, 0]
        return z

    def make() -> nn.Module:
        return vit(size)

    plain = epoch(make, embed, images)
    watched = epoch(make, embed, images, every=10)
    closely = epoch(make, embed, images, every=1, geometry_every=1)
    budget = 5 if quick else 120
    every, close, without = turns(watched, closely, plain, budget=budget, least=3)
    per_step = [[t / STEPS for t in times] for times in (every, close, without)]
    name = f"ViT-{'B' if size == 'base' else 'tiny'}/32, B = 16, triplet"
    return [
        compared(
            f"{name}, monitored",
            "not monitored",
            per_step[0],
            per_step[2],
            way="times the cost",
            bar=1.05,
        ),
        compared(
            f"{name}, every number of every step",
            "not monitored",
            per_step[1],
            per_step[2],
            way="times the cost",
        ),
    ]
