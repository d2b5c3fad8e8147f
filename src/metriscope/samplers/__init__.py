"""Samplers: one file, one way of drawing the batches of an epoch.

A sampler is a function ``(labels, batch_size, generator) -> list of index tensors`` that uses every
row once an epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from metriscope.registry import Registry

if TYPE_CHECKING:
    from torch import Generator, Tensor

Sampler = Callable[["Tensor", int, "Generator"], "list[Tensor]"]

SAMPLERS: Registry[Sampler] = Registry("sampler", "metriscope.samplers")
register = SAMPLERS.register
