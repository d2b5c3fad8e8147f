"""One dataset, from specifications to results: tuning, runs, views, the recommendation."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from metriscope import findings, grid, losses, recommendation, tuning, views
from metriscope.disk import StorageError
from metriscope.plan import plan_sweep, unique
from metriscope.recommendation import Goal
from metriscope.store import Store, load_results
from metriscope.types import Dataset, InputError, Results, RunResult, RunSpec, Scores

LONG = 10_000_000  # numbers; scoring more takes seconds


@dataclass(frozen=True)
class Request:
    """What is asked for beside the losses: see :func:`metriscope.compare`."""

    goal: Goal = "top1"
    tune: int = 0
    sweep: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    imports: tuple[str, ...] = ()


def conduct(
    dataset: Dataset,
    specs_for: Callable[[Dataset], list[RunSpec]],
    advice: Callable[[int], list[str]],
    store: Store,
    request: Request,
    *,
    about: Mapping[str, Any],
    jobs: int | None,
    device: str,
    observer: grid.Observer,
    notify: Callable[[str], None],
    save: Callable[[Results], None],
    start: float,
) -> Results:
    """One dataset, from specifications to results with views and a recommendation.

    Args:
        dataset: with its validation part, if it is to have one.
        specs_for, advice: see :func:`metriscope.plan.plan`.
        store: claimed and locked by the caller.
        request: tuning, sweeps, the goal.
        about: ``source`` and ``command``.
        jobs, device, observer, notify: see :func:`metriscope.compare`.
        save: called with the results so far, after every run.
        start: of the clock.
    """
    from metriscope.network import picture_shape

    picture_shape(dataset.backbone)  # refused now if the network cannot take it
    specs = specs_for(dataset)
    swept = plan_sweep(specs, request.sweep)
    for sentence in [*dataset.notes, *advice(int((dataset.train.counts > 0).sum()))]:
        notify(sentence)
    trials = request.tune * len({spec.loss for spec in specs})
    jobs = _jobs(jobs, max(len(specs), trials), notify)
    _check_room(store, [*specs, *swept], dataset)
    held = dataset.validation
    kept_out = "" if held is None else f"{len(held):,} validation and "
    notify(
        f"{len(specs)} runs on {len(dataset.train):,} training, {kept_out}{len(dataset.test):,} "
        f"test rows, {dataset.train.x.shape[1]} features, {dataset.num_classes} classes (split: "
        f"{dataset.split}); jobs: {jobs}, threads of each: {grid.threads_for(jobs)}"
    )
    if dataset.test.x.size > LONG:
        notify("scoring the untrained features, which every loss has to beat")
    modules, in_process = _where_registered([spec.loss for spec in specs])

    def run(wanted: Sequence[RunSpec], observer: grid.Observer) -> list[RunResult]:
        return grid.run(
            wanted,
            dataset,
            store,
            jobs=jobs,
            observer=observer,
            device=device,
            imports=(*request.imports, *modules),
            in_process=in_process,
        )

    said = dict(about) | _about(dataset, store, specs, jobs)
    others: dict[str, list[RunSpec]] = {}
    if request.tune:
        tuned = tuning.tune(specs, request.tune, request.goal, lambda w: run(w, observer))
        others["untuned"] = specs
        specs, said["tuning"] = list(tuned.specs), tuned.about
        others["trials"] = [trial.spec for trial in tuned.trials]
        swept = plan_sweep(specs, request.sweep)
    if swept:
        others["sweep"] = swept
        said["sweep"] = {name: list(values) for name, values in request.sweep.items()}
    wanted = unique([*specs, *others.get("untuned", ()), *swept])
    if store.others([*wanted, *others.get("trials", ())], dataset.name):
        notify(
            f"{store.others([*wanted, *others.get('trials', ())], dataset.name)} runs with other "
            f"settings stay in {store.folder / 'runs'}; results.json and the report are about the "
            "runs asked for now"
        )
    recorder = _Recorder(specs, others, said, store, observer, save, start)
    recorder.save()
    run(wanted, recorder)
    results = recorder.save()
    views.complete(store.folder, results, jobs=jobs, notify=notify)
    if dataset.validation is not None:
        recorder.recommend(request.goal)
    return recorder.save()


class _Recorder:
    """Keeps results up to date while runs finish, in the order of their specifications."""

    def __init__(
        self,
        specs: Sequence[RunSpec],
        others: Mapping[str, Sequence[RunSpec]],
        about: dict[str, Any],
        store: Store,
        observer: grid.Observer,
        save: Callable[[Results], None],
        start: float,
    ) -> None:
        self.specs, self.others, self.about = specs, others, about
        self.store, self.observer, self.keep, self.start = store, observer, save, start
        every = unique([*specs, *(s for group in others.values() for s in group)])
        self.earlier = _earlier_seconds(store, {spec.key for spec in every}, about["dataset"])
        self.trained = False
        self.recommendation: Mapping[str, Any] | None = None
        done = ((spec.key, store.read_run(spec)) for spec in every)
        self.runs = {key: run for key, run in done if run is not None and run.status == "done"}

    def plan(self, runs: int) -> None:
        """Pass it on."""
        self.observer.plan(runs)

    def epoch(self, spec: RunSpec, epoch: int, loss: float) -> None:
        """Pass it on."""
        self.observer.epoch(spec, epoch, loss)

    def finished(self, result: RunResult, *, cached: bool) -> None:
        """Keep it, write it, pass it on."""
        self.runs[result.key] = result
        if not cached:
            self.trained = True
            self.save()
        self.observer.finished(result, cached=cached)

    def recommend(self, goal: Goal) -> None:
        """From the runs as they are now."""
        self.recommendation = recommendation.recommend(self._results(), self.store.folder, goal)

    def save(self) -> Results:
        """Write and return the results so far."""
        # Over all sessions of this comparison; one that finds everything done adds nothing.
        worked = not self.earlier or self.trained
        now = time.perf_counter() - self.start if worked else 0.0
        self.about["seconds"] = self.earlier + now
        results = self._results()
        results = replace(results, findings=findings.examine(results))
        self.keep(results)
        return results

    def _results(self) -> Results:
        return Results(
            self._of(self.specs),
            about=dict(self.about),
            recommendation=self.recommendation,
            others={kind: self._of(specs) for kind, specs in self.others.items()},
        )

    def _of(self, specs: Sequence[RunSpec]) -> tuple[RunResult, ...]:
        return tuple(self.runs[s.key] for s in specs if s.key in self.runs)


def _where_registered(names: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """Modules that workers must import for these losses, and whether that is impossible."""
    built_in = losses.LOSSES.discoverable()
    modules = {
        inspect.unwrap(losses.LOSSES.get(name)).__module__ for name in names if name not in built_in
    }
    return tuple(sorted(modules - {"__main__"})), "__main__" in modules


# ------------------------------------------------------------------------------------------ about


def _check_room(store: Store, specs: Sequence[RunSpec], dataset: Dataset) -> None:
    """Stop before training if the disk cannot hold the results."""
    rows = len(dataset.train) + len(dataset.test)
    scratch = rows * dataset.train.x.shape[1] * dataset.train.x.itemsize
    left = [s for s in specs if store.finished(s) is None]
    need = scratch + sum(
        len(dataset.test) * s.head.dim * 5 + 4 * _weights(s, dataset.train.x.shape[1]) for s in left
    )
    if left and need > store.room():
        raise StorageError(
            f"{store.folder}: about {need / 1e6:.0f} MB are needed and "
            f"{store.room() / 1e6:.0f} MB are free. Free some space or choose another --out."
        )


def _weights(spec: RunSpec, in_features: int) -> int:
    """How many numbers the trained network has."""
    import torch

    from metriscope.network import Head

    with torch.device("meta"):  # no memory, no random numbers
        head = Head(in_features, spec.head, spec.backbone)
    return sum(parameter.numel() for parameter in head.parameters())


def _jobs(asked: int | None, runs: int, notify: Callable[[str], None]) -> int:
    cores = grid.cores()
    if asked and asked > cores:
        notify(f"--jobs {asked} is more than the cores this process may use: {cores} jobs.")
    return min(asked or cores, cores, runs)


def _about(dataset: Dataset, store: Store, specs: Sequence[RunSpec], jobs: int) -> dict[str, Any]:
    return {
        "dataset": dataset.name,
        "fingerprint": dataset.fingerprint,
        "split": dataset.split,
        "notes": list(dataset.notes),
        "train_rows": len(dataset.train),
        "validation_rows": 0 if dataset.validation is None else len(dataset.validation),
        "test_rows": len(dataset.test),
        "classes": dataset.num_classes,
        "train_classes": int((dataset.train.counts > 0).sum()),
        "test_classes": int((dataset.test.counts > 0).sum()),
        "dim": dataset.train.x.shape[1],
        "backbone": dataset.backbone,
        "features": dict(dataset.manifests),
        "singletons": dataset.test.singletons,
        "baseline": _baseline(dataset, store),
        "machine": grid.machine(),
        "jobs": jobs,
        "threads": grid.threads_for(jobs),
        "asked": len(specs),
    }


def _earlier_seconds(store: Store, keys: set[str], dataset: str) -> float:
    """What earlier sessions of the same comparison took; 0 if there were none."""
    try:
        found = load_results(store.folder).of(dataset)
    except InputError:
        return 0.0
    same = bool(found.runs) and all(run.key in keys for run in found.runs)
    return float(found.about.get("seconds") or 0.0) if same else 0.0


def _baseline(dataset: Dataset, store: Store) -> Scores:
    """Scores of the untrained features: what every loss has to beat."""
    from metriscope.diagnostics.base import Space, measure, reading

    try:
        found = load_results(store.folder).of(dataset.name).about
        if found.get("baseline"):
            return dict(found["baseline"])
    except InputError:
        pass  # nothing there yet
    # A probe of wide features costs more than all the training: retrieval and geometry only.
    names = [d.name for d in reading("embeddings") if d.group in ("geometry", "retrieval")]
    return measure(Space(dataset.test), only=names)
