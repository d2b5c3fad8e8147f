"""``metriscope diagnose``."""

from __future__ import annotations

import shlex
import signal
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from metriscope.cli._app import interrupt, say, show_examined
from metriscope.types import InputError


@click.command()
@click.argument("source")
@click.option("--labels", type=click.Path(), help="Label file of a source that has none.")
@click.option(
    "--gallery", metavar="SOURCE", help="Search SOURCE's rows in these, not in each other."
)
@click.option("--gallery-labels", type=click.Path(), help="Label file of the gallery.")
@click.option("--train", metavar="SOURCE", help="The training embeddings.")
@click.option(
    "--split",
    type=click.Choice(["test", "train", "all"]),
    default="test",
    show_default=True,
    help="Which part of a divided source to examine.",
)
@click.option("--only", metavar="A,B", help="geometry, retrieval, findings.  [default: all]")
@click.option(
    "--sample",
    type=click.IntRange(2),
    default=50_000,
    show_default=True,
    help="Rows kept in memory; what needs pairs of rows is of so many, drawn at random.",
)
@click.option(
    "--queries",
    type=click.IntRange(2),
    help="Queries searched among more rows than that.  [default: 4000]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all draws.")
@click.option(
    "--confidence",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.95,
    show_default=True,
    help="Of the intervals.",
)
@click.option(
    "--resamples",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="Of the bootstrap over queries.",
)
@click.option(
    "--zero-vectors",
    type=click.Choice(["error", "keep", "drop"]),
    default="error",
    show_default=True,
    help="What to do with rows that are all zero.",
)
@click.option("--device", default="cpu", show_default=True, help="auto, cpu or cuda.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write the report and tables to this folder."
)
@click.option("--json", "as_json", is_flag=True, help="Print diagnosis.json instead of text.")
@click.option(
    "--fail-on",
    metavar="WHAT",
    help="Exit with status 1 if it fires: problem, warning (or worse), or codes (MS101,MS403).",
)
def diagnose(
    source: str, out: Path | None, as_json: bool, fail_on: str | None, **rest: Any
) -> None:
    """What is wrong with the embeddings in SOURCE?

    SOURCE holds labelled vectors: .npz, .parquet, .safetensors, .npy with --labels, a folder with
    train.* and test.* files, or a dataset's name. Of pictures, `metriscope embed` makes vectors.

    Exit status: 0 done; 1 done, and --fail-on fired; 2 bad input. A check named by its code in
    --fail-on that does not apply to this input (no training part, say) counts as fired: what
    was not looked at has not passed. With problem and warning it does not count.

    \b
    metriscope diagnose embeddings.parquet
    metriscope diagnose queries.npz --gallery catalogue.parquet --out runs/diagnosis
    metriscope diagnose features/ --fail-on problem,MS404
    """
    try:
        closed = _diagnose(source, out, as_json, fail_on, rest)
    except KeyboardInterrupt:
        say("interrupted. Nothing is kept of a diagnosis; run it again.")
        sys.exit(130)
    if closed:
        say(f"--fail-on {fail_on}: {closed}.")
        sys.exit(1)


def _diagnose(
    source: str, out: Path | None, as_json: bool, fail_on: str | None, rest: dict[str, Any]
) -> str:
    """What closed the gate of ``--fail-on``, if there is one and anything did."""
    from metriscope.cli import _gate

    gate = _gate.parse(fail_on) if fail_on is not None else None
    only = rest.pop("only")
    if only is not None:
        rest["only"] = tuple(part.strip() for part in only.split(",") if part.strip())
        if gate is not None and "findings" not in rest["only"]:
            raise InputError("--fail-on needs findings, which --only leaves out; add them to it.")
    signal.signal(signal.SIGTERM, interrupt)
    say(f"reading {source}")
    from metriscope.diagnosis import diagnose as run
    from metriscope.diagnosis import saving
    from metriscope.progress import progress

    claimed = nullcontext() if out is None else saving.claimed(out)
    with claimed, progress(sys.stderr) as display:
        examined = run(
            source,
            notify=display.note,
            progress=_Rows(display.note),
            command=shlex.join(["metriscope", *sys.argv[1:]]),
            **rest,
        )
    if out is not None:
        saving.save(examined, out)
    show_examined(examined, out, as_json)
    return gate.closed_by(examined) if gate is not None else ""


class _Rows:
    """Says how many rows are done, where that takes long: a sentence every ten seconds."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self.note, self.said = note, time.monotonic()

    def __call__(self, what: str, rows: int, most: int) -> None:
        now = time.monotonic()
        if now - self.said >= 10:
            self.said = now
            self.note(f"{what}: {rows:,} of {most:,} rows")
