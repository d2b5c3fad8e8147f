"""``metriscope reproduce``."""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import click

from metriscope.cli._app import (
    interrupt,
    on_pictures,
    on_training,
    say,
    show_audit,
    show_reproduced,
)
from metriscope.cli._values import names, numbers, setting
from metriscope.types import InputError

OUT = "runs/reproduce"


@click.command()
@click.argument("datasets", metavar="[DATASET]...", nargs=-1)
@click.option("--audit", is_flag=True, help="Only hold the paper against itself: needs no data.")
@click.option(
    "--features",
    metavar="DIR",
    type=click.Path(),
    help="Features extracted elsewhere: a folder or file a dataset, cifar10/train.npz, "
    "cub200.parquet.",
)
@on_training
@on_pictures
@click.option("--out", type=click.Path(), default=OUT, show_default=True, help="Output folder.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def reproduce(
    datasets: tuple[str, ...],
    audit: bool,
    features: str | None,
    losses: str | None,
    seeds: str,
    settings: tuple[str, ...],
    dtype: str,
    strict: bool,
    out: str,
    as_json: bool,
    **rest: Any,
) -> None:
    """Run the paper's comparison and hold it beside what was published.

    DATASET is one or more of cifar10, cars196, cub200, tiny-imagenet, fashion-mnist; without any,
    all of them that can be had: by name (METRISCOPE_DATA, or the hub), or from --features DIR.
    The report shows ours, the paper's, the difference and our interval, and what the results say
    to each claim of the paper.

    Interrupted, the same command goes on where it stopped: finished runs are kept.
    """
    if audit:
        if datasets or features is not None:
            raise InputError("--audit reads no data: leave out the datasets and --features.")
        from metriscope.paper.audit import audit as check

        show_audit(check(), as_json)
        return
    say(f"reading {', '.join(datasets) or 'the datasets of the paper'}")
    from metriscope.data import Extraction
    from metriscope.losses import PAPER
    from metriscope.progress import progress
    from metriscope.reproduction import reproduce as run

    signal.signal(signal.SIGTERM, interrupt)
    with progress(sys.stderr) as observer:
        results = run(
            datasets,
            features=features,
            losses=names(losses) if losses is not None else PAPER,
            seeds=numbers(seeds),
            settings=dict(setting(s) for s in settings),
            images=Extraction(
                dtype=dtype, strict=strict, progress=observer.pictures, notify=observer.note
            ),
            out=out,
            observer=observer,
            notify=observer.note,
            command=shlex.join(["metriscope", *sys.argv[1:]]),
            **rest,
        )
    show_reproduced(results, Path(out), as_json)
    failed = [run for run in results.runs if run.status == "failed"]
    if failed:
        say(f"{len(failed)} of {len(results.runs)} runs failed; the same command tries them again.")
        sys.exit(1)
