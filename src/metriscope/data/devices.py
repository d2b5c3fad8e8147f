"""Where to compute."""

from __future__ import annotations

from metriscope.registry import unknown
from metriscope.types import InputError


def resolve_device(name: str) -> str:
    """``cpu``, ``cuda`` or ``cuda:N``; ``auto`` is CUDA where there is some.

    Raises:
        InputError: no such device, or not here.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"device {name!r}: this machine or this torch has no CUDA; use cpu.")
    if name != "cpu" and not name.startswith("cuda"):
        raise InputError(unknown("device", name, ["auto", "cpu", "cuda"]))
    return name
