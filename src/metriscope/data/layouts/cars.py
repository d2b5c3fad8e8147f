"""Stanford Cars as its archives have it: annotations for Matlab, and pictures beside them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from metriscope.data.layouts._lists import home, inside, need_file, require_some
from metriscope.data.pictures import Files, Pictures
from metriscope.data.reading import reading
from metriscope.data.table import Labels, show
from metriscope.types import InputError

_ONE = "cars_annos.mat"
_MARKS = (_ONE, "devkit/cars_train_annos.mat", "cars_train_annos.mat")
_LARGEST = 1 << 26  # bytes of an annotation file; the real ones have 1 MB at most


def recognises(folder: Path) -> bool:
    """Whether the annotations are here, or in ``stanford_cars`` below."""
    return _home(folder) is not None


def read(folder: Path, notes: list[str]) -> dict[str, Pictures]:
    """Both parts, from either archive; ids are paths below the folder.

    * ``cars_annos.mat`` and ``car_ims/``: one list, which says which part a picture is of.
    * ``cars_train/``, ``cars_test/`` and the ``devkit`` folder, with
      ``cars_test_annos_withlabels.mat`` there or beside it.

    A picture that is listed but not there is left to whoever decodes it.

    Raises:
        InputError: a file is missing or damaged, the test labels are missing, no picture is there.
    """
    place = _home(folder) or folder
    file, devkit = place / _ONE, (place / "cars_train").is_dir()
    if file.exists() and not devkit:
        content = _load(file, "annotations", "class_names")
        rows = content["annotations"]
        names = _texts(content["class_names"])
        tests = _integers(_column(rows, "test", file), file)
        paths = _texts(_column(rows, "relative_im_path", file))
        codes = _codes(rows, file, len(names))
        parts = {}
        for part, chosen in (
            ("train", np.flatnonzero(tests == 0)),
            ("test", np.flatnonzero(tests)),
        ):
            listed = [paths[row] for row in chosen]
            parts[part] = _pictures(place, listed, codes[chosen], names, file)
        return parts
    meta = need_file(place, "devkit/cars_meta.mat", "cars_meta.mat")
    names = _texts(_load(meta, "class_names")["class_names"])
    train = need_file(place, "devkit/cars_train_annos.mat", "cars_train_annos.mat")
    labelled = "cars_test_annos_withlabels.mat"
    test = next((p for p in (place / labelled, place / "devkit" / labelled) if p.exists()), None)
    if test is None:
        raise InputError(
            f"{place}: the test pictures have no labels: {labelled} is missing. It is a file of "
            "its own beside the archives; put it into this folder."
        )
    parts = {}
    for part, file in (("train", train), ("test", test)):
        rows = _load(file, "annotations")["annotations"]
        below = f"cars_{part}"
        if (place / below / below).is_dir():  # as archives unpacked into folders of their name
            below = f"{below}/{below}"
        listed = [f"{below}/{name}" for name in _texts(_column(rows, "fname", file))]
        parts[part] = _pictures(place, listed, _codes(rows, file, len(names)), names, file)
    return parts


def _home(folder: Path) -> Path | None:
    return home(folder, "stanford_cars", _MARKS)


def _pictures(
    place: Path, listed: list[str], codes: np.ndarray, names: tuple[str, ...], file: Path
) -> Pictures:
    paths = [inside(place, name, file) for name in listed]
    require_some(paths, file)
    labels = Labels.of(codes, str(file))
    return Pictures(Files(paths), labels, str(place), names, np.asarray(listed, dtype=str))


def _load(path: Path, *names: str) -> dict[str, Any]:
    """Variables of a Matlab file."""
    from scipy.io import loadmat

    with reading(path):
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path}: too large for a list of annotations; is it the right file?")
        with path.open("rb") as file:
            found = loadmat(file, squeeze_me=True, variable_names=names)
        lost = [name for name in names if name not in found]
        if lost:
            raise InputError(f"{path}: no {show(lost[0])} in it; is it the right file?")
        return {name: np.atleast_1d(found[name]) for name in names}


def _column(rows: np.ndarray, name: str, path: Path) -> np.ndarray:
    """(n,) one field of a list of structures."""
    if name not in (rows.dtype.names or ()):
        hint = "; it is the list without labels" if name == "class" else ""
        raise InputError(f"{path}: its annotations have no field {name!r}{hint}.")
    column: np.ndarray = rows[name]
    return column


def _codes(rows: np.ndarray, path: Path, classes: int) -> np.ndarray:
    """(n,) class numbers, which Matlab counts from 1, from 0."""
    codes = _integers(_column(rows, "class", path), path) - 1
    if len(codes) and not 0 <= codes.min() <= codes.max() < classes:
        raise InputError(f"{path}: classes outside 1 to {classes}; is it of another archive?")
    return codes


def _integers(column: np.ndarray, path: Path) -> np.ndarray:
    try:
        return np.asarray([int(value) for value in column], np.int64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: a field that is no whole number; is it damaged?") from error


def _texts(column: Iterable[object]) -> tuple[str, ...]:
    return tuple(str(value) for value in column)
