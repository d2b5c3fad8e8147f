"""Parquet as the Hugging Face hub lays it out: ``train-00000-of-00002.parquet``, in shards."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from metriscope.data.table import show, show_some
from metriscope.types import InputError

# Older uploads have a hash behind: train-00000-of-00001-1359597a978bc4fa.parquet
SHARD = re.compile(
    r"(?P<part>.+?)-(?P<index>[0-9]{5})-of-(?P<count>[0-9]{5})(?:-[0-9a-f]{8,64})?", re.ASCII
)
TEST_NAMES = ("test", "valid", "validation", "val")  # the first that is there is the test part
PATTERNS = [f"{folder}{part}-*.parquet" for folder in ("", "*/") for part in ("train", *TEST_NAMES)]


def parquet_parts(folder: Path) -> dict[str, list[Path]] | None:
    """Parquet files by part, shards complete and in order; None if none is named after a part.

    Looks in the folder, else in its sub-folders (the hub has ``data/``, ``plain_text/``). A part
    is ``train-00000-of-00001.parquet``, with a hash behind or not, or ``train.parquet``. ``valid``,
    ``validation`` or ``val`` is the test part where there is no ``test``.

    Raises:
        InputError: a missing shard, two files of one part or shard, two sub-folders with parts.
    """
    found = _by_part(folder)
    if not found:
        below = [path for path in folder.iterdir() if path.is_dir() and path.name[0] != "."]
        several = {path: parts for path in sorted(below) if (parts := _by_part(path))}
        if len(several) > 1:
            raise InputError(
                f"{folder}: {show_some(path.name for path in several)} each hold Parquet files of "
                "a train or test part; give one of them."
            )
        found = next(iter(several.values()), {})
    for paths in found.values():
        require_whole(paths)
    test = next((found[name] for name in TEST_NAMES if name in found), None)
    parts = {"train": found.get("train", []), "test": test or []}
    return {part: paths for part, paths in parts.items() if paths} or None


def require_whole(paths: Sequence[Path], sharded: bool = True) -> None:
    """Several files must be all the shards of one table.

    Args:
        paths: files of one folder.
        sharded: whether several files must be shards at all.

    Raises:
        InputError: a shard is missing or there twice, or files that are no shards of one table.
    """
    shards = [SHARD.fullmatch(path.stem) for path in paths]
    if sharded and len(paths) > 1 and not all(shards):
        raise InputError(
            f"{paths[0].parent}: {show_some(p.name for p in paths)} each hold the same part; "
            "keep one."
        )
    tables: dict[tuple[str, int], list[int]] = {}
    for shard in shards:
        if shard:
            key = shard["part"], int(shard["count"])
            tables.setdefault(key, []).append(int(shard["index"]))
    if sharded and len(tables) > 1:
        raise InputError(
            f"{paths[0].parent}: shards of {show_some(f'{p}, {n} in all' for p, n in tables)}; "
            "keep the files of one."
        )
    for (part, count), present in tables.items():
        lost = sorted(set(range(count)) - set(present))
        if lost:
            raise InputError(
                f"{paths[0].parent}: of the {count} shards of {part!r}, number "
                f"{lost[0]:05d} is missing; fetch all of them."
            )
        if len(present) > count:
            raise InputError(
                f"{paths[0].parent}: {len(present)} files for the {count} shards of "
                f"{show(part)}; keep one of each number."
            )


def _by_part(folder: Path) -> dict[str, list[Path]]:
    """Sorted Parquet files of a folder that are named after a part."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.parquet")):
        shard = SHARD.fullmatch(path.stem)
        part = shard["part"] if shard else path.stem
        if part in ("train", *TEST_NAMES):
            found.setdefault(part, []).append(path)
    return found
