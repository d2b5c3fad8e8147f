"""Where a monitor's rows go besides memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from metriscope.types import InputError


class Writer(Protocol):
    """Anything that keeps numbers by step: TensorBoard, MLflow, Weights & Biases, a list."""

    def log(self, step: int, scores: Mapping[str, float]) -> None:
        """Keep these numbers; undefined ones are left out of ``scores``."""

    def close(self) -> None:
        """Write what is held back. Called when the monitor is left."""


def checked(writers: Iterable[Writer]) -> tuple[Writer, ...]:
    """These writers.

    Raises:
        InputError: one cannot be written to.
    """
    found = tuple(writers)
    for writer in found:
        if not all(callable(getattr(writer, name, None)) for name in ("log", "close")):
            raise InputError(
                f"writers: {type(writer).__name__} is none; it needs log(step, scores) and close()."
            )
    return found
