"""Caltech-UCSD Birds-200-2011 as its archive has it: list files, and pictures in ``images/``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from metriscope.data.layouts._lists import home, inside, read_list, require_some
from metriscope.data.pictures import Files, Pictures
from metriscope.data.table import Labels, show_some
from metriscope.types import InputError

_LISTS = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt")


def recognises(folder: Path) -> bool:
    """Whether the list files are here, or in ``CUB_200_2011`` below."""
    return _home(folder) is not None


def read(folder: Path, notes: list[str]) -> dict[str, Pictures]:
    """Both parts; ids are the paths of ``images.txt``, class names those of ``classes.txt``.

    A picture that is listed but not there is left to whoever decodes it.

    Raises:
        InputError: a list is missing or does not fit the others, no picture is there.
    """
    place = _home(folder) or folder
    images, classes, in_train, names = (read_list(place / name) for name in _LISTS)
    for name, values in zip(_LISTS[1:3], (classes, in_train), strict=True):
        odd = sorted(images.keys() ^ values.keys())
        if odd:
            raise InputError(
                f"{place / name}: other pictures than images.txt has: {len(odd)} "
                f"({show_some(odd)}); are all lists of one archive?"
            )
    unknown = sorted(set(classes.values()) - names.keys())
    if unknown:
        raise InputError(f"{place}: classes.txt has no name for class {show_some(unknown)}.")
    strange = sorted(set(in_train.values()) - {"0", "1"})
    if strange:
        raise InputError(f"{place / _LISTS[2]}: {show_some(strange)} is neither 0 nor 1.")
    paths = {key: inside(place / "images", name, place / _LISTS[0]) for key, name in images.items()}
    require_some(list(paths.values()), place / _LISTS[0])
    codes = {key: code for code, key in enumerate(names)}
    parts = {}
    for part, mark in (("train", "1"), ("test", "0")):
        keys = [key for key in images if in_train[key] == mark]
        parts[part] = Pictures(
            Files([paths[key] for key in keys]),
            Labels.of(np.asarray([codes[classes[key]] for key in keys], np.int64), str(place)),
            str(place),
            tuple(names.values()),
            np.asarray([images[key] for key in keys], dtype=str),
        )
    return parts


def _home(folder: Path) -> Path | None:
    return home(folder, "CUB_200_2011", ["image_class_labels.txt"])
