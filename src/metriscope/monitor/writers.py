"""Where a monitor's rows go besides memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Writer(Protocol):
    """Anything that keeps numbers by step: TensorBoard, MLflow, Weights & Biases, a list."""

    def log(self, step: int, scores: Mapping[str, float]) -> None:
        """Keep these numbers; undefined ones are left out of ``scores``."""

    def close(self) -> None:
        """Write what is held back. Called when the monitor is left."""
