"""Tiny ImageNet as its archive has it: ``tiny-imagenet-200`` with ``val_annotations.txt``."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from metriscope.data.layouts._lists import home, inside, need_file, read_lines, require_some
from metriscope.data.pictures import Files, Pictures
from metriscope.data.table import Labels, show_some
from metriscope.types import InputError

_SUFFIXES = (".jpeg", ".jpg", ".png")


def recognises(folder: Path) -> bool:
    """Whether ``wnids.txt`` and ``train`` are here, or in ``tiny-imagenet-200`` below."""
    place = _home(folder)
    return place is not None and (place / "train").is_dir()


def read(folder: Path, notes: list[str]) -> dict[str, Pictures]:
    """Both parts: ``val`` is the test part, since the pictures in ``test`` have no labels.

    Class names are the WordNet number and its first word, ``n01443537 goldfish``; ids are paths
    below the folder. A ``val`` that was sorted into a folder a class is read as well.

    Raises:
        InputError: a list is missing, a class that ``wnids.txt`` lacks.
    """
    place = _home(folder) or folder
    classes = sorted(read_lines(place / "wnids.txt"))
    codes = {wnid: code for code, wnid in enumerate(classes)}
    names = _names(place, classes)
    train = _by_class(place, "train", codes, notes)
    if (place / "val" / "images").is_dir():
        test = _annotated(place, codes, notes)
    else:
        test = _by_class(place, "val", codes, notes)
    unlabelled = len(_pictures_in(place / "test" / "images"))
    if unlabelled:
        notes.append(
            f"Left out: the {unlabelled:,} pictures of test, which have no labels; val is the "
            "test part."
        )
    return {
        part: Pictures(
            Files([place / path for path, _ in rows]),
            Labels.of(np.asarray([code for _, code in rows], np.int64), str(place)),
            str(place),
            names,
            np.asarray([path for path, _ in rows], dtype=str),
        )
        for part, rows in (("train", train), ("test", test))
    }


def _home(folder: Path) -> Path | None:
    return home(folder, "tiny-imagenet-200", ["wnids.txt"])


def _names(place: Path, classes: list[str]) -> tuple[str, ...]:
    """``n01443537 goldfish``; the number alone where ``words.txt`` does not have it."""
    words = {}
    for line in read_lines(need_file(place, "words.txt"), errors="replace"):
        wnid, _, text = line.partition("\t")
        words[wnid] = text.partition(",")[0].strip()
    return tuple(f"{wnid} {words.get(wnid, '')}".strip() for wnid in classes)


def _by_class(
    place: Path, part: str, codes: dict[str, int], notes: list[str]
) -> list[tuple[str, int]]:
    """(path, class) of ``part/<wnid>/images/*`` or ``part/<wnid>/*``, sorted by class and name."""
    rows: list[tuple[str, int]] = []
    empty = []
    for wnid, code in codes.items():
        below = f"{part}/{wnid}/images"
        if not (place / below).is_dir():
            below = f"{part}/{wnid}"
        found = _pictures_in(place / below)
        rows += [(f"{below}/{name}", code) for name in found]
        empty += [] if found else [wnid]
    if empty and rows:
        notes.append(f"Classes without a picture in {part}: {len(empty)} ({show_some(empty)}).")
    if not rows:
        raise InputError(f"{place / part}: no pictures in it (looked for <wnid>/images/*.JPEG).")
    return rows


def _annotated(place: Path, codes: dict[str, int], notes: list[str]) -> list[tuple[str, int]]:
    """(path, class) of ``val/images/*``, in the order of ``val_annotations.txt``."""
    file = place / "val" / "val_annotations.txt"
    rows = []
    for line in read_lines(file):
        name, _, rest = line.partition("\t")
        wnid = rest.partition("\t")[0].strip()
        if wnid not in codes:
            raise InputError(f"{file}: {show_some([wnid])} is not in wnids.txt.")
        rows.append((f"val/images/{name}", codes[wnid]))
    require_some([inside(place, path, file) for path, _ in rows], file)
    listed = {path for path, _ in rows}
    others = [n for n in _pictures_in(place / "val/images") if f"val/images/{n}" not in listed]
    if others:
        notes.append(
            f"Left out of val, without an annotation: {len(others)} ({show_some(others)})."
        )
    return rows


def _pictures_in(folder: Path) -> list[str]:
    """Names of the pictures in a folder, sorted; none if it is not there."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(
            entry.name
            for entry in entries
            if entry.name.lower().endswith(_SUFFIXES) and not entry.name.startswith(".")
        )
