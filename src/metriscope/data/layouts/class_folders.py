"""A folder a class, with or without ``train`` and ``test`` above."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

import numpy as np

from metriscope.data.decoding import SUFFIXES
from metriscope.data.pictures import Files, Pictures
from metriscope.data.table import Labels, show, show_some
from metriscope.types import InputError

_PARTS = {  # folder names, in lower case
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "val",
    "valid": "val",
    "validation": "val",
}
_CLUTTER = frozenset({"__macosx", "@eadir", "#recycle", "thumbs.db", "desktop.ini"})


def recognises(folder: Path) -> bool:
    """Whether there is a folder in it."""
    return bool(_list(folder).folders)


def read(folder: Path, notes: list[str]) -> dict[str, Pictures]:
    """Pictures at any depth below a class's folder are of that class, in order of their paths.

    ``ids`` are paths below ``folder``, with ``/``. Links are followed, but no folder is entered
    twice for one class. Hidden files and what systems leave behind are passed over.

    Args:
        folder: holds class folders, or ``train`` and ``test`` with class folders in them;
            ``val``, ``valid`` or ``validation`` stands in for ``test`` where there is none.
        notes: sentences for the reader are added here.

    Raises:
        InputError: no pictures, ``train`` and ``test`` without class folders, two folders for one
            part, a folder that cannot be listed.
    """
    top = _list(folder)
    parts = _parts(folder, top, notes)
    if not parts:
        if wrapped := _wrapped(folder, top):
            notes.append(f"All is in {wrapped}, the only folder of {folder}.")
            return read(wrapped, notes)
        return {"all": _read_part(folder, "", notes)}
    if "test" in parts and "val" in parts:
        notes.append(f"The folder {show(parts.pop('val'))} is left aside: there is a test folder.")
    elif "val" in parts:
        parts["test"] = parts.pop("val")
        notes.append(f"There is no test folder, so {show(parts['test'])} serves as test.")
    return {
        part: _read_part(folder, f"{parts[part]}/", notes)
        for part in ("train", "test")
        if part in parts
    }


def _wrapped(folder: Path, top: _Listing) -> Path | None:
    """The only folder, if it has folders and no pictures of its own: unpacked one deeper."""
    if len(top.folders) > 1 or any(_is_picture(name) for name in top.files):
        return None
    inner = folder / top.folders[0]
    if inner.is_symlink():  # perhaps to where we are
        return None
    listing = _list(inner)
    whole = bool(listing.folders) and not any(_is_picture(name) for name in listing.files)
    return inner if whole else None


def _parts(folder: Path, top: _Listing, notes: list[str]) -> dict[str, str]:
    """Names of the part folders by part; none if the folders are classes.

    A class may be called "train" too. A part is told by the class folders in it, and by another
    part beside it or nothing else.
    """
    named = [name for name in top.folders if name.lower() in _PARTS]
    others = [name for name in top.folders if name.lower() not in _PARTS]
    with_classes = [name for name in named if _list(folder / name).folders]
    if not with_classes or (len(named) == 1 and others):
        if named and not others:
            raise InputError(
                f"{folder}: no class folders in {show_some(named)}; put the pictures of each class "
                "into a folder of its own, as train/cat/1.jpg."
            )
        return {}
    parts: dict[str, str] = {}
    for name in with_classes:
        part = _PARTS[name.lower()]
        if part in parts:
            raise InputError(
                f"{folder}: {show_some([parts[part], name])} each hold the {part} part; keep one."
            )
        parts[part] = name
    unused = [name for name in top.folders if name not in with_classes]
    if unused:
        notes.append(f"Folders without classes in them, or of no part: {show_some(unused)}.")
    return parts


def _read_part(root: Path, prefix: str, notes: list[str]) -> Pictures:
    """The part below ``root/prefix``; ``prefix`` is empty or ends in a slash."""
    folder = root / prefix
    listing = _list(folder)
    names: list[str] = []
    others: list[str] = []
    empty: list[str] = []
    for label in listing.folders:
        before = len(names)
        seen = {_identity(root), _identity(folder)}
        for name in _walk(folder / label, f"{prefix}{label}/", seen):
            (names if _is_picture(name) else others).append(name)
        if len(names) == before:
            empty.append(label)
    if not names:
        held = f"only {show_some(others, 3)}" if others else "no files"
        raise InputError(
            f"{folder}: no pictures in its {len(listing.folders)} class folders "
            f"({show_some(listing.folders, 3)}), {held}; their names must end in "
            f"{', '.join(sorted(SUFFIXES))}."
        )
    beside = [name for name in listing.files if _is_picture(name)]
    for what, found in (
        ("Files that are no pictures by their suffix", others),
        ("Pictures beside the class folders, which have no class", beside),
        ("Class folders without a picture", empty),
    ):
        if found:
            notes.append(f"{what}: {len(found)} in {folder} ({show_some(found, 3)}).")
    names.sort()
    classes = [name[len(prefix) :].partition("/")[0] for name in names]
    values = sorted(set(classes))
    code = {value: i for i, value in enumerate(values)}
    codes = np.fromiter((code[value] for value in classes), np.int64, len(classes))
    ids = np.asarray(names, dtype=str)
    return Pictures(Files(_Below(root, ids)), Labels.coded(codes, values), str(folder), ids=ids)


@dataclass(frozen=True, eq=False)
class _Below(Sequence[Path]):
    """Paths below ``root``, made when asked for: a million of them would fill memory."""

    root: Path
    names: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, at: int) -> Path: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Path]: ...
    def __getitem__(self, at: int | slice) -> Path | Sequence[Path]:
        if isinstance(at, slice):
            return _Below(self.root, self.names[at])
        return self.root / str(self.names[at])


@dataclass(frozen=True)
class _Listing:
    """Names in one folder, sorted, without clutter."""

    folders: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)


def _list(folder: Path) -> _Listing:
    found = _Listing()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.name.lower() not in _CLUTTER:
                    (found.folders if _is_folder(entry) else found.files).append(entry.name)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be listed: {error.strerror or error}. Make it readable, or move it "
            "away."
        ) from error
    found.folders.sort()
    found.files.sort()
    return found


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link to itself
            return False
        raise


def _walk(folder: Path, prefix: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    """Names of the files below ``folder``, ``prefix`` in front; folders in ``seen`` are passed."""
    pending = [(folder, prefix)]
    while pending:
        here, before = pending.pop()
        if (identity := _identity(here)) in seen:
            continue
        seen.add(identity)
        listing = _list(here)
        yield from (before + name for name in listing.files)
        pending += [(here / name, f"{before}{name}/") for name in reversed(listing.folders)]


def _identity(folder: Path) -> tuple[int, int]:
    about = folder.stat()
    return about.st_dev, about.st_ino


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 - a Path costs 2 µs
