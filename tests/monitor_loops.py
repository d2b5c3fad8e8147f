"""A small model and plain loops, shared by the tests of the monitor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from metriscope.monitor import Monitor

CLASSES, WIDE, DIM = 5, 12, 6


def make_model(seed: int = 0, dtype: torch.dtype = torch.float64) -> nn.Module:
    """Two layers; the same weights for a seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(WIDE, 16), nn.Tanh(), nn.Linear(16, DIM)).to(dtype)


def batches(
    steps: int, b: int = 24, seed: int = 0, dtype: torch.dtype = torch.float64
) -> Iterator[tuple[Tensor, Tensor]]:
    """Noisy clumps."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(CLASSES, WIDE, generator=generator, dtype=dtype)
    for _ in range(steps):
        y = torch.randint(CLASSES, (b,), generator=generator)
        yield centres[y] + torch.randn(b, WIDE, generator=generator, dtype=dtype), y


def parameters(*modules: Any) -> list[nn.Parameter]:
    """Of those that are modules."""
    return [p for m in modules if isinstance(m, nn.Module) for p in m.parameters()]


def train(
    loss: Any,
    steps: int = 12,
    *,
    call: Callable[[Tensor, Tensor], Tensor] | None = None,
    seed: int = 0,
    lr: float = 0.1,
    b: int = 24,
    **options: Any,
) -> Monitor:
    """A plain loop; ``call`` in place of ``loss``, if it is another."""
    model = make_model(seed)
    optimizer = torch.optim.SGD(parameters(model, loss), lr=lr)
    with Monitor(model, loss, **options) as monitor:
        ask = monitor if call is None and not isinstance(loss, nn.Module) else call or loss
        for x, y in batches(steps, b, seed):
            value = ask(model(x), y)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    return monitor


def close(ours: list[Any], theirs: list[Any], rel: float = 1e-9) -> bool:
    """Equal columns, None and all."""
    assert len(ours) == len(theirs)
    return all(
        a == b or (None not in (a, b) and abs(a - b) <= rel * max(abs(a), abs(b), 1e-12))
        for a, b in zip(ours, theirs, strict=True)
    )
