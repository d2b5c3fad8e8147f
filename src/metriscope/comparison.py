"""From a source to results: what ``metriscope compare`` does, for Python."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from metriscope import data, findings, grid, losses
from metriscope.data import Extraction
from metriscope.data.checks import ZeroVectors
from metriscope.data.devices import resolve_device
from metriscope.data.loading import Protocol
from metriscope.disk import StorageError
from metriscope.plan import plan
from metriscope.store import Store, load_results
from metriscope.text import slug
from metriscope.types import (
    Dataset,
    InputError,
    Results,
    RunResult,
    RunSpec,
    Scores,
)

LONG = 10_000_000  # numbers; scoring more takes seconds


def compare(
    source: str | os.PathLike[str] | Dataset,
    *,
    losses: Sequence[str] = losses.PAPER,
    seeds: int | Sequence[int] = 3,
    epochs: int | None = None,
    batch_size: int | None = None,
    preset: str = "paper",
    settings: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    device: str = "auto",
    out: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    zero_vectors: ZeroVectors = "error",
    split: Protocol = "closed",
    backbone: str | None = None,
    train_backbone: bool = False,
    images: Extraction = Extraction(),  # noqa: B008 -- frozen
    imports: Sequence[str] = (),
    observer: grid.Observer | None = None,
    notify: Callable[[str], None] = lambda sentence: None,
    command: str = "",
) -> Results:
    """Train every loss with every seed on the same data, and measure what each leaves.

    Finished runs found in ``out`` are not trained again, so the same call goes on where an
    interrupted one stopped.

    Args:
        source: a dataset's name, a path (see :func:`metriscope.data.load`), or a ``Dataset``.
        losses: their names; the paper's seven by default.
        seeds: how many (0, 1, …), or which.
        epochs, batch_size: over the preset's; 100 and 512 in the paper's.
        preset: a name from :data:`metriscope.plan.PRESETS`.
        settings: over the preset's: ``{"triplet.margin": 0.5, "head.dim": 64, "optimizer.lr":
            1e-3, "sampler": "m_per_class"}``.
        jobs: worker processes, by default one a core, which is also the most.
        device: ``auto``, ``cpu`` or ``cuda``.
        out: the output folder, by default ``runs/<source>``.
        labels: the label file of an ``.npy`` source.
        zero_vectors: ``error``, ``keep`` or ``drop`` rows that are all zero.
        split: ``closed``: the source's own, or a stratified one. ``disjoint``: the first half of
            the classes trains, the second tests, as in the zero-shot literature.
        backbone: what makes features of pictures; ``clip-vit-b32`` by default.
        train_backbone: train it with the head: ``cnn`` alone.
        images: how pictures are worked on; its device is ``device``.
        imports: modules or ``.py`` files that register losses of your own.
        observer: told of progress. notify: told, in sentences, what a person should know.
        command: the command line, for the report.

    Returns:
        Results, also written to ``out`` as ``results.json`` and ``report.html``.

    Raises:
        InputError: anything wrong with the data, a name or a setting, before training starts.
        StorageError: ``out`` cannot be written, or is full.
    """
    from metriscope.network import picture_shape
    from metriscope.report import html
    from metriscope.worker import import_code

    start = time.perf_counter()
    _check_backbone(backbone, train_backbone)
    for name in imports:
        import_code(name)
    device = resolve_device(device)
    specs_for, advice = plan(losses, seeds, epochs, batch_size, preset, settings or {})
    if isinstance(source, Dataset):
        if backbone or train_backbone or split != "closed":
            raise InputError(
                "a Dataset has its features and its split already; leave out backbone=, "
                "train_backbone= and split=, or give the source that it was made of."
            )
        dataset = source
    else:
        dataset = data.load(
            source,
            labels=labels,
            zero_vectors=zero_vectors,
            protocol=split,
            backbone=backbone,
            images=replace(images, device=device.partition(":")[0]),
        )
    picture_shape(dataset.backbone)  # refused now if the network cannot take it
    specs = specs_for(dataset)
    for sentence in [*dataset.notes, *advice(int((dataset.train.counts > 0).sum()))]:
        notify(sentence)
    jobs = _jobs(jobs, len(specs), notify)
    store = Store(Path(out) if out else Path("runs") / slug(dataset.name))
    store.claim(dataset.name, dataset.fingerprint)
    with store.locked():
        _check_room(store, specs, dataset)
        notify(
            f"{len(specs)} runs on {len(dataset.train):,} training and {len(dataset.test):,} test "
            f"rows, {dataset.train.x.shape[1]} features, {dataset.num_classes} classes (split: "
            f"{dataset.split}); jobs: {jobs}, threads of each: {grid.threads_for(jobs)}"
        )
        if dataset.test.x.size > LONG:
            notify("scoring the untrained features, which every loss has to beat")
        about = _about(source, dataset, store, specs, command, jobs)
        if store.others(specs):
            notify(
                f"{store.others(specs)} runs with other settings stay in {store.folder / 'runs'}; "
                "results.json and the report are about the runs asked for now"
            )
        recorder = _Recorder(specs, about, store, observer or grid.Silent(), start)
        recorder.save()
        modules, in_process = _where_registered(losses)
        grid.run(
            specs,
            dataset,
            store,
            jobs=jobs,
            observer=recorder,
            device=device,
            imports=(*imports, *modules),
            in_process=in_process,
        )
        results = recorder.save()
        html.write(results, store.folder / "report.html")
    return results


class _Recorder:
    """Keeps ``results.json`` up to date while runs finish, in the order of ``specs``."""

    def __init__(
        self,
        specs: Sequence[RunSpec],
        about: dict[str, Any],
        store: Store,
        observer: grid.Observer,
        start: float,
    ) -> None:
        self.specs, self.about, self.store, self.observer = specs, about, store, observer
        self.start = start
        self.earlier = _earlier_seconds(store, {spec.key for spec in specs})
        self.trained = False
        done = ((spec.key, store.finished(spec)) for spec in specs)
        self.runs = {key: run for key, run in done if run is not None}

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

    def save(self) -> Results:
        """Write and return the results so far."""
        # Over all sessions of this comparison; one that finds everything done adds nothing.
        worked = not self.earlier or self.trained
        now = time.perf_counter() - self.start if worked else 0.0
        self.about["seconds"] = self.earlier + now
        runs = tuple(self.runs[s.key] for s in self.specs if s.key in self.runs)
        results = Results(runs, about=dict(self.about))
        results = replace(results, findings=findings.examine(results))
        self.store.save(results)
        return results


def _check_backbone(name: str | None, trained: bool) -> None:
    kind = (name or "").partition(":")[0]
    if kind == "cnn" and not trained:
        raise InputError(
            "cnn has no weights of its own: it is trained with the head. Add --train-backbone "
            "(train_backbone=True), or use pixels."
        )
    if trained and kind != "cnn":
        raise InputError(
            f"--train-backbone trains cnn only, not {name or 'the default backbone'}: add "
            "--backbone cnn, or leave it out to use frozen features."
        )


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


def _about(
    source: str | os.PathLike[str] | Dataset,
    dataset: Dataset,
    store: Store,
    specs: Sequence[RunSpec],
    command: str,
    jobs: int,
) -> dict[str, Any]:
    return {
        "source": dataset.name if isinstance(source, Dataset) else os.fspath(source),
        "dataset": dataset.name,
        "fingerprint": dataset.fingerprint,
        "split": dataset.split,
        "notes": list(dataset.notes),
        "train_rows": len(dataset.train),
        "test_rows": len(dataset.test),
        "classes": dataset.num_classes,
        "train_classes": int((dataset.train.counts > 0).sum()),
        "test_classes": int((dataset.test.counts > 0).sum()),
        "dim": dataset.train.x.shape[1],
        "backbone": dataset.backbone,
        "features": dict(dataset.manifests),
        "singletons": dataset.test.singletons,
        "baseline": _baseline(dataset, store),
        "command": command,
        "machine": grid.machine(),
        "jobs": jobs,
        "threads": grid.threads_for(jobs),
        "asked": len(specs),
    }


def _earlier_seconds(store: Store, keys: set[str]) -> float:
    """What earlier sessions of the same comparison took; 0 if there were none."""
    try:
        found = load_results(store.folder)
    except InputError:
        return 0.0
    same = bool(found.runs) and all(run.key in keys for run in found.runs)
    return float(found.about.get("seconds") or 0.0) if same else 0.0


def _baseline(dataset: Dataset, store: Store) -> Scores:
    """Scores of the untrained features: what every loss has to beat."""
    from metriscope.diagnostics.base import Space, measure, reading

    try:
        found = load_results(store.folder).about
        if found.get("baseline"):
            return dict(found["baseline"])
    except InputError:
        pass  # nothing there yet
    # A probe of wide features costs more than all the training: retrieval and geometry only.
    names = [d.name for d in reading("embeddings") if d.group in ("geometry", "retrieval")]
    return measure(Space(dataset.test), only=names)
