"""One dataset, from specifications to results: tuning, runs, views, the recommendation."""

from __future__ import annotations

import importlib.util
import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from metriscope import findings, grid, losses, recommendation, tuning, views
from metriscope.disk import StorageError
from metriscope.plan import plan_sweep, unique
from metriscope.recommendation import GOALS, Goal
from metriscope.registry import unknown
from metriscope.store import Store, load_results
from metriscope.types import Dataset, InputError, Results, RunResult, RunSpec, Scores

if TYPE_CHECKING:
    import numpy as np

LONG = 10_000_000  # numbers; scoring more takes seconds
QUERY = 30  # bytes on disk, at most, of what a query retrieved


@dataclass(frozen=True)
class Request:
    """What is asked for beside the losses: see :func:`metriscope.compare`.

    Raises:
        InputError: no such goal, no number of trials or no Optuna, a sweep without values.
    """

    goal: Goal = "top1"
    tune: int = 0
    sweep: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    imports: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.goal not in GOALS:
            raise InputError(unknown("goal", str(self.goal), GOALS))
        if type(self.tune) is not int or self.tune < 0 or self.tune == 1:
            raise InputError(
                f"tune is {self.tune!r}; it is the number of trials for every loss, of which the "
                "first is its settings as they are: 0, or 2 and more."
            )
        if self.tune and importlib.util.find_spec("optuna") is None:
            raise InputError('tuning needs Optuna: pip install "metriscope[tune]".')
        for name, values in self.sweep.items():
            if not isinstance(values, list | tuple) or not values:
                raise InputError(f"sweep of {name} is {values!r:.80}; give a list of its values.")


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

    Raises:
        InputError: anything wrong with the settings, before any training.
        StorageError: results cannot be written. Finished runs are kept.
    """
    if request.tune and dataset.validation is None:
        raise InputError(
            "tuning chooses by the validation part, and none could be held out of so few training "
            "rows: leave out --tune (tune=), or raise --validation (validation=)."
        )
    specs = specs_for(dataset)
    swept = plan_sweep(specs, request.sweep)
    for sentence in [*dataset.notes, *advice(int((dataset.train.counts > 0).sum()))]:
        notify(sentence)
    trials = [spec for spec in specs if spec.seed == specs[0].seed] * request.tune
    jobs = _jobs(jobs, max(len(specs), len(trials)), notify)
    _check_room(store, [*specs, *swept, *trials], dataset)
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
        counted = tuning.Counted(observer, len(trials))
        tuned = tuning.tune(specs, request.tune, request.goal, lambda w: run(w, counted))
        for sentence in tuned.about["notes"]:
            notify(sentence)
        others["untuned"] = specs
        specs, said["tuning"] = list(tuned.specs), tuned.about
        others["trials"] = [trial.spec for trial in tuned.trials]
        swept = plan_sweep(specs, request.sweep)
    if swept:
        others["sweep"] = swept
        said["sweep"] = {name: list(values) for name, values in request.sweep.items()}
    wanted = unique([*specs, *others.get("untuned", ()), *swept])
    beside = store.others([*wanted, *others.get("trials", ())], dataset.name)
    if beside:
        notify(
            f"{beside} runs with other settings stay in {store.folder / 'runs'}; results.json and "
            "the report are about the runs asked for now"
        )
    recorder = _Recorder(specs, others, said, store, observer, save, start)
    recorder.save()
    run(wanted, recorder)
    results = recorder.save()  # whatever goes wrong from here on, they are there

    @contextmanager
    def noted(what: str) -> Iterator[None]:
        try:
            yield
        except StorageError:
            raise
        except Exception as error:
            sentence = f"{what} could not be made ({type(error).__name__}: {error})."
            said["notes"].append(sentence)
            notify(sentence)

    with noted("Views of the embeddings"):
        views.complete(store.folder, results, jobs=jobs, notify=notify)
    if held is not None:
        with noted("The recommendation"):
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
        self.specs, self.others, self.about = specs, others, about  # about is written to
        self.store, self.observer, self.keep, self.start = store, observer, save, start
        every = unique([*specs, *(s for group in others.values() for s in group)])
        self.earlier = _earlier_seconds(store, {spec.key for spec in every}, about)
        self.trained = False
        self.recommendation: Mapping[str, Any] | None = None
        done = ((spec.key, store.read_run(spec)) for spec in every)
        self.runs = {key: run for key, run in done if run is not None and run.status == "done"}

    def plan(self, runs: int, what: str = "runs") -> None:
        """Pass it on."""
        self.observer.plan(runs, what)

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
    test, width = len(dataset.test), dataset.train.x.shape[1]
    held = 0 if dataset.validation is None else len(dataset.validation)
    scratch = (len(dataset.train) + held + test) * width * dataset.train.x.itemsize
    left = [s for s in specs if store.finished(s) is None]
    need = scratch + sum(
        test * s.head.dim * 5 + (test + held) * QUERY + 4 * _weights(s, width) for s in left
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
        "baseline": _baseline(store, dataset),
        **_untrained(store, dataset),
        "machine": grid.machine(),
        "jobs": jobs,
        "threads": grid.threads_for(jobs),
        "asked": len(specs),
    }


def _earlier(store: Store, about: Mapping[str, Any]) -> Results | None:
    """What is kept of the same data, whichever its runs; None if nothing is."""
    try:
        found = load_results(store.folder)
    except InputError:
        return None  # nothing there yet
    if about["dataset"] not in found.datasets:
        return None
    found = found.of(about["dataset"])
    return found if found.about.get("fingerprint") == about["fingerprint"] else None


def _earlier_seconds(store: Store, keys: set[str], about: Mapping[str, Any]) -> float:
    """What earlier sessions of the same comparison took; 0 if there were none."""
    found = _earlier(store, about)
    if found is None or not found.runs or any(run.key not in keys for run in found.runs):
        return 0.0
    return float(found.about.get("seconds") or 0.0)


def _baseline(store: Store, dataset: Dataset) -> Scores:
    """Scores of the untrained features: what every loss has to beat."""
    from metriscope.diagnostics.base import Space, measure, reading

    same = {"dataset": dataset.name, "fingerprint": dataset.fingerprint}
    found = _earlier(store, same)
    if found is not None and found.about.get("baseline"):
        return dict(found.about["baseline"])
    # A probe of wide features costs more than all the training: retrieval and geometry only.
    names = [d.name for d in reading("embeddings") if d.group in ("geometry", "retrieval")]
    return measure(Space(dataset.test), only=names)


def _untrained(store: Store, dataset: Dataset) -> dict[str, Any]:
    """What chance and the untrained features reach on the part that losses are chosen by."""
    from metriscope.diagnostics.base import Space, measure
    from metriscope.train import VALIDATED

    held = dataset.validation
    if held is None:
        return {}
    same = {"dataset": dataset.name, "fingerprint": dataset.fingerprint}
    found = _earlier(store, same)
    # The fingerprint is that of all training rows; how many are held out decides which.
    if found is not None and found.about.get("validation_rows") == len(held):
        before = found.about.get("baseline_validation")
    else:
        before = None
    return {
        "baseline_validation": dict(before or measure(Space(held), only=VALIDATED)),
        "chance_validation": _chance(held.counts),
    }


def _chance(counts: np.ndarray) -> float | None:
    """Recall@1 of a neighbour drawn at random, over the queries that have one to find."""
    queries = int(counts[counts > 1].sum())
    pairs = int((counts * (counts - 1)).sum())
    return pairs / (queries * (int(counts.sum()) - 1)) if queries else None
