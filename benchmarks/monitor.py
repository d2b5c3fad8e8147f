"""A monitor around the training of ViT-B/32: default settings, batches of 16, one thread.

The same loop with and without it, by turns; ten steps, which make one row of its trace. ``--quick``
takes a network a twentieth of the size, to which a monitor costs relatively more.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from benchmarks.measure import turns
from benchmarks.tables import Row, compared
from metriscope import losses
from metriscope.monitor import Monitor

STEPS = 10
SMALL = {
    "hidden_size": 192,
    "num_hidden_layers": 4,
    "num_attention_heads": 3,
    "intermediate_size": 768,
}


def steps(model: nn.Module, x: torch.Tensor) -> tuple[Callable[[], None], Callable[[], None]]:
    """Ten steps under a monitor, and without."""
    y = torch.arange(len(x)) % 8
    loss, optimizer = losses.create("triplet"), torch.optim.SGD(model.parameters(), lr=1e-4)
    monitor = Monitor(model, loss)

    def plain() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss(model(x).last_hidden_state[:, 0], y).backward()
            optimizer.step()

    def watched() -> None:
        monitor.attach()
        plain()
        monitor.detach()

    return watched, plain


def run(*, quick: bool) -> list[Row]:
    """The section."""
    from transformers import ViTConfig, ViTModel

    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = ViTConfig(image_size=224, patch_size=32, **(SMALL if quick else {}))
    model = ViTModel(config, add_pooling_layer=False)
    works = steps(model, torch.randn(16, 3, 224, 224))
    times = turns(*works, budget=5 if quick else 60)
    ours, other = ([t / STEPS for t in ts] for ts in times)
    name = "small ViT" if quick else "ViT-B/32"
    what = f"{name}, a step, monitored"
    bar = None if quick else 1.05
    return [compared(what, "not monitored", ours, other, way="times the cost", bar=bar)]
