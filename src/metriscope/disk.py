"""Files that are whole or not there, and what to say when the disk refuses."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from metriscope.types import MetriscopeError

ABOUT = "metriscope"  # key of what write_embeddings says about the rows
KEPT = (
    "Free some space or choose another --out; finished runs are kept, and the same command goes on "
    "from there."
)


class StorageError(MetriscopeError):
    """Something cannot be written: no permission, no space, no such place."""


def atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call ``write`` with a temporary path beside ``path``, sync it, and rename it into place."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files for the owner only
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8; what that lacks (half a surrogate) as an escape."""
    data = text.encode("utf-8", "backslashreplace")
    atomically(path, lambda temporary: temporary.write_bytes(data))


def plain_json(value: Any) -> Any:
    """JSON types; NaN and infinities become null, which every reader understands."""
    if isinstance(value, Mapping):
        return {str(k): plain_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, data: Any) -> None:
    """Write strict JSON atomically."""
    write_text(path, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_embeddings(
    path: Path,
    dim: int,
    blocks: Iterable[tuple[np.ndarray, Sequence[str], str, np.ndarray]],
    about: Mapping[str, Any],
) -> None:
    """Write ``id``, ``label``, ``split`` and ``embedding`` to Parquet, a row group a block.

    Args:
        path: written in place; see :func:`atomically`.
        dim: d.
        blocks: (ids (n,) integers or text, labels (n,) text, split, features (n, d)); ids are all
            integers or all text.
        about: plain JSON types, kept in the schema under ``metriscope``: ``class_names`` in the
            order of their codes, and whatever else.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    try:
        for ids, labels, split, x in blocks:
            flat = pa.array(np.ascontiguousarray(x, np.float32).ravel())
            table = pa.table(
                {
                    "id": pa.array(ids.tolist()),
                    "label": pa.array(labels, pa.string()),
                    "split": pa.array([split] * len(x), pa.string()),
                    "embedding": pa.FixedSizeListArray.from_arrays(flat, dim),
                }
            )
            table = table.replace_schema_metadata({ABOUT: json.dumps(about)})
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


@contextmanager
def storage_errors(place: Path, advice: str = KEPT) -> Iterator[None]:
    """Turn a failure of the disk into one sentence that says what to do.

    Args:
        place: the file or folder that is written.
        advice: what to do, in whole sentences.

    safetensors reports a full disk as an exception of its own; its text names the cause.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"cannot write to {place}: {reason}. {advice}") from error
    except Exception as error:
        if type(error).__name__ != "SafetensorError":
            raise
        raise StorageError(f"cannot write to {place}: {error}. {advice}") from error
