"""``metriscope compare``."""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import click

from metriscope.cli._app import goal_option, interrupt, on_pictures, on_training, say, show_results
from metriscope.cli._values import names, numbers, setting
from metriscope.types import InputError, Results


@click.command()
@click.argument("source")
@on_training
@click.option(
    "--validation",
    type=click.FloatRange(0, 0.5),
    default=0.2,
    show_default=True,
    help="Share of the training part to choose by; 0 trains on all and recommends nothing.",
)
@goal_option
@click.option(
    "--tune",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Try N settings of every loss on the validation part; compare each at its best.",
)
@click.option(
    "--sweep",
    "sweeps",
    multiple=True,
    metavar="NAME=A,B,…",
    help="Vary one setting: triplet.margin=0.1,0.5,2, batch_size=64,512, … May be repeated.",
)
@on_pictures
@click.option("--train-backbone", is_flag=True, help="Train it with the head: --backbone cnn.")
@click.option(
    "--split",
    type=click.Choice(["closed", "disjoint"]),
    default="closed",
    show_default=True,
    help="disjoint: the first half of the classes trains, the second half tests.",
)
@click.option("--out", type=click.Path(), help="Output folder.  [default: runs/<source>]")
@click.option("--labels", type=click.Path(), help="Label file of an .npy source.")
@click.option(
    "--zero-vectors",
    type=click.Choice(["error", "keep", "drop"]),
    default="error",
    show_default=True,
    help="What to do with rows that are all zero.",
)
@click.option(
    "--import",
    "imports",
    multiple=True,
    metavar="FILE.py",
    help="Python file or module with losses of your own. May be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print results.json instead of tables.")
def compare(
    source: str,
    losses: str | None,
    seeds: str,
    settings: tuple[str, ...],
    sweeps: tuple[str, ...],
    dtype: str,
    strict: bool,
    as_json: bool,
    **rest: Any,
) -> None:
    """Train and compare losses on SOURCE.

    SOURCE is a dataset's name (digits, cub200, …; see `metriscope list datasets`), a file of
    features with labels (.npz, .npy with --labels, .parquet, .safetensors), a folder with train.*
    and test.* files, or pictures: a folder with one sub-folder a class, optionally below train/
    and test/, or Parquet with an image column. Features of pictures are computed once and kept
    (METRISCOPE_CACHE).

    Interrupted, the same command goes on where it stopped: finished runs are kept.
    """
    say(f"reading {source}")
    from metriscope.comparison import compare as run
    from metriscope.data import Extraction
    from metriscope.losses import PAPER
    from metriscope.progress import progress

    signal.signal(signal.SIGTERM, interrupt)
    with progress(sys.stderr) as observer:
        results = run(
            source,
            losses=names(losses) if losses is not None else PAPER,
            seeds=numbers(seeds),
            settings=dict(setting(s) for s in settings),
            sweep=_sweep(sweeps),
            images=Extraction(
                dtype=dtype, strict=strict, progress=observer.pictures, notify=observer.note
            ),
            observer=observer,
            notify=observer.note,
            command=shlex.join(["metriscope", *sys.argv[1:]]),
            **rest,
        )
    show_results(results, _folder(rest["out"], results), as_json)
    failed = [run for run in results.runs if run.status == "failed"]
    if failed:
        say(f"{len(failed)} of {len(results.runs)} runs failed; the same command tries them again.")
        sys.exit(1)


def _folder(out: str | None, results: Results) -> Path:
    from metriscope.text import slug

    return Path(out) if out else Path("runs") / slug(results.about["dataset"])


def _sweep(texts: tuple[str, ...]) -> dict[str, str]:
    """The values of each setting, with commas between them; of one given twice, all of them."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals:
            raise InputError(f"--sweep {text!r} has no '='; write it as triplet.margin=0.1,0.5,2.")
        name = name.strip()
        found[name] = f"{found[name]},{values}" if name in found else values
    return found
