"""Readings of single steps, and how they become a row of the trace."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metriscope.types import Scores, Trace

Number = Tensor | float


class Reading(NamedTuple):
    """A part of a whole at one step. Names with a leading ``_`` are no columns."""

    name: str
    part: Number
    whole: Number


Glance = tuple[int, list[Reading]]  # a step, and what was seen of a loss when it was computed


class Numbers(NamedTuple):
    """A reading, on the host.

    Attributes:
        attempt: 0 of an update; else which one it is of the backward passes without an update.
    """

    step: int
    name: str
    part: float
    whole: float
    attempt: int = 0

    @property
    def finite(self) -> bool:
        """Whether all that was counted, or the number itself, is finite."""
        if self.name.startswith("_finite."):
            return self.part >= self.whole
        return math.isfinite(self.part)


class Ledger:
    """Readings since the last row: on the device, until they are all wanted at once."""

    def __init__(self) -> None:
        self._device: list[tuple[int, int, Reading]] = []
        self._host: list[Numbers] = []

    def add(self, step: int, readings: Iterable[Reading], attempt: int = 0) -> None:
        """Keep these; nothing is looked at."""
        self._device += [(step, attempt, reading) for reading in readings]

    def read(self) -> list[Numbers]:
        """All of them. One transfer for each type of number and device."""
        numbers = to_host([n for _, _, reading in self._device for n in reading[1:]])
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        self._host += [
            Numbers(step, reading.name, part, whole, attempt)
            for (step, attempt, reading), (part, whole) in zip(self._device, pairs, strict=True)
        ]
        self._device.clear()
        return self._host

    def clear(self) -> None:
        """Start the next row."""
        self._device.clear()
        self._host = []

    def load(self, numbers: Iterable[Iterable[Any]]) -> None:
        """Go on from what :meth:`read` gave."""
        self.clear()
        self._host = [Numbers(*number) for number in numbers]

    def __len__(self) -> int:
        return len(self._device) + len(self._host)


def to_host(numbers: list[Number]) -> list[float]:
    """() tensors and floats as floats; tensors of one type and device are moved together."""
    groups: dict[tuple[torch.device, torch.dtype], list[int]] = {}
    found = [0.0] * len(numbers)
    for i, number in enumerate(numbers):
        if isinstance(number, Tensor):
            groups.setdefault((number.device, number.dtype), []).append(i)
        else:
            found[i] = float(number)
    for places in groups.values():
        stacked = torch.stack([torch.as_tensor(numbers[i]).reshape(()) for i in places])
        for i, value in zip(places, stacked.tolist(), strict=True):
            found[i] = float(value)
    return found


def summarise(numbers: Iterable[Numbers]) -> Scores:
    """Σ part / Σ whole by name, None of nothing; and ``.sd`` over steps of gradient norms."""
    columns: dict[str, list[tuple[float, float]]] = {}
    for number in numbers:
        if not number.name.startswith("_"):
            columns.setdefault(number.name, []).append((number.part, number.whole))
    row: Scores = {}
    for name, pairs in columns.items():
        known = [(part, whole) for part, whole in pairs if whole > 0]
        row[name] = sum(p for p, _ in known) / sum(w for _, w in known) if known else None
        if name.startswith("grad_norm."):
            row[f"{name}.sd"] = _sd([p / w for p, w in known])
    return row


def _sd(values: list[float]) -> float | None:
    if not values:
        return None
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) * (v - mean) for v in values) / len(values))


def append(trace: Trace, row: Scores) -> None:
    """Add a row; columns that it lacks, and earlier rows of new columns, are None."""
    rows = len(next(iter(trace.values()), []))
    for name in [*trace, *(name for name in row if name not in trace)]:
        trace.setdefault(name, [None] * rows).append(row.get(name))
