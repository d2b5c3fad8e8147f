"""``metriscope embed``."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import click

from metriscope.cli._app import interrupt, on_pictures, say, show


@click.command()
@click.argument("source")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help=".parquet, .npz, .npy, .safetensors, or a name without a suffix: a datasets folder.",
)
@click.option("--part", default="all", show_default=True, help="train, test or all.")
@click.option("--labels", type=click.Path(), help="Label file of an .npy source.")
@on_pictures
def embed(source: str, out: Path, device: str, dtype: str, strict: bool, **rest: Any) -> None:
    """Write the features of the pictures in SOURCE to a file, or features in another format.

    SOURCE is what `metriscope compare` takes. Interrupted, the same command goes on where it
    stopped; features are kept in the cache (METRISCOPE_CACHE) and never computed twice.
    """
    say(f"reading {source}")
    from metriscope.data import Extraction
    from metriscope.data import embed as run
    from metriscope.progress import progress

    signal.signal(signal.SIGTERM, interrupt)
    with progress(sys.stderr) as observer:
        images = Extraction(
            device=device,
            dtype=dtype,
            strict=strict,
            progress=observer.pictures,
            notify=observer.note,
        )
        written = run(source, out, images=images, **rest)
    show(
        f"{out}: {len(written):,} rows, {written.dim} features, {len(written.class_names)} classes"
    )
