"""Losses × seeds: what is done, what is left, who runs it.

Finished runs are read from the store. The others go to worker processes, which are restarted when
they die: a run that fails is recorded, and the rest goes on.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol

from metriscope.disk import StorageError, storage_errors
from metriscope.store import Store
from metriscope.types import Dataset, RunResult, RunSpec
from metriscope.worker import Job, execute, save_scratch


class Observer(Protocol):
    """Is told what happens while the grid runs."""

    def plan(self, runs: int, what: str = "runs") -> None:
        """How many there will be, finished ones included: ``runs``, or ``trials`` of a tuning."""

    def epoch(self, spec: RunSpec, epoch: int, loss: float) -> None:
        """A run has finished an epoch; epoch 0 is before any update."""

    def finished(self, result: RunResult, *, cached: bool) -> None:
        """A run is done or has failed; ``cached`` if it was done before."""


class Silent:
    """An observer that says nothing."""

    def plan(self, runs: int, what: str = "runs") -> None:
        """Nothing."""

    def epoch(self, spec: RunSpec, epoch: int, loss: float) -> None:
        """Nothing."""

    def finished(self, result: RunResult, *, cached: bool) -> None:
        """Nothing."""


def cores() -> int:
    """Cores this process may use: those it may run on, and no more than its container's limit."""
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    return max(1, int(min(allowed, cpu_limit())))


def cpu_limit(root: Path = Path("/")) -> float:
    """The lowest CPU limit of this process's control groups, in cores; infinite without one.

    The affinity does not show it: a container that gets 2 cores' time may run on all 64. A group's
    limit holds for those below it, so every group from the mount down to the process's is read.

    Args:
        root: of the file system.
    """
    limits = [math.inf]
    with contextlib.suppress(OSError, ValueError):  # not Linux
        for line in (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, group = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            folder = root / "sys/fs/cgroup" / ("cpu" if controllers else "")  # version 1, 2
            limits.append(_group_limit(folder))
            for name in group.strip("/").split("/"):
                folder /= name
                limits.append(_group_limit(folder))
    return min(limits)


def _group_limit(folder: Path) -> float:
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
            quota, period = (int(w) for name in names for w in (folder / name).read_text().split())
            if quota > 0 and period > 0:
                return quota / period
    return math.inf


def threads_for(jobs: int) -> int:
    """Threads of each job, so that jobs × threads is at most the number of cores.

    A rule, not a measurement at run time: the number of threads decides the last bits of a result,
    and results must not depend on the clock.
    """
    return max(1, cores() // jobs)


def run(
    specs: Sequence[RunSpec],
    dataset: Dataset,
    store: Store,
    *,
    jobs: int,
    observer: Observer,
    device: str = "cpu",
    imports: tuple[str, ...] = (),
    in_process: bool = False,
) -> list[RunResult]:
    """Do every run that is not done yet.

    Args:
        specs: the runs, in the order of the results.
        dataset: their data.
        store: claimed and locked by the caller.
        jobs: worker processes; each has ``cores // jobs`` threads.
        observer: told of progress.
        device: for all runs.
        imports: modules or files that register components; imported by each worker.
        in_process: run here, one after another; for losses that exist only in this process.

    Returns:
        One result a spec. A failed run is among them, with its error.

    Raises:
        StorageError: results cannot be written. Finished runs are kept.
        KeyboardInterrupt: after the workers have been stopped. Finished runs are kept.
    """
    observer.plan(len(specs))
    results: dict[str, RunResult] = {}
    left: deque[RunSpec] = deque()
    for spec in specs:
        done = store.finished(spec)
        if done is None:
            left.append(spec)
        else:
            results[spec.key] = done
            observer.finished(done, cached=True)
    if left:
        threads = threads_for(jobs)
        place = store.scratch / f"{dataset.fingerprint[:16]}-{len(dataset.train)}"
        todo = deque(Job(spec, place, store.folder, threads, device, imports) for spec in left)

        def prepare() -> None:
            with storage_errors(store.scratch):
                save_scratch(place, dataset)

        loop = _here if in_process else partial(_in_workers, jobs=jobs)
        for result in loop(todo, prepare, store, observer):
            results[result.key] = result
    return [results[spec.key] for spec in specs]


def _here(
    todo: deque[Job], prepare: Callable[[], None], store: Store, observer: Observer
) -> list[RunResult]:
    prepare()
    results = []
    for job in todo:
        ends: list[dict[str, Any]] = []

        def emit(event: dict[str, Any], job: Job = job, ends: list[dict[str, Any]] = ends) -> None:
            if "end" in event:
                ends.append(event)
            else:
                observer.epoch(job.spec, event["epoch"], event["loss"])

        execute(job, emit)
        results.append(_conclude(job, ends[-1], store, observer))
    return results


def _conclude(job: Job, event: dict[str, Any], store: Store, observer: Observer) -> RunResult:
    """The result of a run that has ended; read back from disk, so that what counts is kept."""
    if event["end"] == "storage":
        raise StorageError(event["error"])
    result = store.read_run(job.spec)
    if result is None or result.status != event["end"]:
        error = event.get("error") or "its result could not be read back from the disk."
        result = RunResult(job.spec, "failed", error=error)
    observer.finished(result, cached=False)
    return result


# ---------------------------------------------------------------------------------------- workers


@dataclass(eq=False)
class _Worker:
    process: subprocess.Popen[str]
    log: IO[str]  # what it says on standard error
    reader: threading.Thread
    job: Job | None = None


def _in_workers(
    todo: deque[Job],
    prepare: Callable[[], None],
    store: Store,
    observer: Observer,
    *,
    jobs: int,
) -> list[RunResult]:
    """Workers load their libraries while ``prepare`` writes what they will read."""
    results: list[RunResult] = []
    inbox: queue.Queue[tuple[_Worker, str | None]] = queue.Queue()
    workers: list[_Worker] = []
    try:
        _hire(workers, todo, jobs, inbox)
        prepare()
        while todo or any(w.job for w in workers):
            _hire(workers, todo, jobs, inbox)
            for worker in workers:
                if worker.job is None and todo:
                    _give(worker, todo.popleft())
            worker, line = inbox.get()
            job = worker.job
            if line is None:  # the process has ended, by itself or by a signal
                workers.remove(worker)
                code = worker.process.wait()
                words = _last_words(worker)
                _stop(worker)
                if job is None:  # it had nothing to do, so nothing is lost
                    continue
                event: dict[str, Any] = {"end": "failed", "error": _obituary(code, words)}
                store.save_run(RunResult(job.spec, "failed", error=event["error"]))
            else:
                event = json.loads(line)
            if job is not None and "epoch" in event:
                observer.epoch(job.spec, event["epoch"], event["loss"])
            elif job is not None and "end" in event:
                worker.job = None
                results.append(_conclude(job, event, store, observer))
    finally:
        for worker in workers:
            _stop(worker)
    return results


def _hire(
    workers: list[_Worker],
    todo: deque[Job],
    jobs: int,
    inbox: queue.Queue[tuple[_Worker, str | None]],
) -> None:
    """Start as many workers as there is work for, ``jobs`` at most."""
    work = len(todo) + sum(w.job is not None for w in workers)
    while len(workers) < min(jobs, work):
        workers.append(_start(todo[0].threads, inbox))


def _start(threads: int, inbox: queue.Queue[tuple[_Worker, str | None]]) -> _Worker:
    """A new worker, its lines put into ``inbox``; None when it ends."""
    limits = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
    process = subprocess.Popen(
        # -P: not the working folder, whose files may be called like modules, but this process's
        # path, where the caller's own modules are.
        [sys.executable, "-P", "-m", "metriscope.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        encoding="utf-8",
        errors="replace",
        env={
            **os.environ,
            **dict.fromkeys(limits, str(threads)),
            "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # without it, products on a card may differ
            "PYTHONUTF8": "1",
            "PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path),
        },
        start_new_session=True,  # Ctrl-C is for the parent, which stops its workers itself
    )
    assert process.stdout is not None
    lines = process.stdout

    def read() -> None:
        try:
            for line in lines:
                inbox.put((worker, line))
        finally:
            inbox.put((worker, None))

    worker = _Worker(process, log, threading.Thread(target=read, daemon=True))
    worker.reader.start()
    return worker


def _give(worker: _Worker, job: Job) -> None:
    worker.job = job
    assert worker.process.stdin is not None
    # If it is dead, its end is already on the way to the inbox.
    with contextlib.suppress(BrokenPipeError):
        worker.process.stdin.write(job.to_json() + "\n")
        worker.process.stdin.flush()


def _stop(worker: _Worker) -> None:
    process = worker.process
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)  # with the children it may have left
    process.kill()
    process.wait()
    worker.reader.join()
    for pipe in (process.stdin, process.stdout, worker.log):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # a line it never read
                pipe.close()


def _obituary(code: int, words: str) -> str:
    if code == -9:
        return (
            "its process was killed (signal 9), most likely because memory ran out: "
            "use a smaller batch size, or fewer --jobs."
        )
    if code < 0:
        return f"its process was ended by signal {-code}: {words}"
    return f"its process ended with status {code}: {words}"


def _last_words(worker: _Worker) -> str:
    worker.log.seek(0)
    lines = [line.strip() for line in worker.log.read()[-2000:].splitlines() if line.strip()]
    return lines[-1] if lines else "it left no message."


def machine() -> str:
    """Processor, cores and system, in one line."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{name}, {cores()} cores, {platform.system()}"
