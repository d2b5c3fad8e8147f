"""What a monitor has measured: the trace, the steps since its last row, and facts beside it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from metriscope.monitor.geometry import batch_scores
from metriscope.monitor.reading import Batch
from metriscope.monitor.rows import (
    Glance,
    Ledger,
    Number,
    Numbers,
    Reading,
    append,
    summarise,
    to_host,
)
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
_EMBEDDINGS, _GRADIENT = "_finite.embeddings", "grad_norm."
_LOOKED_AT = (_EMBEDDINGS, "loss", _GRADIENT)  # how names start


class Record:
    """The measurements, which can be saved and gone on from.

    Attributes:
        steps: finished. calls: of the criterion that had a backward pass.
        trace: one item a row.
        dropped: attempts since the last row: gradients that were cleared without an update.
        nonfinite: the first step with a NaN or infinite number, where it was seen first, and
            whether that step was ``skipped``; a gradient that was skipped, a scaler's daily work,
            gives way to any other.
        skipped: attempts that met such a number, and so led to no update. ``streak``: those since
            the last update.
    """

    def __init__(self, geometry_every: int) -> None:
        self.steps = self.calls = 0
        self.trace: Trace = {name: [] for name in COLUMNS}
        self.nonfinite: dict[str, Any] | None = None
        self.dropped = self.skipped = self.streak = 0
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

    def drop_step(self, readings: Iterable[Reading]) -> None:
        """An attempt that led to no update: no part of a row, but its numbers are looked at."""
        self.dropped += 1
        kept = [reading for reading in readings if reading.name.startswith(_LOOKED_AT)]
        self._ledger.add(self.steps + 1, kept, self.dropped)

    def look(self, glances: Iterable[Glance]) -> None:
        """Look at losses that had no backward pass."""
        alone = Ledger()
        for i, (step, readings) in enumerate(glances, 1):
            alone.add(step, readings, i)
        self._look(alone.read())

    def look_at_dropped(self) -> None:
        """Look at what :meth:`drop_step` kept since the last row, of which there is no other."""
        self._look(self._ledger.read())
        self._ledger.clear()
        self.dropped = 0

    @property
    def waiting(self) -> bool:
        """Whether there are steps without a row."""
        rows = self.trace["step"]
        return self.steps > (rows[-1] or 0 if rows else 0)

    def end_row(self, lr: Number | None, *, scaled: bool) -> Scores:
        """A row of the steps since the last one. Waits for the device.

        Args:
            lr: learning rate. scaled: whether a gradient scaler looks after gradients.
        """
        numbers, now = self._look(self._ledger.read(), scaled=scaled), time.perf_counter()
        self._ledger.clear()
        self.dropped = 0
        row: Scores = {"step": self.steps, **summarise(numbers), "seconds": now - self._clock}
        row["lr"] = None if lr is None else to_host([lr])[0]
        row |= {f"batch.{name}": value for name, value in (self._geometry or {}).items()}
        self._clock, self._geometry = now, None
        for name, (total, count) in self._sums.items():
            mine = [number.part for number in numbers if number.name == name]
            self._sums[name] = (total + sum(mine), count + len(mine))
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
            "skipped": self.skipped,
            "skipped_since_update": self.streak,
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
            "skipped": [self.dropped, self.skipped, self.streak],
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
        lacking = [name for name in self.state_dict() if name not in state]
        if lacking:
            raise InputError(f"this state of a monitor is not whole: no {', '.join(lacking)}.")
        self.steps, self.calls, self._dim = state["steps"], state["calls"], state["dim"]
        self.dropped, self.skipped, self.streak = state["skipped"]
        self.trace = {name: list(column) for name, column in state["trace"].items()}
        self.nonfinite, self._geometry = state["nonfinite"], state["geometry"]
        self._ledger.load(state["numbers"])
        self._labels, self._classes = [], set(state["classes"])
        self._sums = {name: (total, count) for name, (total, count) in state["sums"].items()}
        self._clock = time.perf_counter() - state["seconds"]

    def _look(self, numbers: list[Numbers], *, scaled: bool = False) -> list[Numbers]:
        """Note what is not finite; give back the numbers of updates.

        Some optimisers skip a step by themselves when a scaler tells them to (fused ones): then a
        gradient that is not finite is that of a skipped step.
        """
        attempts: dict[tuple[int, int], list[Numbers]] = {}
        for number in numbers:
            attempts.setdefault((number.step, number.attempt), []).append(number)
        updates = []
        for (step, attempt), group in attempts.items():
            place = first_not_finite(group)
            fused = scaled and any(n.name.startswith(_GRADIENT) and not n.finite for n in group)
            skipped = place is not None and (attempt > 0 or fused)
            if skipped:
                self.skipped, self.streak = self.skipped + 1, self.streak + 1
            elif not attempt:
                self.streak = 0
            if not attempt and not skipped:
                updates += group
            found = {"step": step, "first": place, "skipped": skipped}
            if place is not None and (
                self.nonfinite is None or _is_daily(self.nonfinite) > _is_daily(found)
            ):
                self.nonfinite = found
        return updates

    def _read_labels(self) -> None:
        if self._labels:
            self._classes.update(torch.cat(self._labels).unique().tolist())
            self._labels = []


def first_not_finite(numbers: Iterable[Numbers]) -> str | None:
    """Where a step's first number that is not finite was seen, in the order of computation."""
    bad = [number.name for number in numbers if not number.finite]
    for name in (_EMBEDDINGS, "loss"):
        if name in bad:
            return name.removeprefix("_finite.")
    groups = [name for name in bad if name.startswith(_GRADIENT)]
    return f"gradient of {min(groups).removeprefix(_GRADIENT)}" if groups else None


def _is_daily(found: Mapping[str, Any]) -> bool:
    """Whether a gradient scaler may have made it, and has left it out."""
    return bool(found["skipped"]) and str(found["first"]).startswith("gradient")
