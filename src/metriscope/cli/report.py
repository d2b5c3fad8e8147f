"""``metriscope report``."""

from __future__ import annotations

from pathlib import Path

import click

from metriscope.cli._app import show_examined, show_results


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def report(folder: Path, as_json: bool) -> None:
    """(Re)make the report of FOLDER, written by `compare` or `diagnose`, and print its tables."""
    from metriscope.diagnosis import saving
    from metriscope.disk import storage_errors
    from metriscope.report import html
    from metriscope.store import load_results

    if (folder / saving.FILE).exists():
        examined = saving.load(folder)
        saving.write_html(examined, folder / "report.html")
        show_examined(examined, folder, as_json)
        return
    results = load_results(folder)
    with storage_errors(folder):
        html.write(results, folder / "report.html")
    show_results(results, folder, as_json)
