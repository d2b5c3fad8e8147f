"""Rows of streams as unit vectors with class codes, every one of them looked at.

Imports torch: import it where something is about to be computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from metriscope import ops
from metriscope.data.checks import ZeroVectors, refuse_rows
from metriscope.data.split import class_texts
from metriscope.data.streaming import Stream
from metriscope.data.table import INTEGER, Table
from metriscope.text import name_rows
from metriscope.types import InputError


class ClassCodes:
    """Codes of classes in the order they come in; labels are compared as text."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._given: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._codes)

    def of(self, table: Table, names: tuple[str, ...] | None) -> np.ndarray:
        """(n,) codes of the labels of a table, which index ``names`` if there are any."""
        self._given |= dict.fromkeys(names or ())
        texts = class_texts(table, names, table.rows)
        found = [self._codes.setdefault(text, len(self._codes)) for text in texts]
        codes: np.ndarray = np.asarray(found, np.int64)[table.labels.codes]
        return codes

    def sorted(self) -> tuple[tuple[str, ...], np.ndarray]:
        """Class names in their final order, and the final code of each code.

        The order is that of :func:`~metriscope.data.split.shared_coding`.
        """
        seen = list(self._codes)
        key = int if all(INTEGER.fullmatch(text) for text in seen) else str
        names = tuple(dict.fromkeys([*self._given, *sorted(seen, key=key)]))
        final = {name: code for code, name in enumerate(names)}
        return names, np.asarray([final[text] for text in seen], np.int64)


class Block(NamedTuple):
    """Rows that can be used. ``z`` is overwritten by the next block.

    Attributes:
        z: (n, d) float64 unit vectors.
        y: (n,) class codes.
        table: the same rows, as stored.
    """

    z: Float[Tensor, "n d"]
    y: Int[Tensor, " n"]
    table: Table


class UnitRows:
    """Reads streams of one width.

    Args:
        zero_vectors: what to do with rows of norm below 1e-6: ``error``, ``keep`` or ``drop``.
        device: where to compute.
        codes: of the classes of everything that is read.

    Attributes:
        dim: d; 0 before the first row.
    """

    def __init__(self, zero_vectors: ZeroVectors, device: str, codes: ClassCodes) -> None:
        self.zero_vectors, self.device, self.codes = zero_vectors, device, codes
        self.dim = 0
        self._first = ""  # stream that was read
        self._buffer = np.empty((0, 0))
        self._notes: dict[str, None] = {}

    @property
    def notes(self) -> list[str]:
        """What a person should know of the rows that were read, a sentence each."""
        return list(self._notes)

    def read(self, stream: Stream) -> Iterator[Block]:
        """All rows that can be used; at the end an InputError if some cannot."""
        bad, zero = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for table in stream.blocks():
            y = torch.from_numpy(self.codes.of(table, stream.class_names)).to(self.device)
            self._same_width(table.x.shape[1], stream.origin)
            z, norms = ops.unit_rows(self._float64(table.x).to(self.device))
            if not bool(norms.sum().isfinite()):
                bad.append(table.rows[~norms.isfinite().cpu().numpy()])
            short = norms < ops.EPS
            if bool(short.any()):
                zero.append(table.rows[short.cpu().numpy()])
                if self.zero_vectors == "drop":
                    z, y = z[~short], y[~short]
                    table = table.take((~short).nonzero()[:, 0].cpu().numpy()) if len(y) else table
            if len(y) and len(bad) == 1:
                yield Block(z, y, table)
        left = np.concatenate(zero)
        refused = left if self.zero_vectors == "error" else ()
        refuse_rows(stream.origin, np.concatenate(bad), refused)
        if len(left):
            what = "left out" if self.zero_vectors == "drop" else "kept, without a direction"
            note = f"Zero vectors {what}: {len(left):,}, in {stream.origin}, {name_rows(left)}."
            self._notes[note] = None

    def _same_width(self, dim: int, origin: str) -> None:
        if not self.dim:
            self.dim, self._first = dim, origin
        if self.dim != dim:
            raise InputError(
                f"{self._first} has {self.dim} dimensions and {origin} {dim}; both must come "
                "from one model."
            )

    def _float64(self, x: np.ndarray) -> Tensor:
        """A copy, in memory that is used again: fresh pages would cost as much as the sums."""
        if self._buffer.shape[1] != x.shape[1] or len(self._buffer) < len(x):
            self._buffer = np.empty(x.shape)
        rows = self._buffer[: len(x)]
        rows[...] = x
        return torch.from_numpy(rows)
