"""From pictures on a disk to batches of arrays: decoded in threads, in order, a little ahead.

Imports torch: import it where a model is about to run.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from metriscope.data.decoding import BrokenPicture, picture
from metriscope.data.pictures import Pictures, Raw
from metriscope.types import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_THREADS = 16
_PIECE = 16  # pictures a thread takes at once, at most
_AHEAD = 2  # batches ready or being made while the model works on another

Prepare = Callable[["Image"], np.ndarray]


@dataclass(frozen=True, eq=False)
class Batch:
    """Prepared pictures of one shard.

    Attributes:
        shard: its number.
        rows: of the pictures, in order.
        x: (len(rows), …), or None if there are none.
        broken: why pictures among and before them cannot be used.
        last: nothing of this shard comes after it.
    """

    shard: int
    rows: list[int]
    x: Tensor | None
    broken: dict[int, str]
    last: bool


def prepared(raw: Raw, prepare: Prepare) -> np.ndarray | str:
    """A picture as the model takes it, or why there is none."""
    try:
        with picture(raw) as image:
            return prepare(image)
    except BrokenPicture as error:
        return str(error)
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        return f"cannot be prepared ({error})"  # such as one pixel high, which processors refuse


@dataclass(frozen=True, eq=False)
class Pipeline:
    """Batches of the wanted shards of some pictures, in order.

    What comes out does not depend on the number of threads: a batch has the next ``size`` good
    pictures of its shard, the last of a shard the rest.

    Attributes:
        pictures: where they come from.
        wanted: numbers of shards, ascending.
        shard: rows of one.
        prepare: see :class:`~metriscope.data.backbones.base.Extractor`.
        size: pictures in a batch.
        pin: put batches where a CUDA device can fetch them by itself.
        threads: that decode.
    """

    pictures: Pictures
    wanted: Sequence[int]
    shard: int
    prepare: Prepare
    size: int
    pin: bool = False
    threads: int = field(default_factory=lambda: min(MOST_THREADS, os.cpu_count() or 1))

    def __iter__(self) -> Generator[Batch, None, None]:
        """Each batch once. Closing the iterator stops all threads."""
        pool = ThreadPoolExecutor(self.threads, "metriscope-decode")
        feeder = ThreadPoolExecutor(1, "metriscope-read")  # reads, and collects what is decoded
        source = self._batches(pool)
        try:
            ready = deque(feeder.submit(next, source, None) for _ in range(_AHEAD))
            while (batch := ready.popleft().result()) is not None:
                ready.append(feeder.submit(next, source, None))
                yield batch
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # first: the feeder waits for it
            feeder.shutdown(cancel_futures=True)
            pool.shutdown()
            source.close()

    def _batches(self, pool: ThreadPoolExecutor) -> Generator[Batch, None, None]:
        rows: list[int] = []
        arrays: list[np.ndarray] = []
        broken: dict[int, str] = {}
        for row, result in self._decoded(pool):
            number = row // self.shard
            if isinstance(result, str):
                broken[row] = result
            else:
                rows.append(row)
                arrays.append(result)
            last = row + 1 == min((number + 1) * self.shard, len(self.pictures))
            if last or len(rows) == self.size:
                yield Batch(number, rows, self._stack(arrays) if rows else None, broken, last)
                rows, arrays, broken = [], [], {}

    def _decoded(self, pool: ThreadPoolExecutor) -> Iterator[tuple[int, np.ndarray | str]]:
        """(row, what :func:`prepared` gives), in order; others are decoded meanwhile."""
        piece = max(1, min(_PIECE, self.size // self.threads))
        most = self.threads + _AHEAD * self.size // piece
        waiting: deque[Future[list[tuple[int, np.ndarray | str]]]] = deque()
        raws = self._raws()
        while some := list(islice(raws, piece)):
            waiting.append(pool.submit(self._piece, some))
            if len(waiting) == most:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()

    def _piece(self, raws: Sequence[tuple[int, Raw]]) -> list[tuple[int, np.ndarray | str]]:
        return [(row, prepared(raw, self.prepare)) for row, raw in raws]

    def _raws(self) -> Iterator[tuple[int, Raw]]:
        for start, stop in self._spans():
            row = start - 1
            for row, raw in enumerate(self.pictures.shelf.read(start, stop), start):
                yield row, raw
            if row + 1 != stop:
                raise InputError(
                    f"{self.pictures.origin}: {len(self.pictures)} pictures, but reading ended "
                    f"after {row + 1}. Did the files change meanwhile? Run the same command again."
                )

    def _spans(self) -> list[tuple[int, int]]:
        """(first row, row after the last) of shards that follow each other: read in one go."""
        spans: list[tuple[int, int]] = []
        for number in self.wanted:
            start = number * self.shard
            stop = min(start + self.shard, len(self.pictures))
            if spans and spans[-1][1] == start:
                start = spans.pop()[0]
            spans.append((start, stop))
        return spans

    def _stack(self, arrays: Sequence[np.ndarray]) -> Tensor:
        batch = torch.from_numpy(np.stack(arrays))  # (b, …)
        return batch.pin_memory() if self.pin else batch
