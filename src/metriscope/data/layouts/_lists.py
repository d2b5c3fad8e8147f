"""What archives with list files share: lists of lines, and paths that stay inside the folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from metriscope.data.reading import reading
from metriscope.data.table import show
from metriscope.types import InputError


def home(folder: Path, name: str, marks: Sequence[str]) -> Path | None:
    """The folder, or its sub-folder ``name``, that has one of the paths ``marks``."""
    for place in (folder, folder / name):
        if any((place / mark).exists() for mark in marks):
            return place
    return None


def read_lines(path: Path, errors: str = "strict") -> list[str]:
    """The lines of a text file that are not empty, without spaces around them."""
    with reading(path):
        lines = path.read_text(encoding="utf-8-sig", errors=errors).splitlines()
    return [line.strip() for line in lines if line.strip()]


def read_list(path: Path) -> dict[str, str]:
    """Lines ``key value``; the value may have spaces.

    Raises:
        InputError: a line without a value, a key that comes twice.
    """
    pairs: dict[str, str] = {}
    for line in read_lines(path):
        key, *rest = line.split(None, 1)
        if not rest or key in pairs:
            what = "comes twice" if key in pairs else "has no value"
            raise InputError(f"{path}: {show(key)} {what}; is the file the original one?")
        pairs[key] = rest[0]
    return pairs


def need_file(folder: Path, *names: str) -> Path:
    """The first of the paths below ``folder`` that is there."""
    for name in names:
        if (folder / name).exists():
            return folder / name
    raise InputError(f"{folder}: {' or '.join(names)} is missing; the archive has it.")


def inside(folder: Path, relative: str, origin: object) -> Path:
    """A path below ``folder``, as a list names it.

    Raises:
        InputError: it leads out of the folder.
    """
    parts = PurePosixPath(relative).parts
    if not parts or parts[0] == "/" or ".." in parts or "\\" in relative or "\0" in relative:
        raise InputError(f"{origin}: names {show(relative)}, which is not below its folder.")
    return folder.joinpath(*parts)


def require_some(paths: Sequence[Path], origin: object) -> None:
    """At least one of the pictures a list names must be there."""
    if not any(path.exists() for path in paths):
        raise InputError(
            f"{origin}: none of the {len(paths):,} pictures it names is there; the first would be "
            f"{paths[0] if paths else 'any'}. Unpack the pictures beside it."
        )
