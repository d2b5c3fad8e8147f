"""CIFAR-10 as its archive for Python has it: pickled batches, read without running any of it."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from metriscope.data.layouts._lists import home, need_file
from metriscope.data.pictures import Arrays, Pictures
from metriscope.data.reading import reading
from metriscope.data.table import Labels, show
from metriscope.types import InputError

_TRAIN = tuple(f"data_batch_{i}" for i in range(1, 6))
_LARGEST = 1 << 28  # bytes of a batch; the real ones have 31 MB


def recognises(folder: Path) -> bool:
    """Whether a batch is here, or in ``cifar-10-batches-py`` below."""
    return _home(folder) is not None


def read(folder: Path, notes: list[str]) -> dict[str, Pictures]:
    """Both parts, (n, 32, 32, 3), in memory; ids are row numbers through the batches.

    Raises:
        InputError: a batch is missing or damaged, or is a pickle of anything but bytes, text,
            numbers and arrays of bytes.
    """
    place = _home(folder) or folder
    files = {"train": [need_file(place, name) for name in _TRAIN]}
    files["test"] = [need_file(place, "test_batch")]
    meta = need_file(place, "batches.meta")
    names = _member(_unpickle(meta), "label_names", meta)
    if not isinstance(names, list) or not all(isinstance(name, bytes | str) for name in names):
        raise InputError(f"{meta}: label_names is no list of names; is it the original file?")
    class_names = tuple(n.decode("utf-8", "replace") if isinstance(n, bytes) else n for n in names)
    parts = {}
    for part, paths in files.items():
        batches = [_batch(path, len(class_names)) for path in paths]
        pixels = np.concatenate([planes for planes, _ in batches])
        codes = np.concatenate([codes for _, codes in batches])
        labels = Labels.of(codes, str(place))
        parts[part] = Pictures(Arrays(pixels, paths), labels, str(place), class_names)
    return parts


def _home(folder: Path) -> Path | None:
    return home(folder, "cifar-10-batches-py", [*_TRAIN, "test_batch"])


def _batch(path: Path, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (n, 32, 32, 3) and codes (n,) of one batch."""
    content = _unpickle(path)
    rows, labels = _member(content, "data", path), _member(content, "labels", path)
    pixels = rows.values if isinstance(rows, _Array) else None
    if pixels is None or pixels.ndim != 2 or pixels.shape[1] != 3072:
        got = "no array" if pixels is None else f"of shape {pixels.shape}"
        raise InputError(f"{path}: data is {got}; it must be bytes of shape (n, 3072).")
    whole = isinstance(labels, list) and all(type(label) is int for label in labels)
    if not whole or not all(0 <= label < classes for label in labels):
        raise InputError(f"{path}: labels must be a list of whole numbers from 0 to {classes - 1}.")
    if len(labels) != len(pixels):
        raise InputError(f"{path}: {len(pixels)} pictures but {len(labels)} labels.")
    planes = pixels.reshape(-1, 3, 32, 32)  # red, green, blue
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), np.asarray(labels, np.int64)


def _member(content: Any, name: str, path: Path) -> Any:
    """An entry of a dictionary whose keys are bytes if Python 2 wrote it."""
    if isinstance(content, dict):
        for key in (name, name.encode()):
            if key in content:
                return content[key]
    raise InputError(f"{path}: no {name!r} in it; is it a CIFAR-10 file?")


def _unpickle(path: Path) -> Any:
    with reading(path), path.open("rb") as file:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path}: too large for a batch; is it the right file?")
        try:
            return _Unpickler(file, encoding="bytes").load()
        except Exception as error:  # a pickle can fail in any way
            reason = str(error) if type(error) is pickle.UnpicklingError else type(error).__name__
            raise InputError(
                f"{path}: not a CIFAR-10 batch, or a damaged one ({reason}). Fetch the archive "
                "again."
            ) from error


class _Array:
    """Stands in for an array of bytes: holds the shape and the values that the pickle gives."""

    __slots__ = ("values",)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, data = state  # as numpy.ndarray.__reduce__ has it
        if not isinstance(kind, _Bytes) or fortran:
            raise pickle.UnpicklingError("an array that is not of bytes, row by row")
        self.values = _shaped(data, shape)


class _Bytes:
    """Stands in for the type uint8, the only one admitted."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        """Byte order and the like: a byte has none."""


def _shaped(data: Any, shape: Any) -> np.ndarray:
    data = data.encode("latin1") if isinstance(data, str) else data
    values = np.frombuffer(data, np.uint8)
    if not all(type(n) is int and n >= 0 for n in shape) or math.prod(shape) != len(values):
        raise pickle.UnpicklingError("an array of another size than its bytes")
    return values.reshape(shape)


def _empty(kind: Any, shape: Any, code: Any) -> _Array:
    return _Array()


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.__setstate__((1, shape, kind, order != "C", data))
    return array


def _dtype(code: Any, *rest: Any) -> _Bytes:
    if code not in ("u1", b"u1", "uint8", b"uint8", "|u1", b"|u1"):
        raise pickle.UnpicklingError(f"an array of type {show(code)}, not uint8")
    return _Bytes()


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError("bytes in an unknown form")
    return text.encode("latin1")


def _ndarray() -> None:
    """Stands in for the class of arrays, which a pickle names but never calls."""


# What a pickle of uint8 arrays asks for, under the names that NumPy 1 and 2 have for it. Functions
# of this file answer in NumPy's place, because NumPy's own trust the pickle with memory.
_ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _ndarray,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _encode,
    **{
        (f"numpy.{core}.{module}", name): make
        for core in ("core", "_core")
        for module, name, make in (
            ("multiarray", "_reconstruct", _empty),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(
                f"it asks for {show(f'{module}.{name}')}, which is refused: it could run code"
            )
        return _ADMITTED[module, name]
