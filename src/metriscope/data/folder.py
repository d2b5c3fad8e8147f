"""Folders as sources: files named after their part, and Parquet in shards."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from metriscope.data.files import LABEL_SUFFIXES, READERS, read_table
from metriscope.data.table import Table, show_some
from metriscope.types import InputError

_SHARD = re.compile(r"(?P<part>.+?)-(?P<index>[0-9]{5})-of-(?P<count>[0-9]{5})")


def read_folder(folder: Path, labels: Path | None, notes: list[str]) -> dict[str, Table]:
    """Tables of a folder: ``train`` and ``test``, or ``test``, or ``all``.

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
            shard = _SHARD.fullmatch(path.stem)
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
        _require_one_table(paths, sharded="all" not in parts)
    order = sorted(parts, reverse=True)  # train before test
    tables = {part: read_table(parts[part], _labels_of(folder, part)) for part in order}
    if list(tables) == ["train"]:
        notes.append("The folder has no test part, so its train part is split.")
        return {"all": tables["train"]}
    return tables


def _require_one_table(paths: Sequence[Path], sharded: bool) -> None:
    """Several files must be all the shards of one table."""
    shards = [_SHARD.fullmatch(path.stem) for path in paths]
    if sharded and len(paths) > 1 and not all(shards):
        raise InputError(
            f"{paths[0].parent}: {show_some(p.name for p in paths)} each hold the same part; "
            "keep one."
        )
    present = [shard for shard in shards if shard]
    for shard in present:
        count = int(shard["count"])
        own = {int(s["index"]) for s in present if s.group(1, 3) == shard.group(1, 3)}
        lost = sorted(set(range(count)) - own)
        if lost:
            raise InputError(
                f"{paths[0].parent}: of the {count} shards of {shard['part']!r}, number "
                f"{lost[0]:05d} is missing; fetch all of them."
            )


def _labels_of(folder: Path, part: str) -> Path | None:
    beside = [folder / f"{part}_labels{suffix}" for suffix in LABEL_SUFFIXES]
    return next((path for path in beside if path.exists()), None)
