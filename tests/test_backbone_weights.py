"""Weights from a hub: a small server stands in for it; and which revision a machine keeps to."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants

from metriscope.data.backbones import resolve
from metriscope.data.backbones._checkpoint import wanted
from metriscope.data.pins import pinned
from metriscope.disk import StorageError
from metriscope.types import InputError
from tests import tiny_models
from tests.tiny_models import digest

OLD, NEW = "1" * 40, "2" * 40
CLIP = "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268"
REPOS = {  # repository → its branches and commits
    "someone/tiny": {"main": OLD, OLD: OLD, "next": NEW, NEW: NEW},
    "openai/clip-vit-base-patch32": {"main": CLIP, CLIP: CLIP},
}


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's API as a download takes."""

    folder: Path
    asked: list[str]

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        parts = self.path.partition("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            self.api("/".join(parts[2:4]), parts[4:])
        elif len(parts) == 5 and parts[2] == "resolve":
            self.file("/".join(parts[:2]), parts[3], parts[4])
        else:
            self.refuse("EntryNotFound")

    def api(self, repo: str, rest: list[str]) -> None:
        if repo == "someone/gated":
            return self.refuse("GatedRepo", 403)
        if repo not in REPOS:
            return self.refuse("RepoNotFound")
        commit = REPOS[repo].get(rest[1] if len(rest) > 1 else "main")
        if commit is None:
            return self.refuse("RevisionNotFound")
        files = sorted(self.folder.iterdir())
        if rest[:1] == ["tree"]:
            return self.answer(
                [
                    {
                        "type": "file",
                        "path": f.name,
                        "size": f.stat().st_size,
                        "oid": hashlib.sha1(f.read_bytes()).hexdigest(),
                    }
                    for f in files
                ]
            )
        return self.answer(
            {"id": repo, "sha": commit, "siblings": [{"rfilename": f.name} for f in files]}
        )

    def file(self, repo: str, commit: str, name: str) -> None:
        content = (self.folder / name).read_bytes()
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def answer(self, content: object) -> None:
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, code: str, status: int = 404) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache and ours, both empty, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("METRISCOPE_CACHE", str(tmp_path / "cache"))
    huggingface_hub.close_session()
    return tmp_path / "hub"


@pytest.fixture
def hub(offline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    """A hub that answers."""
    Hub.folder, Hub.asked = tiny_models.save("clip", tmp_path / "remote"), []
    for extra in ("pytorch_model.bin", "tf_model.h5", "README.md"):
        (Hub.folder / extra).write_bytes(b"not needed")
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            constants.ENDPOINT + "/{repo_id}/resolve/{revision}/{filename}",
        )
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        huggingface_hub.close_session()
        yield Hub
        huggingface_hub.close_session()
        server.shutdown()
        thread.join()


def error_of(text: str) -> str:
    with pytest.raises(InputError) as caught:
        resolve(text, [], digest)
    assert str(caught.value).count("\n") == 0
    return str(caught.value)


def test_what_is_needed_is_downloaded_once_and_then_works_offline(
    hub: type[Hub], offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = resolve("clip-vit-b32", [], digest)
    assert found.name == "clip-vit-b32"
    weights = {"repo": "openai/clip-vit-base-patch32", "revision": CLIP}
    assert found.recipe["weights"] == weights
    names = {path.name for path in offline.glob("models--*/snapshots/*/*")}
    assert names == {"config.json", "preprocessor_config.json", "model.safetensors"}

    hub.asked.clear()
    assert resolve("clip-vit-b32", [], digest).recipe == found.recipe
    assert hub.asked == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert resolve("clip-vit-b32", [], digest).load("cpu", "float32").dim == 32


def test_the_revision_of_the_first_use_is_kept(
    hub: type[Hub], offline: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = resolve("hf:someone/tiny", [], digest)
    assert found.name == "hf:tiny"
    assert found.recipe["weights"]["revision"] == OLD
    pins = json.loads((tmp_path / "cache" / "pins.json").read_text())
    assert pins == {"models": {"someone/tiny": OLD}}
    monkeypatch.setitem(REPOS["someone/tiny"], "main", NEW)
    assert resolve("hf:someone/tiny", [], digest).recipe == found.recipe

    branch = resolve("hf:someone/tiny@next", [], digest)
    assert branch.name == "hf:tiny@next"
    assert branch.recipe["weights"]["revision"] == NEW
    commit = resolve(f"hf:someone/tiny@{NEW}", [], digest)
    assert commit.recipe == branch.recipe


def test_a_download_that_was_cut_off_is_completed_or_said(
    hub: type[Hub], offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = resolve("clip-vit-b32", [], digest).recipe
    weights = next(offline.glob("models--*/snapshots/*/model.safetensors"))
    weights.unlink()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.close_session()
    assert "no weights on this machine" in error_of("clip-vit-b32")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    huggingface_hub.close_session()
    assert resolve("clip-vit-b32", [], digest).recipe == recipe
    assert weights.exists()


def test_what_the_hub_refuses(hub: type[Hub]) -> None:
    assert "no repository 'someone/else'" in error_of("hf:someone/else")
    assert "no revision 'gone'" in error_of("hf:someone/tiny@gone")
    assert f"no revision {'9' * 7}." in error_of(f"hf:someone/tiny@{'9' * 40}")
    assert "accept its terms" in error_of("hf:someone/gated")


def test_a_repository_without_weights(hub: type[Hub]) -> None:
    for name in ("model.safetensors", "pytorch_model.bin"):
        (hub.folder / name).unlink()
    assert "has no model.safetensors or pytorch_model.bin" in error_of("clip-vit-b32")


def test_no_room_for_a_download(
    hub: type[Hub], offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = huggingface_hub.snapshot_download

    def full(*args: Any, local_files_only: bool = False, **kwargs: Any) -> str:
        if local_files_only:
            return real(*args, local_files_only=True, **kwargs)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", full)
    with pytest.raises(StorageError, match=f"{offline}: No space left on device. Free some"):
        resolve("clip-vit-b32", [], digest)


@pytest.mark.parametrize(
    ("text", "repo", "option"),
    [
        ("clip-vit-b32", "openai/clip-vit-base-patch32 at revision 3d74acf", "clip-vit-b32:FOLDER"),
        ("dinov2-small", "facebook/dinov2-small at revision ed25f3a", "dinov2-small:FOLDER"),
        ("vit-b32", "google/vit-base-patch32-224-in21k at revision 'main'", "vit-b32:FOLDER"),
        ("hf:someone/tiny@v1", "someone/tiny at revision 'v1'", "hf:FOLDER"),
    ],
)
def test_offline_without_weights(text: str, repo: str, option: str, offline: Path) -> None:
    start = time.perf_counter()
    message = error_of(text)
    assert time.perf_counter() - start < 2
    assert f"looked for {repo} in {offline}, " in message
    assert "HF_HUB_OFFLINE is set" in message
    assert f"--backbone {option} (config.json, model.safetensors, preproc" in message


def test_a_hub_that_does_not_answer_is_given_up_soon(
    offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        huggingface_hub.close_session()
        start = time.perf_counter()
        message = error_of("clip-vit-b32")
        assert time.perf_counter() - start < 5
    assert "the hub cannot be reached (ConnectError" in message
    huggingface_hub.close_session()


def test_safetensors_are_wanted_and_bin_only_where_there_are_none() -> None:
    both = ["config.json", "model.safetensors", "pytorch_model.bin", "tf_model.h5"]
    assert wanted(both) == ["config.json", "model.safetensors"]
    assert wanted([both[0], *both[2:]]) == ["config.json", "pytorch_model.bin"]
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    others = ["pytorch_model-00001-of-00001.bin", "model-00001-of-00002.fp16.safetensors"]
    index = "model.safetensors.index.json"
    assert wanted([index, *shards, *others]) == [index, *shards]


# --------------------------------------------------------------------------------------------- pins


@pytest.fixture
def pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("METRISCOPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pins.json"


def test_pins_are_asked_for_once_and_by_kind(pins: Path) -> None:
    assert pinned("models", "a/b", lambda: OLD) == OLD
    assert pinned("models", "a/b", lambda: NEW) == OLD
    assert pinned("datasets", "a/b", lambda: NEW) == NEW
    assert json.loads(pins.read_text()) == {"models": {"a/b": OLD}, "datasets": {"a/b": NEW}}


def test_pins_of_several_at_once_agree_and_lose_none(pins: Path) -> None:
    def pin(i: int) -> str:
        def answer() -> str:
            time.sleep(0.01)
            return f"{i:040d}"

        pinned("models", f"own/{i}", answer)
        return pinned("models", "shared/one", answer)

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(pin, range(8)))
    assert len(answers) == 1
    assert len(json.loads(pins.read_text())["models"]) == 9


def test_no_pin_is_kept_of_an_answer_that_did_not_come(pins: Path) -> None:
    def fail() -> str:
        raise InputError("no network")

    with pytest.raises(InputError, match="no network"):
        pinned("models", "a/b", fail)
    assert pinned("models", "a/b", lambda: OLD) == OLD


@pytest.mark.parametrize("content", ["", "{", "[]", '{"models": []}', '{"models": {"a/b": 3}}'])
def test_damaged_pins_are_made_again(content: str, pins: Path) -> None:
    pins.parent.mkdir()
    pins.write_text(content)
    assert pinned("models", "a/b", lambda: OLD) == OLD
    assert json.loads(pins.read_text())["models"] == {"a/b": OLD}


def test_a_cache_that_cannot_be_written_still_answers(pins: Path) -> None:
    pins.parent.write_text("a file where the folder should be")
    assert pinned("models", "a/b", lambda: OLD) == OLD
