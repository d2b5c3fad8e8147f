"""Published datasets by name: a local copy in any layout, else the hub, checked on load."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metriscope.data.hub_layout import PATTERNS, parquet_parts
from metriscope.data.layouts import read_pictures
from metriscope.data.pictures import Pictures
from metriscope.data.pins import pinned
from metriscope.disk import StorageError
from metriscope.text import plain
from metriscope.types import InputError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_PATIENCE = 10.0  # seconds to wait for the hub's first answer
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)


@dataclass(frozen=True)
class Published:
    """A dataset as it was published.

    Attributes:
        name: as people type it.
        repo: on the hub, ``owner/name``.
        revision: its commit; None: the newest at first use, which is kept from then on.
        train, test, classes: how many pictures and classes.
        per_class: training pictures of every class, where all have the same.
        folders: what archives call it, below ``METRISCOPE_DATA``; its name comes first anyway.
        class_names: in the order of the labels, for copies that have numbers only.
    """

    name: str
    repo: str
    revision: str | None
    train: int
    test: int
    classes: int
    per_class: int | None = None
    folders: tuple[str, ...] = ()
    class_names: tuple[str, ...] | None = None


def load_published(what: Published, folder: str = "") -> Mapping[str, Pictures]:
    """The train and the test part: from ``folder``, ``METRISCOPE_DATA`` or the hub, in this order.

    A folder may have any layout of :mod:`metriscope.data.layouts`, or Parquet as the hub lays it
    out. On the hub it is the Parquet files of both parts at one commit, and no other. They stay in
    the hub's own cache, and are found there without a network. ``datasets.load_dataset`` would
    fetch every part (the copy of Stanford Cars has seven more, of 4 GB), keep a second copy of the
    rows, and take another commit where it has no network.

    Raises:
        InputError: it is nowhere, or has other sizes or classes than the published dataset.
        StorageError: no room to put it.
    """
    place = Path(folder).expanduser() if folder else _kept(what)
    if place is None:
        paths, where = _from_hub(what)
        found: Mapping[str, Pictures] | None = _read_parquet(paths)
    else:
        found, where = _local(what, place), str(place)
    if found is None:
        raise InputError(
            f"{where}: no layout of {what.name} that is known here: neither its original archive "
            "unpacked, nor train-00000-of-00001.parquet and its like, nor a folder a class."
        )
    return {part: _checked(what, found, part, where) for part in ("train", "test")}


def _local(what: Published, folder: Path) -> Mapping[str, Pictures] | None:
    try:
        if not folder.is_dir():
            raise InputError(f"{what.name}: {folder} is no folder; folder= must name its copy.")
        paths = parquet_parts(folder)
        if paths:
            return _read_parquet(paths)
        notes: list[str] = []
        found = read_pictures(folder, notes)
        # With the test part, which every copy that is accepted has.
        return found and {
            part: replace(pictures, notes=tuple(notes) if part == "test" else ())
            for part, pictures in found.items()
        }
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror or error}.") from error


def _read_parquet(paths: Mapping[str, list[Path]]) -> Mapping[str, Pictures]:
    from metriscope.data.parquet_pictures import read_parquet_pictures

    return {part: read_parquet_pictures(files) for part, files in paths.items()}


def _root() -> Path | None:
    root = os.environ.get("METRISCOPE_DATA")
    return Path(root).expanduser() if root else None


def _kept(what: Published) -> Path | None:
    """The dataset's folder below ``METRISCOPE_DATA``, if there is one."""
    root = _root()
    if root is None:
        return None
    if not root.is_dir():
        raise InputError(f"METRISCOPE_DATA is {root}, which is no folder; correct or unset it.")
    places = [root / name for name in (what.name, *what.folders)]
    return next((place for place in places if place.is_dir()), None)


def _from_hub(what: Published) -> tuple[Mapping[str, list[Path]], str]:
    """Parquet files of both parts, and what to call them."""
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise InputError(
            f"{what.name} comes from the Hugging Face hub: pip install 'metriscope[images]'. "
            + _advice(what)
        ) from error
    try:
        revision = what.revision or pinned("datasets", what.repo, lambda: _newest(HfApi(), what))
        paths = _snapshot(what, revision, local=True)
        if paths is None:
            _newest(HfApi(), what, revision)  # one request, since a download tries many times
            paths = _snapshot(what, revision, local=False)
    except Exception as error:  # of any of the hub's libraries
        if isinstance(error, InputError | StorageError):
            raise
        if isinstance(error, OSError) and error.errno in _DISK:
            raise StorageError(
                f"{what.name}: cannot be fetched: {error.strerror}. Set HF_HOME to a folder with "
                "room that can be written."
            ) from error
        raise InputError(
            f"{what.name}: not on this machine, and the hub cannot be reached ({_reason(error)}). "
            + _advice(what)
        ) from error
    if paths is None:
        raise InputError(
            f"{what.name}: {what.repo} at {revision[:7]} has no Parquet files of a train and a "
            f"test part. {_advice(what)}"
        )
    return paths, f"{what.repo} at {revision[:7]}"


def _newest(api: HfApi, what: Published, revision: str | None = None) -> str:
    """The commit that a revision, by default the newest, stands for."""
    commit = api.dataset_info(what.repo, revision=revision, timeout=_PATIENCE).sha
    if commit is None:
        raise InputError(f"{what.name}: the hub names no commit of {what.repo}; try again later.")
    return commit


def _snapshot(what: Published, revision: str, *, local: bool) -> Mapping[str, list[Path]] | None:
    """The Parquet files of one commit, from the hub's cache alone or fetched into it.

    None if they are not, or not all, in the cache, or the repository has none.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        with _quiet():
            folder = snapshot_download(
                what.repo,
                repo_type="dataset",
                revision=revision,
                allow_patterns=PATTERNS,
                local_files_only=local,
            )
        paths = parquet_parts(Path(folder))
    except (LocalEntryNotFoundError, InputError):
        if local:
            return None
        raise
    return paths if paths and len(paths) == 2 else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the hub's warnings, and its progress bars where nobody would see them move."""
    utils: Any = importlib.import_module("huggingface_hub.utils")
    had_bars, level = not utils.are_progress_bars_disabled(), utils.logging.get_verbosity()
    if not sys.stderr.isatty():
        utils.disable_progress_bars()
    utils.logging.set_verbosity_error()
    try:
        yield
    finally:
        utils.logging.set_verbosity(level)
        if had_bars:
            utils.enable_progress_bars()


def _reason(error: BaseException) -> str:
    if type(error).__name__ == "OfflineModeIsEnabled":
        return "HF_HUB_OFFLINE is set"
    line = next(iter(str(error).splitlines()), "")
    return plain(f"{type(error).__name__}: {line}"[:160]).rstrip(": .")


def _advice(what: Published) -> str:
    """Where it was looked for, and how to give a copy."""
    root = _root()
    names = " or ".join((what.name, *what.folders))
    looked = "METRISCOPE_DATA is not set" if root is None else f"no {names} in {root}"
    return (
        f"Give a local copy: {what.name}:folder=PATH, or a folder {what.name} in METRISCOPE_DATA "
        f"({looked}; nor is {what.repo} in the hub's cache)."
    )


def _checked(what: Published, parts: Mapping[str, Pictures], part: str, where: str) -> Pictures:
    """A part, if it has the published size and classes."""
    if part not in parts:
        raise _differs(what, where, f"no {part} part", "one")
    pictures, size = parts[part], {"train": what.train, "test": what.test}[part]
    kind = {"train": "training", "test": "test"}[part]
    if len(pictures) != size:
        raise _differs(what, where, f"{len(pictures):,} {kind} pictures", f"{size:,}")
    counts = np.bincount(pictures.labels.codes)
    counts = counts[counts > 0]
    if len(counts) != what.classes:
        raise _differs(what, where, f"{len(counts)} classes in its {part} part", f"{what.classes}")
    if part == "train" and what.per_class and counts.min() != what.per_class:
        odd = f"{counts.min():,} training pictures of one class"
        raise _differs(what, where, odd, f"{what.per_class:,} of each")
    numbered = set(pictures.labels.values) == set(range(what.classes))
    if what.class_names is None or not numbered:
        return pictures
    return replace(pictures, class_names=what.class_names)


def _differs(what: Published, where: str, found: str, published: str) -> InputError:
    return InputError(
        f"{what.name}: {where} has {found} where the published set has {published}: another "
        "version, or incomplete. Load it by its path to use it as it is."
    )
