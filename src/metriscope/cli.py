"""The command line: a thin skin. Results on stdout; progress and everything else on stderr.

Exit status: 0 done; 1 finished, but some runs failed; 2 bad input; 130 interrupted.
"""

from __future__ import annotations

import importlib
import json
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from metriscope import __version__
from metriscope.types import InputError, MetriscopeError, Results

if TYPE_CHECKING:
    from metriscope.registry import Registry

KINDS = {
    "losses": "metriscope.losses:LOSSES",
    "diagnostics": "metriscope.diagnostics:DIAGNOSTICS",
    "datasets": "metriscope.data.datasets:DATASETS",
    "backbones": "metriscope.data.backbones:BACKBONES",
    "samplers": "metriscope.samplers:SAMPLERS",
    "findings": "metriscope.findings:FINDINGS",
    "panels": "metriscope.report.panels:PANELS",
}

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=HELP)
@click.version_option(__version__, prog_name="metriscope")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def cli(debug: bool) -> None:
    """Which metric-learning loss for this data, and what does each do to the embedding space?

    \b
    metriscope compare digits                   seven losses on data that needs no download
    metriscope compare photos/                  pictures, one sub-folder a class
    metriscope compare features.npz --out runs/mine
    metriscope embed photos/ --out features.parquet
    metriscope report runs/mine
    metriscope list losses
    """
    del debug  # read from the arguments by main(), which is where errors arrive


def on_pictures(command: Any) -> Any:
    """The options of commands that turn pictures into features."""
    options = [
        click.option(
            "--backbone",
            metavar="NAME",
            help="What makes features of pictures: clip-vit-b32, vit-b32, dinov2-small, pixels, "
            "hf:REPOSITORY or hf:FOLDER, timm:NAME; NAME:FOLDER takes local weights.  "
            "[default: clip-vit-b32]",
        ),
        click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda."),
        click.option(
            "--dtype",
            type=click.Choice(["float32", "bfloat16"]),
            default="float32",
            show_default=True,
            help="Numbers the backbone computes with.",
        ),
        click.option("--strict", is_flag=True, help="Stop at a picture that cannot be read."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@cli.command()
@click.argument("source")
@click.option("--losses", metavar="A,B", help="Which losses.  [default: the paper's seven]")
@click.option("--seeds", default="3", show_default=True, help="How many seeds, or which: 0,7,42.")
@click.option("--epochs", type=click.IntRange(1), help="[default: the preset's, 100]")
@click.option("--batch-size", type=click.IntRange(2), help="[default: the preset's, 512]")
@click.option("--preset", default="paper", show_default=True, help="paper, paper-m2, predecessor.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="triplet.margin=0.5, head.dim=64, head.final_activation=tanh, optimizer.lr=1e-3, "
    "sampler=m_per_class, … May be repeated.",
)
@click.option("--jobs", type=click.IntRange(1), help="Processes.  [default: one a core]")
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

    signal.signal(signal.SIGTERM, _interrupt)
    with progress(sys.stderr) as observer:
        results = run(
            source,
            losses=_names(losses) if losses is not None else PAPER,
            seeds=_seeds(seeds),
            settings=dict(_setting(s) for s in settings),
            images=Extraction(
                dtype=dtype, strict=strict, progress=observer.pictures, notify=observer.note
            ),
            observer=observer,
            notify=observer.note,
            command=shlex.join(["metriscope", *sys.argv[1:]]),
            **rest,
        )
    _show(results, _folder(rest["out"], results), as_json)
    failed = [run for run in results.runs if run.status == "failed"]
    if failed:
        say(f"{len(failed)} of {len(results.runs)} runs failed; the same command tries them again.")
        sys.exit(1)


@cli.command()
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

    signal.signal(signal.SIGTERM, _interrupt)
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


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print results.json instead of tables.")
def report(folder: Path, as_json: bool) -> None:
    """(Re)make the report of FOLDER, written by `metriscope compare`, and print its tables."""
    from metriscope.disk import storage_errors
    from metriscope.report import html
    from metriscope.store import load_results

    results = load_results(folder)
    with storage_errors(folder):
        html.write(results, folder / "report.html")
    _show(results, folder, as_json)


@cli.command("list")
@click.argument("kind")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(kind: str, as_json: bool) -> None:
    """List what there is of KIND: losses, datasets, backbones, samplers, diagnostics, …"""
    from metriscope.registry import unknown

    if kind not in KINDS:
        raise InputError(unknown("kind", kind, KINDS))
    module, _, name = KINDS[kind].partition(":")
    registry: Registry[Any] = getattr(importlib.import_module(module), name)
    entries = [registry.describe(name) for name in registry.names()]
    if as_json:
        described = [
            {"name": e.name, "summary": e.summary, "parameters": e.parameters} for e in entries
        ]
        show(json.dumps(described, indent=1))
        return
    width = max((len(e.name) for e in entries), default=0)
    lines = []
    for entry in entries:
        lines.append(f"{entry.name:<{width}}  {entry.summary}")
        if entry.parameters:
            settings = "  ".join(f"{k}={v}" for k, v in entry.parameters.items())
            lines.append(f"{'':<{width}}    {settings}")
    show("\n".join(lines))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors become one or two lines on stderr."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.exit(cli.main(arguments, prog_name="metriscope", standalone_mode=False) or 0)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.ClickException as error:
        where = getattr(getattr(error, "ctx", None), "command_path", "metriscope")
        say(f"error: {error.format_message().rstrip('.')}. See `{where} --help`.")
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        say("interrupted. What is finished is kept; the same command goes on from there.")
        sys.exit(130)
    except Exception as error:
        if "--debug" in arguments:
            traceback.print_exc()
            sys.exit(2)
        if not isinstance(error, MetriscopeError):
            say(f"{type(error).__name__}: {error}. This is a bug: please report it with --debug.")
            sys.exit(2)
        say(f"error: {error}")
        sys.exit(2)


def say(sentence: str) -> None:
    """One line on stderr, with nothing in it that a terminal would obey."""
    from metriscope.text import plain

    click.echo(f"metriscope: {plain(sentence)}", err=True)


def show(text: str) -> None:
    """Print text on stdout; that nobody reads it any more (``| head``) is no error.

    Raises:
        StorageError: stdout is a file on a full disk.
    """
    from metriscope.disk import StorageError

    try:
        click.echo(text)
        sys.stdout.flush()
    except OSError as error:
        # Or Python would try to write what is left when it ends, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise StorageError(f"cannot write to standard output: {error.strerror}.") from error


def _show(results: Results, folder: Path, as_json: bool) -> None:
    if as_json:
        from metriscope.store import to_json

        show(json.dumps(to_json(results), indent=1))  # ASCII, so that any stdout can take it
        return
    from rich.console import Console

    from metriscope.report import terminal

    console = Console(highlight=False)
    with console.capture() as captured:
        terminal.render(results, console, folder / "report.html")
    show(captured.get().rstrip("\n"))


def _folder(out: str | None, results: Results) -> Path:
    from metriscope.text import slug

    return Path(out) if out else Path("runs") / slug(results.about["dataset"])


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _seeds(text: str) -> int | list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--seeds is {text!r}; give a number (3) or a list (0,7,42).") from None
    if "," in text:
        return numbers
    return numbers[0]


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--set {text!r} has no '='; write it as triplet.margin=0.5.")
    return name.strip(), value.strip()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
