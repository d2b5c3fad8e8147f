"""What ``metriscope.geometry`` does: the geometry of any source of vectors, in one pass."""

from __future__ import annotations

import os
from typing import Any, get_args

from metriscope import ops
from metriscope.data.arrays import table_of, table_of_embeddings
from metriscope.data.checks import ZeroVectors
from metriscope.data.devices import resolve_device
from metriscope.data.memory import free_memory
from metriscope.data.sources import Source
from metriscope.data.streaming import Part, Stream, of_table, open_streams
from metriscope.data.unit_rows import Block, ClassCodes, UnitRows
from metriscope.diagnostics.base import Moments, measure
from metriscope.types import Embeddings, InputError, Scores

_MATRICES = 8  # of d × d numbers that are alive at once: the scatter, and what factors it


def geometry(
    source: Source | Embeddings | tuple[Any, Any],
    *,
    labels: Source | None = None,
    split: Part = "all",
    zero_vectors: ZeroVectors = "error",
    device: str = "cpu",
    per_class: bool = False,
) -> Scores:
    """Every score that class moments decide, in one pass over rows that need not fit in memory.

    ``geometry("embeddings.parquet")``, ``geometry("x.npy", labels="y.npy")``,
    ``geometry((x, y))``. They are the scores of a comparison that need no row and no pair of rows
    (not retrieval, uniformity or silhouette), to rounding; but singular values below 1e-8 of the
    largest within classes are rounding, or 0.

    O(n d²) time, about that of xᵀx; O(C d + d²) memory for C classes. What is held besides is a
    block of rows, or more: see :func:`metriscope.data.streaming.open_streams`.

    Args:
        source: see :func:`metriscope.data.load`; also embeddings, or (x, y): (n, d) numbers, which
            may be mapped from a file, and n labels.
        labels: a file of labels for one file that has none.
        split: ``train`` or ``test`` rows of a source that is divided, or ``all``.
        zero_vectors: what to do with rows of norm below 1e-6: ``error``, ``keep`` or ``drop``.
        device: ``cpu``, ``cuda``, or ``auto``, which is CUDA where there is some.
        per_class: whether to add the mean and SD (ddof 0) of the cosine distance 1 − zᵢᵀzⱼ over
            all pairs i < j of one class, ``pairs.within.mean`` and ``.sd``, and of two,
            ``pairs.between.mean`` and ``.sd``: exactly, without a pair, each pair alike. An
            SD below 1e-8 of its mean is rounding. It takes 8 C d² bytes of memory, and O(C d²)
            time for each block of rows: with 1,000 classes three times as long.

    Returns:
        Score names to floats; None where a score is undefined on this input.

    Raises:
        InputError: whatever cannot be used, in one or two lines.
    """
    for what, value, known in (("split", split, Part), ("zero_vectors", zero_vectors, ZeroVectors)):
        if value not in get_args(known):
            raise InputError(
                f"{what} is {value!r}; it must be one of {', '.join(get_args(known))}."
            )
    reader = UnitRows(zero_vectors, resolve_device(device), ClassCodes())
    sums = Sums(reader, per_class=per_class)
    streams = _streams(source, labels, split)
    for stream in streams:
        for block in reader.read(stream):
            sums.add(block, stream.origin)
    if sums.sums is None:
        raise InputError(f"{streams[0].origin}: every row is a zero vector, so nothing is left.")
    return measure(sums.moments()) | _over_pairs(sums.sums)


def _over_pairs(sums: ops.MomentSums) -> Scores:
    """The scores that ``per_class`` adds; none without it."""
    if sums.pairs is None:
        return {}
    moments = sums.result()
    group, scores = sums.pairs.of(moments.codes), Scores()
    for where, of_pairs in (("within", ops.pairs_within), ("between", ops.pairs_between)):
        found = of_pairs(moments, group)
        scores[f"pairs.{where}.mean"] = None if found is None else float(found.mean)
        scores[f"pairs.{where}.sd"] = None if found is None else float(found.sd)
    return scores


def _streams(
    source: Source | Embeddings | tuple[Any, Any], labels: Source | None, split: Part
) -> list[Stream]:
    if isinstance(source, str | os.PathLike):
        return open_streams(source, labels, split)
    if labels is not None or split != "all":
        raise InputError("labels= and split= go with a file or a folder, not with arrays.")
    if isinstance(source, Embeddings):
        return [of_table(table_of_embeddings(source))]
    if not isinstance(source, tuple | list) or len(source) != 2:
        raise InputError(
            f"a source is a path, embeddings or (x, y), not {type(source).__name__}; "
            "give vectors and labels as geometry((x, y))."
        )
    return [of_table(table_of(*source))]


class Sums:
    """Adds up the moments of blocks, and stops where memory would not do."""

    def __init__(self, reader: UnitRows, *, per_class: bool = False) -> None:
        self.reader, self.per_class = reader, per_class
        self.sums: ops.MomentSums | None = None
        self._allowed = 0  # classes there was memory for

    def add(self, block: Block, origin: str) -> None:
        """The rows of a block."""
        dim, device = block.z.shape[1], self.reader.device
        if self.sums is None:
            need, free = 8 * _MATRICES * dim**2, free_memory(device)
            if need > free:
                raise InputError(
                    f"{origin}: vectors of {dim} dimensions need {need:,} bytes of memory, and "
                    f"{free:,} are free. Reduce them first, by a random projection or a PCA."
                )
            self.sums = ops.MomentSums(dim, device, per_class=self.per_class)
        if self.per_class:
            self._room(dim, origin)
        self.sums.add(block.z, block.y)

    def moments(self) -> Moments:
        """Of all rows so far; there must be some."""
        assert self.sums is not None
        return Moments(self.sums.result(), self.sums.scatter)

    def _room(self, dim: int, origin: str) -> None:
        """Memory for the classes that are new."""
        classes = len(self.reader.codes)
        need = 8 * (classes - self._allowed) * dim**2
        if need and need > (free := free_memory(self.reader.device)):
            raise InputError(
                f"{origin}: per_class holds {dim} × {dim} numbers for each of {classes:,} classes; "
                f"{need:,} more bytes of memory are needed, and {free:,} are free. Leave it out, "
                "or reduce the vectors first, by a random projection or a PCA."
            )
        self._allowed = classes
