"""What is in an ``.npz`` file, which may be anybody's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from metriscope.data.reading import pickled, reading
from metriscope.data.table import as_text
from metriscope.types import InputError


@contextmanager
def open_npz(path: Path) -> Iterator[Any]:
    """The file, open; an InputError of what goes wrong inside."""
    # Opened here: np.load leaves a file open that turns out to be damaged.
    with reading(path, b"PK"), path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
        yield file


def member(file: Any, name: str, origin: str) -> np.ndarray:
    """One array of an open ``.npz``. Refused unread: one that cannot fit, as of a zip bomb."""
    import psutil

    sizes = {about.filename: about.file_size for about in file.zip.infolist()}
    size, memory = sizes.get(f"{name}.npy", sizes.get(name, 0)), psutil.virtual_memory().total
    if size > memory:
        raise InputError(
            f"{origin}: the array {name!r} unpacks to {size:,} bytes, more than the {memory:,} of "
            "this machine's memory. Save less of it, or as .npy or Parquet."
        )
    try:
        array = file[name]
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise pickled(f"{origin}: the array {name!r}") from error
        raise
    if not isinstance(array, np.ndarray):  # NumPy hands out the bytes of a member it does not know
        raise InputError(f"{origin}: {name!r} is no NumPy array; write it with np.savez.")
    return array


def npz_class_names(file: Any, origin: str) -> tuple[str, ...] | None:
    """Its ``class_names``, if it has any."""
    if "class_names" not in file.files:
        return None
    names = as_text(member(file, "class_names", origin), "class_names", origin)
    if names.ndim != 1:
        raise InputError(f"{origin}: class_names has shape {names.shape}; it must be a list.")
    return tuple(names.tolist())


def npz_ids(file: Any, origin: str) -> np.ndarray | None:
    """Its ``ids``, integers or text, if it has any."""
    if "ids" not in file.files:
        return None
    ids = member(file, "ids", origin)
    return ids if ids.dtype.kind in "iu" else as_text(ids, "ids", origin)
