"""What is looked at before features are used, and what a person should know of them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from metriscope.data.table import Table, show_some
from metriscope.text import name_rows
from metriscope.types import Embeddings, InputError, rows_where_not

ZeroVectors = Literal["error", "keep", "drop"]
Rows = np.ndarray | tuple[int, ...]
BLOCK = 1 << 10  # rows looked at or hashed at once


def rows_by_split(split: np.ndarray | None, origin: str) -> dict[str, np.ndarray]:
    """Rows of ``train`` and ``test`` by a table's ``split`` values; none if it is not divided.

    Raises:
        InputError: values of which none is ``train`` or ``test``.
    """
    if split is None or np.all(split == "all"):
        return {}
    rows = {part: np.flatnonzero(split == part) for part in ("train", "test")}
    found = {part: chosen for part, chosen in rows.items() if len(chosen)}
    if not found:
        raise InputError(
            f"{origin}: split has the values {show_some(np.unique(split))}; they must be 'train' "
            "and 'test'. Leave the split out to have one made here."
        )
    return found


def by_column(table: Table, notes: list[str]) -> dict[str, Table]:
    """Parts by the table's ``split`` values, if it has any that say so."""
    rows = rows_by_split(table.split, table.origin)
    if not rows or table.split is None:
        return {"all": table}
    left = len(table) - sum(map(len, rows.values()))
    if left:
        others = np.setdiff1d(table.split, ["train", "test"])
        notes.append(f"Rows left out for their split ({show_some(others)}): {left}.")
    return {part: table.take(chosen) for part, chosen in rows.items()}


def checked(table: Table, zero_vectors: ZeroVectors, notes: list[str]) -> Table:
    """Finite rows only, and what was asked for with rows that have no direction."""
    from metriscope.ops import EPS

    if table.x.dtype.kind == "f":
        refuse_rows(table.origin, rows_where_not(table.x, np.isfinite, BLOCK))
    with np.errstate(over="ignore"):  # an infinite norm is far from 0
        norms = [
            np.linalg.norm(np.asarray(table.x[start : start + BLOCK], np.float64), axis=1)
            for start in range(0, len(table), BLOCK)
        ]
    zero = np.flatnonzero(np.concatenate(norms) < EPS)
    if not len(zero):
        return table
    if zero_vectors == "error":
        refuse_rows(table.origin, zero=zero)
    rows = name_rows(zero)
    if table.ids.dtype.kind == "U":
        rows = show_some(table.ids[zero])
    what = "left out" if zero_vectors == "drop" else "kept, without a direction"
    notes.append(f"Zero vectors {what}: {len(zero)}, in {table.origin}, {rows}.")
    if zero_vectors == "keep":
        return table
    if len(zero) == len(table):
        raise InputError(f"{table.origin}: every row is a zero vector, so nothing is left.")
    return table.take(np.setdiff1d(np.arange(len(table)), zero))


def refuse_rows(origin: str, bad: Rows = (), zero: Rows = ()) -> None:
    """Raise for rows that are not finite, or that have no direction."""
    from metriscope.ops import EPS

    if len(bad):
        raise InputError(
            f"{origin}: NaN or infinite values in {name_rows(np.asarray(bad))}; "
            "remove these rows or compute them again."
        )
    if len(zero):
        raise InputError(
            f"{origin}: zero vectors (norm below {EPS:g}) in {name_rows(np.asarray(zero))}; they "
            "have no direction. Pass --zero-vectors drop or keep (in Python zero_vectors=)."
        )


def float_type(x: np.ndarray) -> np.dtype[Any]:
    """The floating type, in native byte order, that holds ``x`` and that torch knows."""
    size = x.dtype.itemsize
    if x.dtype.kind == "f":
        return np.dtype(np.float32 if size <= 4 else np.float64)
    small = size <= 2 or (int(x.max()) <= 2**24 and int(x.min()) >= -(2**24))
    return np.dtype(np.float32 if small else np.float64)


def remarks(train: Embeddings, test: Embeddings, how: str, test_fraction: float) -> list[str]:
    """What a person should know, a sentence each."""
    notes = []
    for part in (train, test):
        if part.singletons:
            classes = [part.class_names[c] for c in np.flatnonzero(part.counts == 1)]
            notes.append(
                f"Classes with a single row in {part.split}, which has no positive there: "
                f"{part.singletons} ({show_some(classes)})."
            )
    unseen = np.flatnonzero((train.counts == 0) & (test.counts > 0))
    by_class = how.startswith("class-disjoint")
    if len(unseen) and not by_class:
        names = show_some(train.class_names[c] for c in unseen)
        notes.append(f"Classes of test that are not in train: {len(unseen)} ({names}).")
    absent = int(((train.counts == 0) & (test.counts == 0)).sum())
    if absent:
        notes.append(f"Class names without a row: {absent} of {train.num_classes}.")
    share = len(test) / (len(train) + len(test))
    if how != "given" and not by_class and abs(share - test_fraction) > 0.02:
        notes.append(
            f"The test part has {share:.0%} of the rows, not {test_fraction:.0%}: small classes "
            "give at least two rows to each part where they can."
        )
    return notes
