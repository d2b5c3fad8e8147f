"""Where a model's files are: a folder in the Hugging Face layout, given or from the hub's cache."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metriscope.data.pictures import Digest
from metriscope.data.pins import pinned
from metriscope.data.reading import reading
from metriscope.data.table import show, show_some
from metriscope.disk import storage_errors
from metriscope.text import plain
from metriscope.types import InputError

CONFIG = "config.json"
PREPROCESSING = ("preprocessor_config.json", "processor_config.json")
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # each also in shards, which an index lists
INDEX = ".index.json"
INSTALL = "pip install 'metriscope[images]'"

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPO = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", re.ASCII)
_SHARD = re.compile(r"(?P<stem>.+)-\d{5}-of-\d{5}(?P<suffix>\.\w+)")
_TIMEOUT = 10.0  # seconds for one request to the hub


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model whose files are all on this machine.

    Attributes:
        name: the backbone, as messages begin.
        folder: where they are.
        config: ``config.json``.
        preprocessing: the settings of the image processor, as its file has them.
        weights: the files with the tensors.
        identity: ``repo`` and ``revision``, or ``sha256`` of each file.
    """

    name: str
    folder: Path
    config: Mapping[str, Any]
    preprocessing: Mapping[str, Any]
    weights: tuple[Path, ...]
    identity: Mapping[str, Any]


def in_folder(name: str, folder: Path, digest: Digest) -> Checkpoint:
    """The checkpoint in a folder of the user's; known by what its files hold.

    Raises:
        InputError: no such folder, a file that is missing or damaged.
    """
    folder = folder.expanduser()
    if not folder.is_dir():
        what = "a file, where a folder is needed" if folder.exists() else "no such folder"
        raise InputError(f"{name}: {plain(folder)}: {what}.")
    weights, index = _weights(name, folder)
    settings, where = _preprocessing(name, folder)
    files = [folder / CONFIG, where, *index, *weights]
    hashes = {file.name: digest(file) for file in files}
    return Checkpoint(
        name,
        folder,
        _json(folder / CONFIG),
        settings,
        weights,
        {"sha256": dict(sorted(hashes.items()))},
    )


def on_hub(name: str, repo: str, revision: str | None, option: str) -> Checkpoint:
    """The checkpoint of a repository: from the hub's cache on this machine, else downloaded.

    Args:
        name: of the backbone, for messages.
        repo: ``owner/name``.
        revision: a commit; or a branch or a tag, None the main one: then the commit found at the
            first use is kept to.
        option: ``--backbone``'s value with a folder, for messages.

    Raises:
        InputError: not in the cache and the hub cannot be reached, or does not have it.
    """
    if not _REPO.fullmatch(repo):
        raise InputError(
            f"{name}: {show(repo)} is no folder here and no repository's name (owner/name)."
        )
    try:
        import huggingface_hub  # noqa: F401
    except ImportError as error:
        raise not_installed(name, "huggingface_hub") from error
    commit = revision
    if revision is None or not _COMMIT.fullmatch(revision):
        key = repo if revision is None else f"{repo}@{revision}"
        commit = pinned("models", key, lambda: _newest(name, repo, revision, option))
    assert commit is not None
    folder = _cached(repo, commit)
    if folder is None or not _is_whole(folder):
        folder = _download(name, repo, commit, option)
    return Checkpoint(
        name,
        folder,
        _json(folder / CONFIG),
        _preprocessing(name, folder)[0],
        _weights(name, folder)[0],
        {"repo": repo, "revision": commit},
    )


def not_installed(name: str, package: str) -> InputError:
    """The error for a package of the extra that is not there."""
    return InputError(f"{name} needs {package}, which is not installed: {INSTALL}")


def _json(file: Path) -> dict[str, Any]:
    with reading(file):
        found = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise InputError(f"{plain(file)}: holds no JSON object.")
    return found


def _weights(name: str, folder: Path) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """(the files with the tensors, the index that lists them if they are shards)."""
    if not (folder / CONFIG).is_file():
        raise _lacks(name, folder, CONFIG)
    for whole in WEIGHTS:
        file, index = folder / whole, folder / (whole + INDEX)
        if file.is_file():
            _no_pointer(file)
            return (file,), ()
        if index.is_file():
            names = _json(index).get("weight_map")
            if not isinstance(names, dict) or not names:
                raise InputError(f"{plain(index)}: no weight_map in it: truncated or damaged?")
            # Names come from a file: the last part only, so that none leads out of the folder.
            shards = tuple(folder / Path(str(shard)).name for shard in sorted(set(names.values())))
            for shard in shards:
                if not shard.is_file():
                    raise _lacks(name, folder, shard.name)
                _no_pointer(shard)
            return shards, (index,)
    raise _lacks(name, folder, " or ".join(WEIGHTS))


def _preprocessing(name: str, folder: Path) -> tuple[dict[str, Any], Path]:
    """(the settings of the image processor, the file they are in)."""
    plain_file, joint_file = (folder / file for file in PREPROCESSING)
    if joint_file.is_file():  # of a model for pictures and text; transformers looks here first
        part = _json(joint_file).get("image_processor")
        if isinstance(part, dict):
            return part, joint_file
    if not plain_file.is_file():
        raise _lacks(name, folder, plain_file.name)
    return _json(plain_file), plain_file


def _lacks(name: str, folder: Path, what: str) -> InputError:
    there = sorted(path.name for path in folder.iterdir())
    return InputError(
        f"{name}: {plain(folder)} has no {what} (it holds {show_some(there) or 'nothing'}). "
        f"Needed: {CONFIG}, {PREPROCESSING[0]} and the weights, {' or '.join(WEIGHTS)}."
    )


def _no_pointer(file: Path) -> None:
    with reading(file), file.open("rb") as opened:
        start = opened.read(40)
    if start.startswith(b"version https://git-lfs"):
        raise InputError(
            f"{plain(file)}: a Git LFS pointer, not the weights. Run 'git lfs pull' in that folder."
        )


def _is_whole(folder: Path) -> bool:
    """Whether a folder of the hub's cache has everything: a download may have been cut off."""
    try:
        _weights("", folder)
        _preprocessing("", folder)
    except InputError:
        return False
    return True


def wanted(names: Collection[str]) -> list[str]:
    """Of a repository's files, those to download: safetensors, .bin only where there is none."""
    found = [name for name in (CONFIG, *PREPROCESSING) if name in names]
    for whole in WEIGHTS:
        if whole in names:
            return [*found, whole]
        if whole + INDEX in names:
            return [*found, whole + INDEX, *_shards(names, Path(whole))]
    return found


def _shards(names: Iterable[str], whole: Path) -> list[str]:
    parts = ((name, _SHARD.fullmatch(name)) for name in names)
    return [
        name for name, m in parts if m and (m["stem"], m["suffix"]) == (whole.stem, whole.suffix)
    ]


def _cached(repo: str, revision: str) -> Path | None:
    """The folder of a revision in the hub's cache on this machine, whole or not."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        found = snapshot_download(
            repo, revision=revision, local_files_only=True, allow_patterns=[CONFIG]
        )
    except LocalEntryNotFoundError:
        return None
    return Path(found)


def _newest(name: str, repo: str, revision: str | None, option: str) -> str:
    """The commit of a branch or tag: what this machine has of it, else what the hub says."""
    folder = _cached(repo, revision or "main")
    if folder is not None and _is_whole(folder):
        return folder.name

    def ask() -> str:
        from huggingface_hub import HfApi

        return str(HfApi().model_info(repo, revision=revision, timeout=_TIMEOUT).sha)

    return _from_hub(name, repo, revision, option, ask)


def _download(name: str, repo: str, commit: str, option: str) -> Path:
    def fetch() -> str:
        from huggingface_hub import HfApi, snapshot_download

        info = HfApi().model_info(repo, revision=commit, timeout=_TIMEOUT)
        files = wanted([file.rfilename for file in info.siblings or []])
        return snapshot_download(repo, revision=commit, allow_patterns=files, etag_timeout=_TIMEOUT)

    return Path(_from_hub(name, repo, commit, option, fetch))


def _from_hub(
    name: str, repo: str, revision: str | None, option: str, ask: Callable[[], str]
) -> str:
    """What ``ask`` gets from the hub; an InputError if it does not."""
    from huggingface_hub import constants, errors

    shown = revision[:7] if revision and _COMMIT.fullmatch(revision) else show(revision or "main")
    cache = Path(constants.HF_HUB_CACHE)
    try:
        return ask()
    except errors.GatedRepoError as error:
        raise InputError(
            f"{name}: {repo} is open to those who accept its terms: do so on its page on the hub, "
            "then log in with 'hf auth login'."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise InputError(
            f"{name}: the hub has no repository {show(repo)}, or it is private (then log in with "
            "'hf auth login')."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise InputError(f"{name}: {repo} has no revision {shown}.") from error
    except Exception as error:  # of httpx, of the hub, or of the disk
        if type(error) in (OSError, PermissionError):
            with storage_errors(cache, "Free some space, or set HF_HOME to another folder."):
                raise
        reason = (
            "HF_HUB_OFFLINE is set"
            if constants.HF_HUB_OFFLINE
            else plain(f"{type(error).__name__}: {error}".splitlines()[0][:100])
        )
        raise InputError(
            f"{name}: no weights on this machine: looked for {repo} at revision {shown} in "
            f"{plain(cache)}, and the hub cannot be reached ({reason}). Give a local folder: "
            f"--backbone {option} ({CONFIG}, {WEIGHTS[0]}, {PREPROCESSING[0]})."
        ) from error
