"""One run after another, asked for by lines of JSON on standard input, told on standard output.

A separate process so that a run that is killed (out of memory, say) takes nothing else with it,
and so that each has its own number of threads. Started by :mod:`metriscope.grid` as
``python -m metriscope.worker``; it needs nothing of the caller's main module.
"""

from __future__ import annotations

import gc
import hashlib
import importlib
import importlib.util
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metriscope.disk import StorageError
from metriscope.kept import QUERIES, write_queries
from metriscope.store import Store
from metriscope.types import Dataset, Embeddings, InputError, RunResult, RunSpec

Emit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Job:
    """A run to do: where its data lies, where its results go, what to import first."""

    spec: RunSpec
    data: Path
    out: Path
    threads: int
    device: str = "cpu"
    imports: tuple[str, ...] = ()

    def to_json(self) -> str:
        """One line."""
        return json.dumps(
            {
                "spec": self.spec.to_dict(),
                "data": str(self.data),
                "out": str(self.out),
                "threads": self.threads,
                "device": self.device,
                "imports": self.imports,
            }
        )

    @classmethod
    def from_json(cls, line: str) -> Job:
        """The inverse of :meth:`to_json`."""
        data = json.loads(line)
        return cls(
            spec=RunSpec.from_dict(data["spec"]),
            data=Path(data["data"]),
            out=Path(data["out"]),
            threads=data["threads"],
            device=data["device"],
            imports=tuple(data["imports"]),
        )


def execute(job: Job, emit: Emit) -> None:
    """Do one run and write its files.

    Emits ``{"epoch", "loss"}`` as it goes and, at the end, one of ``{"end": "done"}``,
    ``{"end": "failed", "error"}``, ``{"end": "storage", "error"}``.
    """
    store, start = Store(job.out), time.perf_counter()
    try:
        try:
            _run(job, store, emit)
        except StorageError:
            raise
        except Exception as error:
            from metriscope.train import TrainingError, versions

            sentence = explain(error)
            traceback.print_exc()
            store.save_run(
                RunResult(
                    job.spec,
                    "failed",
                    trace=error.trace if isinstance(error, TrainingError) else {},
                    seconds=time.perf_counter() - start,
                    versions=versions(),
                    error=sentence,
                )
            )
            emit({"end": "failed", "error": sentence})
    except StorageError as error:
        emit({"end": "storage", "error": str(error)})


def _run(job: Job, store: Store, emit: Emit) -> None:
    import torch
    from threadpoolctl import threadpool_limits

    from metriscope.train import train

    for module in job.imports:
        import_code(module)
    before = torch.get_num_threads()
    torch.set_num_threads(job.threads)
    try:
        with threadpool_limits(job.threads):  # scikit-learn's and NumPy's
            trained = train(
                job.spec,
                load_scratch(job.data, job.spec),
                on_epoch=lambda epoch, loss: emit({"epoch": epoch, "loss": loss}),
                device=job.device,
            )
    finally:
        torch.set_num_threads(before)
    weights = {f"head.{k}": v for k, v in trained.head.state_dict().items()}
    weights |= {f"loss.{k}": v for k, v in trained.loss.state_dict().items()}
    write_queries(store.run_folder(job.spec.key) / QUERIES, trained.queries)
    store.save_run(trained.result, trained.embeddings, weights)
    emit({"end": "done"})


def explain(error: BaseException) -> str:
    """One sentence for a failed run."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, MemoryError) or "allocate memory" in text or "out of memory" in text:
        return f"out of memory: {text[:200]} Use a smaller batch size, or fewer --jobs."
    return text[:500] if isinstance(error, InputError) else f"{type(error).__name__}: {text[:500]}"


def import_code(name: str) -> None:
    """Import a module by name, or a Python file by path, for the components it registers.

    Raises:
        InputError: there is none, or it fails.
    """
    try:
        if not name.endswith(".py"):
            if str(Path.cwd()) not in sys.path:
                sys.path.append(str(Path.cwd()))  # last: its files replace no other module
            importlib.import_module(name)
            return
        path = Path(name).resolve()
        # A name of its own: the file may be called like another module.
        own = f"{path.stem}_{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
        if own in sys.modules:
            return
        spec = importlib.util.spec_from_file_location(own, path)
        if spec is None or spec.loader is None:
            raise InputError(f"cannot import {name}.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[own] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[own]
            raise
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"cannot import {name}: {type(error).__name__}: {error}.") from error


def save_scratch(folder: Path, dataset: Dataset) -> None:
    """Write a dataset's arrays for workers to map into memory, one copy for all of them.

    What is there already is left; a folder beside it, of other data, is removed.
    """
    if (folder / "classes.json").exists():  # written last
        return
    for other in folder.parent.iterdir():
        shutil.rmtree(other, ignore_errors=True)
    folder.mkdir()
    parts = {"train": dataset.train, "test": dataset.test, "validation": dataset.validation}
    for split, part in parts.items():
        if part is not None:
            np.save(folder / f"{split}_x.npy", part.x)
            np.save(folder / f"{split}_y.npy", part.y)
            np.save(folder / f"{split}_ids.npy", part.ids)
    (folder / "classes.json").write_text(json.dumps(dataset.train.class_names), encoding="utf-8")


def load_scratch(folder: Path, spec: RunSpec) -> Dataset:
    """The inverse of :func:`save_scratch`."""
    names = tuple(json.loads((folder / "classes.json").read_text(encoding="utf-8")))

    def part(split: str) -> Embeddings:
        return Embeddings(
            # copy on write: never written to, but torch wants arrays that could be
            np.load(folder / f"{split}_x.npy", mmap_mode="c"),
            np.load(folder / f"{split}_y.npy"),
            names,
            split,
            spec.dataset,
            np.load(folder / f"{split}_ids.npy"),
        )

    return Dataset(
        spec.dataset,
        part("train"),
        part("test"),
        spec.split,
        spec.fingerprint,
        validation=part("validation") if spec.validation else None,
    )


def main() -> None:
    """Serve until standard input closes."""
    # Whatever a loss, a library or a child process prints must not get between the lines: they
    # find standard error where standard output was.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def emit(event: dict[str, Any]) -> None:
        try:
            out.write(json.dumps(event) + "\n")
            out.flush()
        except BrokenPipeError:  # the parent is gone, and with it the reason to go on
            os._exit(1)

    emit({"ready": True})
    importlib.import_module("metriscope.train")  # seconds, while the data are being written
    for line in sys.stdin:
        execute(Job.from_json(line), emit)
        gc.collect()


if __name__ == "__main__":
    main()
