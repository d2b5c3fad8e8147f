"""Folders that the ``datasets`` library wrote with ``save_to_disk``."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metriscope.data.parquet import Beside, feature_columns, matrix, stack
from metriscope.data.parquet_pictures import (
    BATCH,
    column_identity,
    column_of_pictures,
    labelled,
    raw_picture,
    require_labels,
)
from metriscope.data.pictures import Digest, Pictures, Raw
from metriscope.data.reading import FEATURES, manifest_in
from metriscope.data.table import Table, show, show_some
from metriscope.types import InputError

_ROWS = 1 << 15  # of one batch
_DICT, _STATE, _INFO = "dataset_dict.json", "state.json", "dataset_info.json"
_STAND_INS = ("validation", "valid", "val", "dev")


@dataclass(frozen=True, eq=False)
class HubRows:
    """Pictures in a column of a ``datasets.Dataset``.

    Attributes:
        dataset: all rows of the files, in their order.
        column: of its feature ``Image``.
        files: what it was read from.
    """

    dataset: Any
    column: str
    files: Sequence[Path]

    def __len__(self) -> int:
        return len(self.dataset)

    def read(self, start: int, stop: int) -> Iterator[Raw]:
        """Encoded, as stored. A picture that is a path is read if it lies beside the files."""
        folder = self.files[0].parent
        rows = self.dataset.select_columns([self.column]).with_format("arrow")
        for at in range(max(start, 0), min(stop, len(self)), BATCH):
            cells = rows[at : min(at + BATCH, stop, len(self))].column(0)
            yield from (raw_picture(cell, folder) for cell in cells.to_pylist())

    def identity(self, digest: Digest) -> str:
        """Of the files' contents, and of pictures that lie beside them."""
        beside: list[Path] = []
        if any(column.field("bytes").null_count for column in self._stored()):
            found = (raw for raw in self.read(0, len(self)) if isinstance(raw, Path))
            beside = [path for path in found if os.path.isfile(path)]  # noqa: PTH113
        return column_identity(self.column, [*self.files, *beside], digest)

    def _stored(self) -> list[Any]:
        """The column as it is stored: structs with ``bytes`` and ``path``."""
        chunks: list[Any] = self.dataset.data.column(self.column).chunks
        return chunks


def library() -> Any:
    """The ``datasets`` package.

    Raises:
        InputError: not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise InputError(
            "folders of Hugging Face datasets need the package 'datasets': "
            "pip install 'metriscope[images]'."
        ) from error
    return datasets


@contextmanager
def without_bars() -> Iterator[None]:
    """The progress bars of ``datasets`` would run across ours."""
    datasets = library()
    hidden = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not hidden:
            datasets.enable_progress_bars()


def recognises(folder: Path) -> bool:
    """Whether ``save_to_disk`` of a ``DatasetDict`` or a ``Dataset`` wrote it. Looks at names."""
    return (folder / _DICT).is_file() or all((folder / name).is_file() for name in (_STATE, _INFO))


def read(folder: Path, notes: list[str]) -> dict[str, Table] | dict[str, Pictures]:
    """Splits ``train`` and ``test``, or ``all`` where the folder is one dataset.

    Features if there is an embedding column, else pictures. ``validation`` stands in for ``test``
    where there is none; other splits are left aside.

    Args:
        folder: see :func:`recognises`.
        notes: sentences for the reader are added here.

    Raises:
        InputError: ``datasets`` is not installed, files are missing or damaged, a dataset without
            such columns or without labels.
    """
    loaded = _load(folder)
    splits = loaded if isinstance(loaded, dict) else {"all": loaded}
    chosen = _choose(splits, folder, notes) if isinstance(loaded, dict) else {"all": "all"}
    held = {part: splits[split] for part, split in chosen.items()}
    origins = {
        part: str(folder / split if isinstance(loaded, dict) else folder)
        for part, split in chosen.items()
    }
    if all(_has_features(dataset.column_names) for dataset in held.values()):
        for part, dataset in held.items():
            column = column_of_pictures(dataset.features.arrow_schema)
            if column is not None:
                notes.append(
                    f"{origins[part]} has embeddings, so its pictures ({show(column)}) are not "
                    "used."
                )
        return {part: _table(dataset, origins[part]) for part, dataset in held.items()}
    return {part: _pictures(dataset, origins[part]) for part, dataset in held.items()}


def _load(folder: Path) -> Any:
    """A ``Dataset`` or a ``DatasetDict`` (a dict), its files mapped, not read."""
    datasets = library()
    try:
        with without_bars():
            return datasets.load_from_disk(str(folder), keep_in_memory=False)
    except Exception as error:  # whatever JSON, Arrow and datasets say of damaged files
        reason = (str(error).splitlines() or [""])[0][:120]
        raise InputError(
            f"{folder}: cannot be read as a datasets folder: incomplete or damaged? Write it again "
            f"with save_to_disk. ({type(error).__name__}: {reason})"
        ) from error


def _choose(splits: Collection[str], folder: Path, notes: list[str]) -> dict[str, str]:
    """Which split is which part."""
    chosen = {part: part for part in ("train", "test") if part in splits}
    stand_in = next((name for name in _STAND_INS if name in splits), None)
    if "test" not in chosen and stand_in:
        chosen["test"] = stand_in
        notes.append(f"There is no split 'test', so {show(stand_in)} serves as test.")
    if not chosen and len(splits) == 1:
        return {"all": next(iter(splits))}
    if not chosen:
        raise InputError(
            f"{folder}: its splits are {show_some(splits) or 'none'}; they must be 'train' and "
            "'test'. Rename them, or save one of them alone."
        )
    others = [name for name in splits if name not in chosen.values()]
    if others:
        notes.append(f"Splits left aside: {show_some(others)}.")
    return chosen


def _has_features(names: Sequence[str]) -> bool:
    return any(name in names for name in (*FEATURES, "f0"))


def _table(dataset: Any, origin: str) -> Table:
    names, beside = feature_columns(dataset.column_names, origin), Beside()
    columns = [*names, *beside.columns(dataset.features.arrow_schema, origin)]

    def blocks() -> Iterator[tuple[str, np.ndarray]]:
        start = 0
        for batch in _batches(dataset, columns):
            beside.add(batch)
            yield origin, matrix(batch, names, origin, start)
            start += len(batch)

    x = stack(blocks(), len(dataset))
    labels = require_labels(beside, dataset.column_names, len(dataset), origin)
    ids = beside.ids()
    return Table(
        x,
        labels,
        origin,
        beside.class_names,
        np.empty(0, np.int64) if ids is None else ids,
        beside.split(),
        manifest_in(dataset.info.description),
    )


def _pictures(dataset: Any, origin: str) -> Pictures:
    column = column_of_pictures(dataset.features.arrow_schema)
    if column is None:
        raise InputError(
            f"{origin}: neither a column of embeddings nor of pictures (it holds "
            f"{show_some(dataset.column_names)}); name it 'embedding', or cast it to Image()."
        )
    beside = Beside()
    wanted = beside.columns(dataset.features.arrow_schema, origin)
    for batch in _batches(dataset, wanted) if wanted else ():
        beside.add(batch)
    files = [Path(file["filename"]) for file in dataset.cache_files]
    return labelled(HubRows(dataset, column, files), beside, dataset.column_names, origin)


def _batches(dataset: Any, columns: Sequence[str]) -> Iterator[Any]:
    """Arrow record batches of some columns."""
    rows = dataset.select_columns(list(columns)).with_format("arrow")
    for start in range(0, len(dataset), _ROWS):
        yield from rows[start : start + _ROWS].to_batches()
