"""How pictures lie on a disk: one file, one layout.

A layout is a module with ``recognises(folder) -> bool``, which looks at names only, and
``read(folder, notes) -> {"train": Pictures, "test": …}`` or ``{"all": …}``; sentences that a
person should know go into ``notes``.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metriscope.data.pictures import Pictures

# In the order they are tried: class_folders, which takes any folder of folders, comes last.
ORDER = ("cifar_batches", "idx", "cub", "cars", "tiny_imagenet", "class_folders")


def read_pictures(folder: Path, notes: list[str]) -> dict[str, Pictures] | None:
    """The pictures of a folder by part, or None if it has no layout known here.

    Raises:
        InputError: a known layout that is incomplete or damaged.
    """
    for name in ORDER:
        layout = importlib.import_module(f"metriscope.data.layouts.{name}")
        if layout.recognises(folder):
            parts: dict[str, Pictures] = layout.read(folder, notes)
            return parts
    return None
