"""What a monitor has measured: the trace, the steps since its last row, and facts beside it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from metriscope.monitor.geometry import batch_scores
from metriscope.monitor.reading import Batch
from metriscope.monitor.rows import Ledger, Number, Numbers, Reading, append, summarise, to_host
from metriscope.types import InputError, Scores, Trace

COLUMNS = (
    "step",
    "loss",
    "active.terms",
    "active.samples",
    "active.effective",
    "grad_norm.model",
    "grad_norm.model.sd",
    "grad_norm.loss",
    "grad_norm.loss.sd",
    "grad_share.top",
    "excluded",
    "lr",
    "seconds",
)
_VERSION = 1


class Record:
    """The measurements, which can be saved and gone on from.

    Attributes:
        steps: finished. calls: of the criterion that had a backward pass.
        trace: one item a row.
        nonfinite: the first step with a NaN or infinite number, and where it was seen first.
    """

    def __init__(self, geometry_every: int) -> None:
        self.steps = self.calls = 0
        self.trace: Trace = {name: [] for name in COLUMNS}
        self.nonfinite: dict[str, Any] | None = None
        self._geometry_every = geometry_every
        self._geometry: Scores | None = None  # of the row to come
        self._ledger = Ledger()
        self._labels: list[Tensor] = []
        self._classes: set[int] = set()
        self._sums = {"_rows": (0.0, 0.0), "_classes": (0.0, 0.0)}
        self._dim: int | None = None
        self._clock = time.perf_counter()

    def start_clock(self) -> None:
        """Time before this is no row's."""
        self._clock = time.perf_counter()

    def see(self, batch: Batch) -> None:
        """A batch of the step that is going on; its geometry, if it is time."""
        self.calls += 1
        z, step = batch.embeddings, self.steps + 1
        if batch.labels is not None:
            self._labels.append(batch.labels)
        if z is not None and z.numel():
            self._dim = z.shape[1]
            if self._geometry is None and (step == 1 or step % self._geometry_every == 0):
                self._geometry = batch_scores(z, batch.labels)

    def end_step(self, readings: Iterable[Reading]) -> None:
        """A step, with all that was read of it."""
        self.steps += 1
        self._ledger.add(self.steps, readings)

    @property
    def waiting(self) -> bool:
        """Whether there are steps without a row."""
        return len(self._ledger) > 0

    def end_row(self, lr: Number | None, *, scaled: bool) -> Scores:
        """A row of the steps since the last one. Waits for the device.

        Args:
            lr: learning rate. scaled: whether a gradient scaler looks after gradients.
        """
        numbers, now = self._ledger.read(), time.perf_counter()
        self._ledger.clear()
        row: Scores = {"step": self.steps, **summarise(numbers), "seconds": now - self._clock}
        row["lr"] = None if lr is None else to_host([lr])[0]
        row |= {f"batch.{name}": value for name, value in (self._geometry or {}).items()}
        self._clock, self._geometry = now, None
        for name, (total, count) in self._sums.items():
            mine = [number.part for number in numbers if number.name == name]
            self._sums[name] = (total + sum(mine), count + len(mine))
        if self.nonfinite is None:
            self.nonfinite = first_not_finite(numbers, scaled)
        self._read_labels()
        append(self.trace, row)
        return self.last

    @property
    def last(self) -> Scores:
        """The last row."""
        return {name: column[-1] for name, column in self.trace.items() if column}

    @property
    def geometry(self) -> Scores:
        """The scores of the batch that was measured last."""
        column = self.trace.get("batch.spread.total", [])
        known = [i for i, value in enumerate(column) if value is not None]
        return {
            name.removeprefix("batch."): values[known[-1]]
            for name, values in self.trace.items()
            if known and name.startswith("batch.")
        }

    def window(self, rows: int) -> Trace:
        """The first row and the last ones."""
        start = max(len(self.trace["step"]) - rows, 1)
        return {name: column[:1] + column[start:] for name, column in self.trace.items()}

    def facts(self) -> dict[str, Any]:
        """What is known beside the trace, as of the last row."""
        rows, classes = (total / n if n else None for total, n in self._sums.values())
        return {
            "steps": self.steps,
            "calls": self.calls,
            "batch_size": rows,
            "classes_per_batch": classes,
            "classes": len(self._classes) or None,
            "dim": self._dim,
            "nonfinite": self.nonfinite,
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything, in plain types."""
        self._read_labels()
        return {
            "version": _VERSION,
            "steps": self.steps,
            "calls": self.calls,
            "trace": {name: list(column) for name, column in self.trace.items()},
            "nonfinite": self.nonfinite,
            "geometry": self._geometry,
            "numbers": [list(number) for number in self._ledger.read()],
            "classes": sorted(self._classes),
            "sums": {name: list(pair) for name, pair in self._sums.items()},
            "dim": self._dim,
            "seconds": time.perf_counter() - self._clock,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there.

        Raises:
            InputError: it is something else.
        """
        if not isinstance(state, Mapping) or state.get("version") != _VERSION:
            raise InputError("this is not the state of a monitor, or of another version of it.")
        self.steps, self.calls, self._dim = state["steps"], state["calls"], state["dim"]
        self.trace = {name: list(column) for name, column in state["trace"].items()}
        self.nonfinite, self._geometry = state["nonfinite"], state["geometry"]
        self._ledger.load(state["numbers"])
        self._labels, self._classes = [], set(state["classes"])
        self._sums = {name: (total, count) for name, (total, count) in state["sums"].items()}
        self._clock = time.perf_counter() - state["seconds"]

    def _read_labels(self) -> None:
        if self._labels:
            self._classes.update(torch.cat(self._labels).unique().tolist())
            self._labels = []


def first_not_finite(numbers: Iterable[Numbers], scaled: bool) -> dict[str, Any] | None:
    """The first step with a number that is not finite, and where it was first seen there.

    Gradients are left out where a scaler looks after them.
    """
    places = []
    for number in numbers:
        bad = not math.isfinite(number.part)
        if number.name == "_finite.embeddings" and number.part < number.whole:
            places.append((number.step, 0, "embeddings"))
        elif number.name == "loss" and bad:
            places.append((number.step, 1, "loss"))
        elif number.name.startswith("grad_norm.") and bad and not scaled:
            places.append((number.step, 2, f"gradient of {number.name.removeprefix('grad_norm.')}"))
    first = min(places, default=None)
    return None if first is None else {"step": first[0], "first": first[2]}
