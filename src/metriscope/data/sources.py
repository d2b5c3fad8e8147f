"""What a SOURCE is: a dataset's name, a file, or a folder of labelled vectors or pictures."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from metriscope.data import layouts, on_disk
from metriscope.data.datasets import DATASETS
from metriscope.data.files import READERS, read_table
from metriscope.data.folder import read_folder
from metriscope.data.hub_layout import parquet_parts, require_whole
from metriscope.data.parquet_pictures import image_column, read_parquet_pictures
from metriscope.data.pictures import Pictures
from metriscope.data.table import Table, show, show_some
from metriscope.registry import unknown
from metriscope.types import InputError

Source = str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class Found:
    """What a SOURCE holds: tables of features, or pictures.

    Attributes:
        name: short, for the output folder and the reports.
        origin: what to call it in messages.
        parts: by ``train`` and ``test``, or one of them, or ``all``.
        notes: what a person should know, each one sentence.
    """

    name: str
    origin: str
    parts: Mapping[str, Table | Pictures]
    notes: list[str] = field(default_factory=list)

    @property
    def tables(self) -> dict[str, Table]:
        """The parts that are features."""
        return {k: v for k, v in self.parts.items() if isinstance(v, Table)}

    @property
    def pictures(self) -> dict[str, Pictures]:
        """The parts that are pictures."""
        return {k: v for k, v in self.parts.items() if isinstance(v, Pictures)}


def find(source: Source, labels: Source | None = None) -> Found:
    """What lies behind a SOURCE; pictures are listed and not yet read.

    Args:
        source, labels: see :func:`metriscope.data.load`.

    Raises:
        InputError: whatever cannot be used, in one or two lines.
    """
    notes: list[str] = []
    text = os.fspath(source)
    if isinstance(source, str) and source.partition(":")[0] in DATASETS.names():
        if labels is not None:
            raise InputError(f"{source} brings its own labels; leave out --labels (labels=).")
        made = _dataset(source)
        if isinstance(made, Table):
            return Found(source, source, {"all": replace(made, origin=source)}, notes)
        notes += [note for pictures in made.values() for note in pictures.notes]
        return Found(source.partition(":")[0], source, dict(made), notes)
    path = Path(text)
    try:
        if not text or not path.exists():
            raise InputError(_missing(text, path))
        name = path.resolve().name if path.is_dir() else path.resolve().stem
        parts = _from_path(path, None if labels is None else Path(labels), notes)
    except OSError as error:
        raise InputError(f"{text}: cannot be read: {error.strerror or error}.") from error
    if list(parts) == ["train"]:
        notes.append("There is no test part: the train part is split where one is needed.")
        parts = {"all": parts["train"]}
    return Found(name, str(path), parts, notes)


def _from_path(path: Path, labels: Path | None, notes: list[str]) -> Mapping[str, Table | Pictures]:
    if not path.is_dir():
        if path.suffix.lower() == ".parquet" and image_column(path):
            _no_labels(path, labels)
            return {"all": read_parquet_pictures([path])}
        return {"all": read_table([path], labels)}
    if on_disk.recognises(path):
        _no_labels(path, labels)
        return on_disk.read(path, notes)
    sharded = parquet_parts(path) or {"all": sorted(path.glob("*.parquet"))}
    first = next(iter(sharded.values()))
    if first and image_column(first[0]):
        _no_labels(path, labels)
        if "all" in sharded:
            require_whole(first, sharded=False)
        notes += _left_aside(sharded)
        return {part: read_parquet_pictures(paths) for part, paths in sharded.items()}
    if first or any(is_part(entry) for entry in path.iterdir()):
        return read_folder(path, labels, notes)
    _no_labels(path, labels)
    pictures = layouts.read_pictures(path, notes)
    if pictures is None:
        raise InputError(
            f"{path}: no data found: neither one sub-folder of pictures a class, nor train.* "
            f"and test.* ({', '.join(READERS)}), nor Parquet files."
        )
    return pictures


def _left_aside(sharded: Mapping[str, list[Path]]) -> list[str]:
    """What was taken for the test part, and Parquet files that are of no part."""
    used = {path for paths in sharded.values() for path in paths}
    folders = {path.parent for path in used}
    unused = sorted({path for folder in folders for path in folder.glob("*.parquet")} - used)
    notes = []
    test = sharded.get("test")
    if test and not test[0].name.startswith("test"):
        notes.append(f"There is no test file, so {show(test[0].name)} serves as test.")
    if unused:
        notes.append(f"Files of the folder that are not used: {show_some(p.name for p in unused)}.")
    return notes


def is_part(entry: Path) -> bool:
    """``train.npz``, ``test.npy`` and the like."""
    return entry.suffix.lower() in READERS and entry.stem in ("train", "test") and entry.is_file()


def _no_labels(path: Path, labels: Path | None) -> None:
    if labels is not None:
        raise InputError(f"{path} brings its own labels; leave out --labels (labels=).")


def _dataset(text: str) -> Table | Mapping[str, Pictures]:
    """``name``, ``name:preset``, ``name:key=value,…``, ``name:preset,key=value,…``.

    What follows the name of a dataset that has a ``folder`` is that folder.
    """
    name, _, options = text.partition(":")
    defaults = DATASETS.describe(name).parameters
    make = DATASETS.get(name)
    if "folder" in defaults:
        return make(folder=options.removeprefix("folder="))
    presets = getattr(sys.modules[make.__module__], "PRESETS", {})
    params: dict[str, Any] = {}
    for place, option in enumerate(options.split(",") if options else []):
        key, equals, value = option.partition("=")
        if not equals and not place:
            if key not in presets:
                raise InputError(unknown(f"preset of {name}", key, presets))
            params.update(presets[key])
        elif not equals:
            raise InputError(f"{text}: {option!r} has no value; write it as parameter=value.")
        elif key not in defaults:
            raise InputError(unknown(f"parameter of {name}", key, defaults))
        else:
            params[key] = _value(f"{name}: {key}", value, defaults[key])
    return make(**params)


def _value(what: str, text: str, default: object) -> object:
    """``text`` as the type of ``default``."""
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(default, int | float):
            return type(default)(text)
    except (ValueError, KeyError):
        raise InputError(f"{what} is {text!r}; it must be {_KINDS[type(default)]}.") from None
    return text


_KINDS: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number"}


def _missing(text: str, path: Path) -> str:
    known = DATASETS.names()
    if path.suffix or path.name != text:
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, siblings, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        return f"{text}: no such file or folder.{hint}"
    return f"no file or folder {text!r}, and {unknown('dataset', text.partition(':')[0], known)}"
