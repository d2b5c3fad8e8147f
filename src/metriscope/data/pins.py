"""Which revision of a repository this machine took first: it keeps to that one."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from metriscope.data.cache import default_folder
from metriscope.disk import write_json


def pinned(kind: str, repo: str, resolve: Callable[[], str]) -> str:
    """The revision of a repository whose revision is not known beforehand.

    Args:
        kind: ``models`` or ``datasets``.
        repo: ``owner/name``.
        resolve: asks for the newest revision; called the first time only.

    Pins are in ``pins.json`` in the cache's folder: ``{kind: {repo: revision}}``. An answer that
    cannot be written down is given all the same.
    """
    from filelock import FileLock

    file = default_folder() / "pins.json"
    known = _read(file).get(kind, {}).get(repo)
    if known is not None:
        return known
    revision = resolve()
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{file}.lock"):
            pins = _read(file)
            # Another process may have been first.
            revision = pins.setdefault(kind, {}).setdefault(repo, revision)
            write_json(file, pins)
    return revision


def _read(file: Path) -> dict[str, dict[str, str]]:
    """The pins; none if the file is not there or not what was written here."""
    try:
        pins = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    sound = isinstance(pins, dict) and all(
        isinstance(part, dict) and all(isinstance(revision, str) for revision in part.values())
        for part in pins.values()
    )
    return pins if sound else {}
