"""``metriscope report``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from metriscope.cli._app import goal_option, say, show_examined, show_results


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@goal_option
@click.option(
    "--figures",
    type=click.Choice(["pdf", "svg", "png"]),
    help="Also write every picture, and the tables as LaTeX, to FOLDER/figures.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def report(folder: Path, goal: str, figures: str | None, as_json: bool) -> None:
    """(Re)make the report of FOLDER, written by `compare`, `reproduce` or `diagnose`."""
    raise NotImplementedError
