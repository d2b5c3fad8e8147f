"""The grid: nothing finished is lost or done again, and one failure stays one."""

from __future__ import annotations

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
