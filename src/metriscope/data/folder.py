"""Folders as sources: files named after their part, and Parquet in shards."""

from __future__ import annotations

from pathlib import Path

from metriscope.data.files import READERS, read_table
from metriscope.data.hub_layout import SHARD, require_whole
from metriscope.data.label_files import LABEL_SUFFIXES
from metriscope.data.table import Table, show_some
from metriscope.types import InputError


def read_folder(folder: Path, labels: Path | None, notes: list[str]) -> dict[str, Table]:
    """Tables of a folder: see :func:`files_of`."""
    return {part: read_table(*files) for part, files in files_of(folder, labels, notes).items()}


def files_of(
    folder: Path, labels: object, notes: list[str]
) -> dict[str, tuple[list[Path], Path | None]]:
    """Files of a folder and of their labels: ``train`` and ``test``, or ``test``, or ``all``.

    Args:
        folder: with ``train.*`` and ``test.*``, or Parquet files of other names: one table.
        labels: must be None; a folder has its labels inside.
        notes: sentences for the reader are added here.

    Raises:
        InputError: nothing to read, two files for one part, a missing shard.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in READERS and not path.stem.endswith("_labels") and path.is_file():
            shard = SHARD.fullmatch(path.stem)
            found.setdefault(shard["part"] if shard else path.stem, []).append(path)
    files = [path for paths in found.values() for path in paths]
    parts = {part: paths for part, paths in found.items() if part in ("train", "test")}
    if not parts:
        parts = {"all": [path for path in files if path.suffix.lower() == ".parquet"]}
    used = [path for paths in parts.values() for path in paths]
    if not used:
        raise InputError(
            f"{folder}: neither train.* and test.* ({', '.join(READERS)}) nor Parquet files in "
            "this folder; give one file instead."
        )
    if labels is not None:
        raise InputError(
            f"{folder} is a folder; --labels goes with one file. Put train_labels.* and "
            "test_labels.* into it."
        )
    unused = [path.name for path in files if path not in used]
    if unused:
        notes.append(f"Files of the folder that are not used: {show_some(unused)}.")
    for paths in parts.values():
        require_whole(paths, sharded="all" not in parts)
    order = sorted(parts, reverse=True)  # train before test
    if order == ["train"]:
        notes.append("The folder has no test part, so its train part is split.")
    return {
        "all" if order == ["train"] else part: (parts[part], _labels_of(folder, part))
        for part in order
    }


def _labels_of(folder: Path, part: str) -> Path | None:
    beside = [folder / f"{part}_labels{suffix}" for suffix in LABEL_SUFFIXES]
    return next((path for path in beside if path.exists()), None)
