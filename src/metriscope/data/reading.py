"""What every reader needs: a name for what it found, and errors that name the file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metriscope.data.table import Labels, show_some
from metriscope.types import InputError

FEATURES = ("features", "embeddings", "embedding")
LABELS = ("labels", "label")
_PICKLE = re.compile(rb"\x80[\x02-\x05]")


@dataclass(frozen=True, eq=False)
class Contents:
    """What one file, or all shards of one table, hold; ``names`` as the file calls its arrays.

    ``manifest`` says how the features were made, if ``metriscope embed`` wrote them.
    """

    x: np.ndarray
    names: Sequence[str]
    labels: Labels | None = None
    class_names: tuple[str, ...] | None = None
    ids: np.ndarray | None = None
    split: np.ndarray | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)


def manifest_in(text: str | bytes | None) -> dict[str, Any]:
    """How features were made, if ``text`` is the JSON object that ``embed`` leaves with them."""
    try:
        found = json.loads(text or "")["manifest"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def reading(path: Path, magic: bytes = b"") -> Iterator[None]:
    """Turn whatever goes wrong with ``path`` into an InputError that names it.

    Args:
        path: the file that is read inside.
        magic: what its first bytes must be.
    """
    try:
        with path.open("rb") as file:
            start = file.read(8)
        if not start:
            raise InputError(f"{path}: the file is empty (0 bytes).")
        if magic and not start.startswith(magic):
            if _PICKLE.match(start):
                raise pickled(str(path))
            raise InputError(
                f"{path}: not a {path.suffix} file: it starts with other bytes than these files "
                "do. Is the suffix right?"
            )
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file.") from error
    except PermissionError as error:
        raise InputError(f"{path}: no permission to read it.") from error
    except IsADirectoryError as error:
        raise InputError(f"{path}: a folder, where a file is needed.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text; save it as UTF-8.") from error
    except MemoryError as error:
        raise InputError(f"{path}: does not fit into memory, or is damaged.") from error
    except Exception as error:  # any library, on a damaged file
        if "allow_pickle" in str(error) or "Python objects" in str(error):
            raise pickled(str(path)) from error
        reason = (str(error).splitlines() or [""])[0][:120]
        raise InputError(
            f"{path}: cannot be read as {path.suffix}: truncated or damaged? Write it again. "
            f"({type(error).__name__}: {reason})"
        ) from error


def pick(names: Sequence[str], wanted: Sequence[str], what: str, origin: str) -> str | None:
    """The one of ``wanted`` that is there."""
    found = [name for name in wanted if name in names]
    if len(found) > 1:
        raise InputError(
            f"{origin}: {show_some(found)} could each be the {what}; keep one, or rename the rest."
        )
    return found[0] if found else None


def need(names: Sequence[str], wanted: Sequence[str], what: str, origin: str) -> str:
    """The one of ``wanted`` that is there; an InputError lists what the file has if none is."""
    found = pick(names, wanted, what, origin)
    if found is None:
        raise InputError(
            f"{origin}: no {what} (it holds {show_some(names) or 'nothing'}); name it "
            f"{' or '.join(repr(name) for name in wanted[:2])}."
        )
    return found


def pickled(what: str) -> InputError:
    """The error for a pickle, which is refused unread."""
    return InputError(
        f"{what}: holds pickled Python objects, which can run code, so it is never loaded. "
        "Save it again as numbers or text: array.astype(np.float32), labels.astype(str)."
    )
