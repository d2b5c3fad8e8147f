"""From a source to results: what ``metriscope compare`` does, for Python."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from metriscope import data, grid, losses, views
from metriscope.data import Extraction
from metriscope.data.checks import ZeroVectors
from metriscope.data.devices import resolve_device
from metriscope.data.loading import Protocol
from metriscope.data.split import VALIDATION, hold_out
from metriscope.plan import plan, read_sweep
from metriscope.recommendation import Goal
from metriscope.session import Request, conduct
from metriscope.store import Store
from metriscope.text import slug
from metriscope.types import Dataset, InputError, Results


def compare(
    source: str | os.PathLike[str] | Dataset,
    *,
    losses: Sequence[str] = losses.PAPER,
    seeds: int | Sequence[int] = 3,
    epochs: int | None = None,
    batch_size: int | None = None,
    preset: str = "paper",
    settings: Mapping[str, Any] | None = None,
    validation: float = VALIDATION,
    goal: Goal = "top1",
    tune: int = 0,
    sweep: Mapping[str, Sequence[Any] | str] | None = None,
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
        validation: share of the training part that is not trained on, and that everything is
            chosen by: the recommendation, and tuned settings. 0 trains on all of it, as the paper
            does, and recommends nothing.
        goal: what the recommendation is for: ``top1``, ``recall@10``, ``compact`` or ``fast``; see
            :mod:`metriscope.recommendation`.
        tune: trials for every loss, over its own parameters and the learning rate; then each is
            compared at its best. Needs the extra ``tune``.
        sweep: settings to vary one at a time: ``{"triplet.margin": [0.1, 0.5, 2.0]}``; one without
            a loss, ``{"reduction": ["mean", "sum"]}``, is varied for every loss that has it.
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
    request = Request(goal, tune, read_sweep(sweep), tuple(imports))
    specs_for, advice = plan(
        losses,
        seeds,
        epochs,
        batch_size,
        preset,
        settings or {},
        check_validation(validation),
        request.sweep,
    )
    if tune and not validation:
        raise InputError(
            "tuning chooses by the validation part, and --validation 0 (validation=0) leaves none: "
            "leave one of the two out."
        )
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
    dataset = hold_out(dataset, validation)  # the whole training part can go
    picture_shape(dataset.backbone)  # refused now if the network cannot take it
    store = Store(Path(out) if out else Path("runs") / slug(dataset.name))
    store.claim(dataset.name, dataset.fingerprint)
    with store.locked():
        results = conduct(
            dataset,
            specs_for,
            advice,
            store,
            request,
            about={
                "source": dataset.name if isinstance(source, Dataset) else os.fspath(source),
                "command": command,
            },
            jobs=jobs,
            device=device,
            observer=observer or grid.Silent(),
            notify=notify,
            save=store.save,
            start=start,
        )
        if not isinstance(source, Dataset):
            views.keep_pictures(store.folder, results, source)
        html.write(results, store.folder / "report.html")
    return results


def check_validation(share: float) -> float:
    """A share of the training part that can be held out.

    Raises:
        InputError: it is not in [0, 0.5].
    """
    if not 0 <= share <= 0.5:
        raise InputError(
            f"validation is {share}; it is the share of the training part to choose by: between 0 "
            "(none, and no recommendation) and 0.5."
        )
    return share


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
