"""Arrays of every kind as tables: NumPy's, torch's on any device, lists, data frames' columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from metriscope.data.table import Labels, Table, as_text
from metriscope.types import Embeddings, InputError


def table_of(x: Any, y: Any, ids: Any = None, origin: str = "memory") -> Table:
    """Vectors, labels and, if not None, ids as a table; nothing is copied that need not be.

    Args:
        x: (n, d) numbers. y: n labels. ids: n integers or texts.
        origin: what to call it in messages.

    Raises:
        InputError: what is no array, and whatever a table refuses.
    """
    return Table(
        as_array(x, "x", origin),
        labels_of(y, origin),
        origin,
        ids=np.empty(0, np.int64) if ids is None else ids_of(ids, origin),
    )


def table_of_embeddings(embeddings: Embeddings) -> Table:
    """Their ids count as their own unless they are 0, 1, 2, …"""
    labels = Labels(embeddings.y, embeddings.class_names)
    numbered = np.array_equal(embeddings.ids, np.arange(len(embeddings)))
    ids = np.empty(0, np.int64) if numbered else embeddings.ids
    return Table(embeddings.x, labels, embeddings.origin, embeddings.class_names, ids)


def labels_of(y: Any, origin: str = "labels") -> Labels:
    """n labels as such.

    Raises:
        InputError: see :meth:`~metriscope.data.table.Labels.of`.
    """
    array = as_array(y, "labels", origin)
    if array.dtype == object:  # as columns of a data frame are
        array = _of_objects(array, origin)
    return Labels.of(array, origin)


def ids_of(ids: Any, origin: str) -> np.ndarray:
    """n ids as integers or text.

    Raises:
        InputError: other types or shapes.
    """
    array = as_array(ids, "ids", origin)
    if array.dtype == object:
        array = array.astype(str)
    if array.ndim != 1:
        raise InputError(f"{origin}: ids of shape {array.shape}; give one for each row, (n,).")
    return array if array.dtype.kind in "iu" else as_text(array, "ids", origin)


def as_array(values: Any, what: str, origin: str) -> np.ndarray:
    """An array of anything that is one, or an InputError.

    A sparse matrix, a dictionary, a number or None is none. Tensors may require gradients, lie on
    another device, or be bfloat16, which NumPy does not have.
    """
    if hasattr(values, "toarray") and hasattr(values, "nnz"):
        raise InputError(f"{origin}: {what} is a sparse matrix; give {what}.toarray().")
    try:
        if hasattr(values, "detach"):  # a tensor, without importing torch
            values = values.detach().cpu()
            values = values.float() if str(values.dtype) == "torch.bfloat16" else values
            array: np.ndarray = values.resolve_conj().resolve_neg().numpy()
        else:
            array = np.asanyarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{origin}: x and y must be arrays, (n, d) numbers and n labels; {what}: "
            f"{' '.join(str(error).split())}"
        ) from error
    if not array.ndim:
        kind = "None" if values is None else f"of type {type(values).__name__}"
        raise InputError(
            f"{origin}: {what} is {kind}, not an array; give (n, d) numbers and n labels."
        )
    return array


def _of_objects(array: np.ndarray, origin: str) -> np.ndarray:
    """Python integers as integers, the rest as text; nothing is made up for what is missing."""
    values = array.ravel().tolist()
    missing = [row for row, value in enumerate(values) if value is None or value != value]
    if missing:
        from metriscope.data.table import missing_labels

        raise missing_labels(origin, np.asarray(missing))
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        try:
            return np.asarray(values, np.int64).reshape(array.shape)
        except OverflowError:
            pass
    return np.asarray([str(value) for value in values], dtype=str).reshape(array.shape)
