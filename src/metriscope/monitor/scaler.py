"""Gradient scalers."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from metriscope.monitor.rows import Number


class Scaler(Protocol):
    """A gradient scaler, of ``torch.amp`` or like it."""

    def is_enabled(self) -> bool:
        """Whether it scales."""

    def get_scale(self) -> float:
        """By how much."""


def scale_of(scaler: Scaler | None) -> Number | None:
    """Its scale, without waiting for the device where that can be; None without one."""
    if scaler is None:
        return None
    scale: Tensor | None = getattr(scaler, "_scale", None)  # get_scale() would wait
    return scaler.get_scale() if scale is None else scale
