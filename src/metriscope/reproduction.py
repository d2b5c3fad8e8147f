"""The paper's grid on whichever of its datasets can be had, beside what it printed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from metriscope import data, grid
from metriscope.data import Extraction
from metriscope.data.devices import resolve_device
from metriscope.data.files import READERS
from metriscope.data.table import show_some
from metriscope.losses import PAPER
from metriscope.paper.tables import Benchmark, canonical, published
from metriscope.plan import plan
from metriscope.session import Request, conduct
from metriscope.store import Store, load_results
from metriscope.types import Dataset, InputError, Results

OUT = "runs/reproduce"


def reproduce(
    datasets: str | Sequence[str] = (),
    *,
    losses: Sequence[str] = PAPER,
    seeds: int | Sequence[int] = 3,
    epochs: int | None = None,
    batch_size: int | None = None,
    preset: str = "paper",
    settings: Mapping[str, Any] | None = None,
    features: str | os.PathLike[str] | None = None,
    backbone: str | None = None,
    images: Extraction = Extraction(),  # noqa: B008 -- frozen
    jobs: int | None = None,
    device: str = "auto",
    out: str | os.PathLike[str] = OUT,
    observer: grid.Observer | None = None,
    notify: Callable[[str], None] = lambda sentence: None,
    command: str = "",
) -> Results:
    """Run the paper's comparison on its datasets, one after another, into one folder.

    As in the paper, the head trains on the whole training part, and nothing is recommended.
    Finished runs found in ``out`` are not trained again, so the same call goes on where an
    interrupted one stopped; ``results.json`` is rewritten after every run and loses none of those
    that an earlier call finished.

    Args:
        datasets: of the paper, by our name or the printed one; ``cub200:FOLDER`` is a copy. None:
            all five, and those that cannot be had are left out, with the reason in
            ``about["left_out"]``.
        losses, seeds, epochs, batch_size, preset, settings, jobs, device: see
            :func:`metriscope.compare`.
        features: a folder with a folder or file a dataset, ``cifar10/`` or ``cifar10.npz``, of
            features or pictures; None takes each dataset by name, see :mod:`metriscope.data.named`.
        backbone: what makes features of pictures; ``clip-vit-b32`` by default.
        images: how they are worked on; its device is ``device``.
        out: the output folder.
        observer: told of progress. notify: told, in sentences, what a person should know.
        command: the command line, for the report.

    Raises:
        InputError: a dataset that was asked for cannot be had, or none can; a name that is not of
            the paper; anything wrong with the settings. Always before any training.
        StorageError: results cannot be written. Finished runs are kept.
    """
    from metriscope.report import html

    start = time.perf_counter()
    sources: dict[str, str | Path] = dict(_named(datasets))
    if features is not None:
        sources = _extracted(Path(features).expanduser(), sources, notify)
    device = resolve_device(device)
    specs_for, advice = plan(losses, seeds, epochs, batch_size, preset, settings or {})
    images = replace(images, device=device.partition(":")[0])
    loaded, left_out = _load(sources, bool(datasets), backbone, images, notify)
    store = Store(Path(out))
    for dataset in loaded:
        store.claim(dataset.name, dataset.fingerprint, beside=True)
    with store.locked():
        parts = _earlier(store, loaded)
        about = {"command": command, "source": "reproduce", "left_out": left_out}

        def joined() -> Results:
            found = [parts[dataset.name] for dataset in loaded if dataset.name in parts]
            return Results.joined(found, about)

        def save(part: Results) -> None:
            parts[part.about["dataset"]] = part
            store.save(joined())

        for dataset in loaded:
            conduct(
                dataset,
                specs_for,
                advice,
                store,
                Request(),
                about={"source": str(sources[dataset.name]), "command": command},
                jobs=jobs,
                device=device,
                observer=observer or grid.Silent(),
                notify=notify,
                save=save,
                start=start,
            )
            start = time.perf_counter()
        results = joined()
        html.write(results, store.folder / "report.html")
    return results


def _named(datasets: str | Sequence[str]) -> dict[str, str]:
    """What is asked for, each once, with how to load it; all of the paper's if nothing is."""
    known = list(published().benchmarks)
    asked = {}
    for text in (datasets,) if isinstance(datasets, str) else datasets:
        name, colon, parameters = text.partition(":")
        found = canonical(name)
        if found is None:
            raise InputError(
                f"{name!r:.80} is not one of the paper's datasets ({', '.join(known)}), so nothing "
                "was published to hold it against: use `metriscope compare`."
            )
        asked[found] = f"{found}{colon}{parameters}"
    return asked or {name: name for name in known}


def _extracted(
    folder: Path, sources: Mapping[str, str | Path], notify: Callable[[str], None]
) -> dict[str, str | Path]:
    """Each dataset's file or folder in a folder of features, whether it is there or not.

    Raises:
        InputError: it is no folder, or has two things for one dataset.
    """
    try:
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise InputError(
            f"{folder}: {error.strerror or error}; --features names a folder that has one folder "
            "or file a dataset: cifar10/train.npz, cub200.parquet."
        ) from None
    found: dict[str, Path] = {}
    unused = []
    for path in entries:
        file = path.suffix.lower() in READERS and not path.is_dir()
        name = canonical(path.stem if file else path.name) if file or path.is_dir() else None
        if name is None:
            unused.append(path.name)
        elif name in found:
            raise InputError(
                f"{folder} has {found[name].name} and {path.name}, both for {name}: leave one."
            )
        else:
            found[name] = path
    if unused:
        notify(f"not datasets of the paper, so not used: {show_some(unused)}")
    return {name: found.get(name, folder / name) for name in sources}


def _load(
    sources: Mapping[str, str | Path],
    explicit: bool,
    backbone: str | None,
    images: Extraction,
    notify: Callable[[str], None],
) -> tuple[list[Dataset], dict[str, str]]:
    """The datasets that can be had, and why the others cannot: all before any training."""
    loaded, left_out = [], {}
    for name, source in sources.items():
        try:
            loaded.append(_load_one(name, source, backbone, images))
        except InputError as error:
            if explicit:
                raise
            left_out[name] = str(error).removeprefix(f"{name}: ")
            notify(f"{name} is left out: {left_out[name]}")
    if not loaded:
        raise InputError(
            "none of the paper's datasets can be had. Put copies into METRISCOPE_DATA, or give "
            "--features DIR with one folder a dataset; `reproduce --audit` needs no data."
        )
    return loaded, left_out


def _load_one(name: str, source: str | Path, backbone: str | None, images: Extraction) -> Dataset:
    if isinstance(source, Path) and not source.exists():
        raise InputError(
            f"no {name} in {source.parent}: neither a folder {name} with train.* and test.*, nor "
            f"{name}.npz, .parquet or .safetensors."
        )
    dataset = data.load(source, backbone=backbone, images=images)
    notes = (*dataset.notes, *_differences(dataset, published().benchmarks[name]))
    return replace(dataset, name=name, notes=notes)


def _differences(dataset: Dataset, row: Benchmark) -> list[str]:
    """A sentence where the data are not what the paper says they are."""
    present = int(((dataset.train.counts > 0) | (dataset.test.counts > 0)).sum())
    pairs = {
        "training rows": (len(dataset.train), row.train),
        "test rows": (len(dataset.test), row.test),
        "classes": (present, row.classes),
        "features": (dataset.train.x.shape[1], int(published().says("features"))),
    }
    said = [f"{a:,} {what} (the paper: {b:,})" for what, (a, b) in pairs.items() if a != b]
    return [f"Not the paper's {row.printed}: {', '.join(said)}."] if said else []


def _earlier(store: Store, loaded: Sequence[Dataset]) -> dict[str, Results]:
    """What an earlier call left of the same data, so that no run of it is lost meanwhile."""
    try:
        found = load_results(store.folder)
    except InputError:
        return {}
    parts = {
        dataset.name: found.of(dataset.name) for dataset in loaded if dataset.name in found.datasets
    }
    prints = {dataset.name: dataset.fingerprint for dataset in loaded}
    return {
        name: part for name, part in parts.items() if part.about.get("fingerprint") == prints[name]
    }
