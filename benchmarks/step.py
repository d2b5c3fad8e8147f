"""A training step of the paper's head: 768 features, 512-128, B = 512, 10 classes, one thread.

With every measurement of greediness, as training does it, against the same step without any, and
against its matrix products alone: the head's, forward and backward, and the loss's, at the
precision the loss has them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.measure import turns
from benchmarks.tables import Row, compared
from metriscope import losses, train
from metriscope.types import HeadSpec, RunSpec

B, IN, HIDDEN, OUT, CLASSES, STEPS = 512, 768, 512, 128, 10, 8


def products(name: str) -> Callable[[], None]:
    """The matrix products of a step, nothing else."""
    x, h, z = torch.randn(B, IN), torch.randn(B, HIDDEN), torch.randn(B, OUT)
    first, second = torch.randn(HIDDEN, IN), torch.randn(OUT, HIDDEN)
    proxies = torch.randn(CLASSES, OUT)
    # Distances are float64 forward; what runs back through them is float32.
    wide = z.double() if name in ("contrastive", "triplet") else z
    square = torch.randn(B, B)

    def work() -> None:
        for _ in range(STEPS):
            x @ first.T, h @ second.T  # forward
            z.T @ h, z @ second, h.T @ x  # backward: weights, hidden, weights
            if name in ("arcface", "ccl"):
                logits = z @ proxies.T
                logits @ proxies, logits.T @ z
            elif name != "npair":  # whose products are of 20 rows
                wide @ wide.T
                if name != "triplet":  # whose gradient touches three rows an anchor
                    square @ z

    return work


def epochs(name: str, x: Tensor, y: Tensor) -> tuple[Callable[[], None], Callable[[], None]]:
    """An epoch of eight steps as training does it, and the same loop with nothing measured."""
    spec = RunSpec("bench", "", "", name, {}, seed=0)
    batches = list(torch.arange(len(x)).split(B))

    def parts() -> tuple[train.Head, losses.base.Loss, torch.optim.Optimizer]:
        torch.manual_seed(0)
        head = train.Head(IN, HeadSpec())
        loss = losses.create(name, num_classes=CLASSES, dim=OUT)
        return head, loss, train.make_optimizer(spec, head, loss)

    head, loss, optimizer = parts()
    plain_head, plain_loss, plain_optimizer = parts()

    def plain() -> None:
        for batch in batches:
            plain_optimizer.zero_grad()
            plain_loss(plain_head(x[batch]), y[batch]).backward()
            plain_optimizer.step()

    return lambda: train._epoch(1, head, loss, optimizer, x, y, batches), plain


def run(*, quick: bool) -> list[Row]:
    """The section."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(B * STEPS, IN, generator=generator)
    y = torch.randint(CLASSES, (len(x),), generator=generator)
    rows = []
    for name in losses.PAPER:
        measured, plain = epochs(name, x, y)
        ours, without, floor = turns(measured, plain, products(name), budget=1 if quick else 10)
        per_step = [[t / STEPS for t in times] for times in (ours, without, floor)]
        what = f"{name}, measured"
        rows += [
            compared(what, "not measured", *per_step[:2], way="times the cost", bar=1.15),
            compared(what, "its products", *per_step[::2], way="times the cost", bar=1.7),
        ]
    return rows
