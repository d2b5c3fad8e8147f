"""The grid: nothing finished is lost or done again, and one failure stays one."""

from __future__ import annotations

import math
import os
import signal
import time
from pathlib import Path

import pytest

from metriscope import grid
from metriscope.disk import StorageError
from metriscope.grid import Silent, cores, run, threads_for
from metriscope.store import Store
from metriscope.types import OptimizerSpec, RunResult, RunSpec
from tests.helpers import tiny_dataset, tiny_spec


class Witness(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.epochs: list[tuple[str, int]] = []
        self.ends: list[tuple[str, bool]] = []

    def epoch(self, spec: RunSpec, epoch: int, loss: float) -> None:
        self.epochs.append((spec.loss, epoch))

    def finished(self, result: RunResult, *, cached: bool) -> None:
        self.ends.append((result.key, cached))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.claim("tiny", "f" * 64)
    store.scratch.mkdir(exist_ok=True)
    return store


def strip(results: list[RunResult]) -> list[object]:
    """Everything but the clock."""
    return [
        (r.spec, r.status, r.scores, {k: v for k, v in r.trace.items() if k != "seconds"})
        for r in results
    ]


def test_results_come_in_the_order_asked_and_are_not_done_twice(store: Store) -> None:
    specs = [tiny_spec("scl"), tiny_spec("triplet"), tiny_spec("scl", 1)]
    witness = Witness()
    results = run(specs, tiny_dataset(), store, jobs=2, observer=witness)
    assert [r.spec for r in results] == specs
    assert all(r.status == "done" for r in results)
    assert sorted(witness.epochs) == sorted((s.loss, e) for s in specs for e in range(4))

    again = Witness()
    repeated = run(specs, tiny_dataset(), store, jobs=2, observer=again)
    assert repeated == results
    assert again.epochs == []
    assert again.ends == [(s.key, True) for s in specs]


def test_workers_and_this_process_give_the_same_numbers(store: Store, tmp_path: Path) -> None:
    specs = [tiny_spec("npair"), tiny_spec("arcface")]
    apart = run(specs, tiny_dataset(), store, jobs=cores(), observer=Silent())
    other = Store(tmp_path / "other")
    other.claim("tiny", "f" * 64)
    here = run(specs, tiny_dataset(), other, jobs=cores(), observer=Silent(), in_process=True)
    assert strip(here) == strip(apart)


def test_a_run_that_fails_is_recorded_and_tried_again_and_the_others_go_on(store: Store) -> None:
    bad = tiny_spec("scl", optimizer=OptimizerSpec(name="sgd", lr=1e38), epochs=5)
    specs = [bad, tiny_spec("scl")]
    results = run(specs, tiny_dataset(), store, jobs=1, observer=Silent())
    assert [r.status for r in results] == ["failed", "done"]
    assert "became nan" in (results[0].error or "")
    witness = Witness()
    run(specs, tiny_dataset(), store, jobs=1, observer=witness)
    assert dict(witness.ends) == {bad.key: False, specs[1].key: True}


KILLER = '''
import os, signal
from metriscope.losses import register
from metriscope.losses.triplet import Triplet

@register("killer")
class Killer(Triplet):
    """Kills its own process, as the system does when memory runs out."""
    def __init__(self, *, margin=0.5):
        super().__init__(margin=margin)
    def compute(self, z, labels):
        os.kill(os.getpid(), signal.{signal})
'''


@pytest.mark.parametrize(
    ("name", "message"), [("SIGKILL", "memory ran out"), ("SIGABRT", "ended by signal 6")]
)
def test_a_worker_that_dies_takes_nothing_with_it(
    store: Store, tmp_path: Path, name: str, message: str
) -> None:
    code = tmp_path / f"killer_{name.lower()}.py"
    code.write_text(KILLER.replace("{signal}", name))
    specs = [tiny_spec(), tiny_spec(seed=1), tiny_spec(seed=2)]
    killer = RunSpec(**{**vars(tiny_spec("scl")), "loss": "killer", "params": {}})
    specs.insert(1, killer)
    results = run(specs, tiny_dataset(), store, jobs=1, observer=Silent(), imports=(str(code),))
    assert [r.status for r in results] == ["done", "failed", "done", "done"], results[0].error
    assert message in (results[1].error or "")


def test_a_disk_that_fills_up_stops_the_grid_and_keeps_what_is_done(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [tiny_spec(seed=s) for s in range(3)]
    saved = 0
    real = Store.save_run

    def save(self: Store, *args: object) -> None:
        nonlocal saved
        saved += 1
        if saved == 2:
            raise StorageError("cannot write to x: No space left on device.")
        real(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "save_run", save)
    with pytest.raises(StorageError, match="No space left"):
        run(specs, tiny_dataset(), store, jobs=1, observer=Silent(), in_process=True)
    assert [store.finished(s) is not None for s in specs] == [True, False, False]


def test_an_interrupt_stops_the_workers(store: Store) -> None:
    processes: list[int] = []
    start = grid._start

    class Interrupter(Silent):
        def epoch(self, spec: RunSpec, epoch: int, loss: float) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

    def spy(*args: object) -> object:
        worker = start(*args)  # type: ignore[arg-type]
        processes.append(worker.process.pid)
        return worker

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grid, "_start", spy)
        with pytest.raises(KeyboardInterrupt):
            run([tiny_spec(epochs=10**6)], tiny_dataset(), store, jobs=1, observer=Interrupter())
    assert len(processes) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(processes[0], signal.SIG_DFL)


def test_jobs_times_threads_is_at_most_the_cores() -> None:
    for jobs in (1, 2, 3, 64):
        assert threads_for(jobs) == 1 or jobs * threads_for(jobs) <= cores()


GROUPS = {
    "none": ("0::/\n", {}, math.inf),
    "no limit": ("0::/\n", {"cpu.max": "max 100000\n"}, math.inf),
    "version 2": ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
    "the group itself": ("0::/a/b\n", {"a/b/cpu.max": "150000 100000"}, 1.5),
    "one above it": (
        "0::/a/b\n",
        {"a/b/cpu.max": "max 100000", "a/cpu.max": "50000 100000", "cpu.max": "400000 100000"},
        0.5,
    ),
    "another group": ("0::/a\n", {"b/cpu.max": "100000 100000"}, math.inf),
    "version 1": (
        "9:cpuset:/x\n4:cpu,cpuacct:/a\n0::/\n",
        {"cpu/a/cpu.cfs_quota_us": "300000\n", "cpu/a/cpu.cfs_period_us": "100000\n"},
        3,
    ),
    "version 1, no limit": (
        "4:cpu:/\n",
        {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
        math.inf,
    ),
    "version 1, the group's name on the host": (
        "4:cpu,cpuacct:/docker/0a1b\n",
        {"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "50000\n"},
        4,
    ),
    "garbage": ("what\n0::/\n", {"cpu.max": "many"}, math.inf),
    "garbage in a limit": ("0::/\n", {"cpu.max": "1 0 0\n"}, math.inf),
}


@pytest.mark.parametrize("what", GROUPS)
def test_a_limit_of_a_container_is_found(tmp_path: Path, what: str) -> None:
    group, files, limit = GROUPS[what]
    for name, text in {"proc/self/cgroup": group}.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert grid.cpu_limit(tmp_path) == limit


@pytest.mark.parametrize(
    ("limit", "allowed", "expected"),
    [(2.0, 64, 2), (1.5, 64, 1), (0.5, 64, 1), (math.inf, 6, 6), (8.0, 6, 6)],
)
def test_cores_are_what_both_the_affinity_and_the_container_allow(
    monkeypatch: pytest.MonkeyPatch, limit: float, allowed: int, expected: int
) -> None:
    monkeypatch.setattr(grid, "cpu_limit", lambda: limit)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(allowed)), raising=False)
    assert cores() == expected
    assert threads_for(2) == max(1, expected // 2)
    assert grid.cpu_limit() == limit


def test_no_proc_means_no_limit(tmp_path: Path) -> None:
    assert grid.cpu_limit(tmp_path) == math.inf


def test_workers_start_while_the_data_are_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    start, save = grid._start, grid.save_scratch

    def starts(*args: object) -> object:
        order.append("start")
        return start(*args)  # type: ignore[arg-type]

    def saves(*args: object) -> None:
        order.append("save")
        save(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(grid, "_start", starts)
    monkeypatch.setattr(grid, "save_scratch", saves)
    (result,) = run([tiny_spec()], tiny_dataset(), store, jobs=2, observer=Silent())
    assert result.status == "done"
    assert order == ["start", "save"]  # and no more workers than runs


def test_a_disk_too_full_for_the_data_stops_the_workers(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers: list[grid._Worker] = []
    start = grid._start

    def starts(*args: object) -> grid._Worker:
        workers.append(start(*args))  # type: ignore[arg-type]
        return workers[-1]

    def saves(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(grid, "_start", starts)
    monkeypatch.setattr(grid, "save_scratch", saves)
    specs = [tiny_spec(), tiny_spec(seed=1)]
    with pytest.raises(StorageError, match="No space left"):
        run(specs, tiny_dataset(), store, jobs=2, observer=Silent())
    assert [worker.process.poll() for worker in workers] == [-9, -9]


NOISY = '''
import os, subprocess, sys
from metriscope.losses import register
from metriscope.losses.triplet import Triplet

@register("noisy")
class Noisy(Triplet):
    """Writes where it should not, and leaves a child behind."""
    def __init__(self, *, margin=0.5):
        super().__init__(margin=margin)
        print("hello")
        os.system("echo from a shell")
        os.write(1, b"\\xff\\xfe no text\\n")
        subprocess.Popen(["sleep", "60"])
'''


def test_a_loss_that_prints_or_leaves_children_disturbs_nothing(
    store: Store, tmp_path: Path
) -> None:
    code = tmp_path / "noisy_loss.py"
    code.write_text(NOISY)
    noisy = RunSpec(**{**vars(tiny_spec()), "loss": "noisy", "params": {}})
    start = time.monotonic()
    specs = [noisy, tiny_spec()]
    results = run(specs, tiny_dataset(), store, jobs=1, observer=Silent(), imports=(str(code),))
    assert [r.status for r in results] == ["done", "done"]
    assert time.monotonic() - start < 45  # it does not wait for the child


def test_workers_import_the_callers_modules_and_not_the_working_folders(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "random.py").write_text("raise SystemExit('not the random of Python')")
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "own_module.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path / "there")
    (result,) = run(
        [tiny_spec()], tiny_dataset(), store, jobs=1, observer=Silent(), imports=("own_module",)
    )
    assert result.status == "done", result.error


def test_a_failed_run_keeps_what_it_measured(store: Store) -> None:
    spec = tiny_spec("scl", optimizer=OptimizerSpec(name="sgd", lr=1e38), epochs=5)
    (result,) = run([spec], tiny_dataset(), store, jobs=1, observer=Silent())
    assert result.status == "failed"
    assert result.trace["loss"][0] is not None
    assert len(result.trace["loss"]) < 6
    assert result.seconds > 0
    assert "torch" in result.versions
    assert store.read_run(spec) == result
    assert store.finished(spec) is None


def test_an_idle_worker_that_dies_disturbs_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers: list[grid._Worker] = []
    start = grid._start

    def spy(*args: object) -> grid._Worker:
        workers.append(start(*args))  # type: ignore[arg-type]
        return workers[-1]

    class Killer(Witness):
        def finished(self, result: RunResult, *, cached: bool) -> None:
            super().finished(result, cached=cached)
            for worker in workers:
                if worker.job is None:
                    worker.process.kill()

    monkeypatch.setattr(grid, "_start", spy)
    specs, killer = [tiny_spec(), tiny_spec("scl", epochs=400)], Killer()
    results = run(specs, tiny_dataset(), store, jobs=2, observer=killer)
    assert [r.status for r in results] == ["done", "done"]
    assert killer.ends[0] == (specs[0].key, False)
