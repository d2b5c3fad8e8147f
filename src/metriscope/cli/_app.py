"""The group that commands join, and how they speak."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from metriscope import __version__
from metriscope.types import Examined, Results

if TYPE_CHECKING:
    from rich.console import Console

    from metriscope.paper.audit import Item

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
    metriscope diagnose embeddings.parquet      what is wrong with this space?
    metriscope embed photos/ --out features.parquet
    metriscope report runs/mine
    metriscope reproduce --audit                the paper, held against itself
    metriscope list losses
    """
    del debug  # read from the arguments by main(), which is where errors arrive


def on_training(command: Any) -> Any:
    """The options of commands that train: which losses and seeds, how long, with what."""
    options = [
        click.option("--losses", metavar="A,B", help="Which losses.  [default: the paper's seven]"),
        click.option(
            "--seeds", default="3", show_default=True, help="How many seeds, or which: 0,7,42."
        ),
        click.option("--epochs", type=click.IntRange(1), help="[default: the preset's, 100]"),
        click.option("--batch-size", type=click.IntRange(2), help="[default: the preset's, 512]"),
        click.option(
            "--preset", default="paper", show_default=True, help="paper, paper-m2, predecessor."
        ),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="NAME=VALUE",
            help="triplet.margin=0.5, head.dim=64, head.final_activation=tanh, optimizer.lr=1e-3, "
            "sampler=m_per_class, … May be repeated.",
        ),
        click.option("--jobs", type=click.IntRange(1), help="Processes.  [default: one a core]"),
    ]
    for option in reversed(options):
        command = option(command)
    return command


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


goals = click.Choice(["top1", "recall@10", "compact", "fast"])
goal_option = click.option(
    "--goal",
    type=goals,
    default="top1",
    show_default=True,
    help="What the recommendation is for: the nearest neighbour, the nearest ten, tight classes, "
    "or few epochs.",
)


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


def show_results(results: Results, folder: Path, as_json: bool) -> None:
    """Print a comparison: its tables, or ``results.json``."""
    if as_json:
        from metriscope.store import to_json

        _show_json(to_json(results))
        return
    from metriscope.report import terminal

    _show_rendered(lambda console: terminal.render(results, console, folder / "report.html"))


def show_examined(examined: Examined, folder: Path | None, as_json: bool) -> None:
    """Print a diagnosis: what it found, or ``diagnosis.json``."""
    if as_json:
        from metriscope.diagnosis.saving import to_json

        _show_json(to_json(examined))
        return
    from metriscope.report import terminal_diagnosis

    report = None if folder is None else folder / "report.html"
    _show_rendered(lambda console: terminal_diagnosis.render(examined, console, report))


def show_reproduced(results: Results, folder: Path, as_json: bool) -> None:
    """Print a reproduction: its tables beside the paper's, or ``results.json``."""
    show_results(results, folder, as_json)
    if not as_json:
        from metriscope.report.evidence import Evidence
        from metriscope.report.terminal_paper import render_beside

        _show_rendered(lambda console: render_beside(Evidence(results, folder), console))


def show_audit(items: Sequence[Item], as_json: bool) -> None:
    """Print the audit of the paper, as text or as JSON."""
    if as_json:
        _show_json({"format": 1, "audit": [asdict(item) for item in items]})
        return
    from metriscope.report.terminal_paper import render_audit

    _show_rendered(lambda console: render_audit(items, console))


def _show_json(data: dict[str, Any]) -> None:
    show(json.dumps(data, indent=1))  # ASCII, so that any stdout can take it


def _show_rendered(render: Callable[[Console], None]) -> None:
    from rich.console import Console

    page = _Page()
    render(Console(file=page, highlight=False))
    show(page.getvalue().rstrip("\n"))


class _Page(io.StringIO):
    """Text for stdout, before any of it is written: what can go wrong there, ``show`` handles."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """As of stdout."""
        return sys.stdout.encoding

    def isatty(self) -> bool:
        """As stdout: it decides on colour."""
        return sys.stdout.isatty()


def interrupt(number: int, frame: FrameType | None) -> None:
    """A signal handler: end as Ctrl-C does."""
    raise KeyboardInterrupt
