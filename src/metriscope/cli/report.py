"""``metriscope report``."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metriscope.cli._app import goals, interrupt, say, show_examined, show_results

if TYPE_CHECKING:
    from metriscope.recommendation import Goal
    from metriscope.types import Results

_NAMED = 3  # runs


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--goal",
    type=goals,
    help="Recommend for this goal.  [default: that of the recommendation that is there]",
)
@click.option(
    "--figures",
    type=click.Choice(["pdf", "svg", "png"]),
    help="Also write every picture, and the tables as LaTeX, to FOLDER/figures.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def report(folder: Path, goal: Goal | None, figures: str | None, as_json: bool) -> None:
    """(Re)make the report of FOLDER, written by `compare`, `reproduce` or `diagnose`.

    Nothing is trained. How the embedding spaces look is computed where that was not done yet.
    """
    from metriscope.store import RESULTS, load_results

    signal.signal(signal.SIGTERM, interrupt)
    if not (folder / RESULTS).exists() and (folder / "diagnosis.json").exists():
        _report_diagnosis(folder, goal, figures, as_json)
        return
    results = load_results(folder)
    from metriscope import views
    from metriscope.report import figures as drawn
    from metriscope.report import html
    from metriscope.report.evidence import Evidence

    views.complete(folder, results, notify=say)
    results = _checked(results, folder) if goal is None else _recommended(results, folder, goal)
    evidence = Evidence(results, folder)
    if evidence.edited:
        say(_about_edits(folder / RESULTS, evidence.edited))
    html.write(results, folder / "report.html")
    if figures is not None:
        files = drawn.write(evidence, folder / "figures", figures)  # type: ignore[arg-type]
        say(f"{len(files)} files in {folder / 'figures'}")
    show_results(results, folder, as_json)


def _report_diagnosis(folder: Path, goal: str | None, figures: str | None, as_json: bool) -> None:
    from metriscope.diagnosis import saving
    from metriscope.types import InputError

    if goal is not None or figures is not None:
        raise InputError(
            f"{folder} holds a diagnosis, which recommends no loss and has no figures: leave out "
            "--goal and --figures."
        )
    examined = saving.load(folder)
    saving.write_html(examined, folder / "report.html")
    show_examined(examined, folder, as_json)


def _recommended(results: Results, folder: Path, goal: Goal) -> Results:
    """With a recommendation for another goal, which is kept."""
    from dataclasses import replace

    from metriscope.recommendation import recommend
    from metriscope.store import Store

    store = Store(folder)
    with store.locked():
        if "datasets" in results.about:
            parts = {name: recommend(results.of(name), folder, goal) for name in results.datasets}
            results = replace(results, recommendation=parts)
        else:
            results = replace(results, recommendation=recommend(results, folder, goal))
        store.save(results)
    return results


def _checked(results: Results, folder: Path) -> Results:
    """With the recommendation that the runs give; what was stored may be edited, or older."""
    from metriscope.recommendation import anew
    from metriscope.store import RESULTS

    made, changed = anew(results, folder)
    if changed:
        of = f" of {', '.join(changed[:_NAMED])}" if "datasets" in results.about else ""
        say(
            f"{folder / RESULTS}: the recommendation{of} there is not the one that the runs give: "
            "it was edited, or written by another version. The report shows it made anew."
        )
    return made


def _about_edits(file: Path, keys: tuple[str, ...]) -> str:
    named = ", ".join(keys[:_NAMED])
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return (
        f"{file} was edited: scores of {named}{more} are not those that the runs left. The report "
        "shows it as it is; the same compare command writes it anew."
    )
