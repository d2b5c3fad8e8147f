"""A guard on what a monitor costs. Bars are loose: docs/performance.md has what is measured."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import nn

from metriscope import losses
from metriscope.monitor import Monitor

STEPS, ATTEMPTS, BAR = 10, 5, 1.25


def test_a_step_of_a_small_network_is_not_slowed_by_much() -> None:
    """Its step is 1/100 of a real one's, so its bar is higher than 5 %."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 32, 3, 2), nn.ReLU(), nn.Conv2d(32, 64, 3, 2), nn.ReLU()]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 64))
    loss, optimizer = losses.create("triplet"), torch.optim.SGD(model.parameters(), lr=1e-3)
    x, y = torch.randn(32, 3, 64, 64), torch.arange(32) % 8
    monitor = Monitor(model, loss)

    def seconds() -> float:
        start = time.thread_time()
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()
        return time.thread_time() - start

    def watched() -> float:
        with monitor:
            return seconds()

    seconds(), watched()
    best = np.inf
    for _ in range(ATTEMPTS):
        best = min(best, float(np.median([watched() / seconds() for _ in range(3)])))
        if best < BAR:
            break
    assert best < BAR


class Counted(torch.utils._python_dispatch.TorchDispatchMode):
    """Counts looks at a value, each of which stalls a device."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.looks += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_nothing_is_looked_at_between_rows() -> None:
    """Not one value in nine steps; the tenth makes the row."""
    model, loss = nn.Linear(8, 4), losses.create("triplet")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.randn(16, 8), torch.arange(16) % 4
    looks = []
    with Monitor(model, loss) as monitor:
        for _ in range(20):
            with Counted() as counted:
                optimizer.zero_grad()
                loss(model(x), y).backward()
                optimizer.step()
            looks.append(counted.looks)
    assert monitor.steps == 20
    assert looks[0] > 0  # its geometry
    assert looks[10:19] == [0] * 9
