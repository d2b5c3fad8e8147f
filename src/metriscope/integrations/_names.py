"""Score names that every tracker takes."""

from __future__ import annotations

import re
from collections.abc import Mapping

PREFIX = "metriscope/"
"""Before every name, so that trackers show the scores as one section beside the run's own."""

_ODD = re.compile(r"[^A-Za-z0-9_./-]")
_WRITTEN = re.compile(r"_at_|_x([0-9a-f]+)_")


def portable(name: str) -> str:
    """``recall@1`` as ``recall_at_1``; another character that is refused somewhere, by its code.

    MLflow takes letters, digits and ``_ - . / space :``, without the colon on Windows.
    :func:`original` turns it back.
    """
    return _ODD.sub(lambda odd: "_at_" if odd[0] == "@" else f"_x{ord(odd[0]):x}_", name)


def original(name: str) -> str:
    """The name as metriscope has it, of one that was written."""
    return _WRITTEN.sub(lambda found: chr(int(found[1], 16)) if found[1] else "@", name)


def prefixed(scores: Mapping[str, float], prefix: str) -> dict[str, float]:
    """The scores under the names they are written by."""
    return {prefix + portable(name): float(value) for name, value in scores.items()}
