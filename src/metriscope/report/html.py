"""``report.html``: one file with everything in it, that loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metriscope import __version__
from metriscope.disk import storage_errors, write_text
from metriscope.report import style
from metriscope.report.columns import Column
from metriscope.report.panels import PANELS
from metriscope.report.tables import Table
from metriscope.text import plain
from metriscope.types import Results

if TYPE_CHECKING:
    from metriscope.report.panels.base import Panel


@dataclass(frozen=True)
class Section:
    """What the page shows under one heading.

    Attributes:
        layout: that of a panel. svg: the picture, if there is one.
        terms: what the words of the table mean: heading, name in files, meaning.
    """

    id: str
    title: str
    caption: str
    table: Table
    layout: str = "table"
    svg: str = ""
    terms: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Page:
    """A report, ready to be written.

    Attributes:
        name: of what it is about, of unknown origin. what: what was done with it.
        facts: a few words each. footer: a sentence.
        looks: colours of the row names of tables whose head is ``Loss``.
    """

    name: str
    what: str
    facts: list[str]
    sections: list[Section]
    footer: str
    looks: Mapping[str, style.Look] = field(default_factory=dict)


def write(results: Results, path: Path) -> None:
    """Write the report, whole or not at all.

    The page needs no network, no script and no font; it follows the reader's light or dark
    setting, prints, and works from 320 pixels up. Results that are equal give the same bytes.

    Args:
        results: a comparison. All its texts are shown as text, whatever they contain.
        path: the file; replaced if it is there.

    Raises:
        StorageError: the file cannot be written.
    """
    path = Path(path)
    with storage_errors(path):
        write_text(path, page(results))


def page(results: Results) -> str:
    """The report as HTML."""
    about = results.about
    done = sum(run.status == "done" for run in results.runs)
    return to_html(
        Page(
            name=str(about.get("dataset") or about.get("source") or "results"),
            what="losses compared",
            facts=_facts(results, done),
            sections=sections(results),
            footer="from results.json. ± is the standard deviation over seeds (with n − 1); – is "
            "undefined, which is not 0.",
            looks={loss: style.look(loss) for loss in results.by_loss()},
        )
    )


def to_html(page: Page) -> str:
    """A page in the one template. Every text in it is shown as text, whatever it contains."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) else plain(value),
    )
    here = files("metriscope.report")
    template = environment.from_string(here.joinpath("report.html").read_text("utf-8"))
    return template.render(
        page=page,
        css=Markup(here.joinpath("report.css").read_text("utf-8")),
        Markup=Markup,
        version=__version__,
    )


def sections(results: Results) -> list[Section]:
    """Every panel that has something to show, in order."""
    panels = sorted(PANELS.all().items(), key=lambda item: (item[1].order, item[0]))
    made = [_section(name, panel(), results) for name, panel in panels]
    return [s for s in made if s.table.rows or s.id == "findings"]


def _section(name: str, panel: Panel, results: Results) -> Section:
    table, drawn = panel.frame(results), panel.plot(results)
    id = name.replace("_", "-")
    caption = panel.caption(results)
    svg = style.to_svg(drawn, id, f"{panel.title}. {caption}") if drawn is not None else ""
    terms = tuple(_term(column) for column in table.columns if column.meaning)
    return Section(id, panel.title, caption, table, panel.layout, svg, terms)


def _term(column: Column) -> tuple[str, str, str]:
    better = f" ({column.better} is better)" if column.better else ""
    return column.heading, column.score, column.meaning + better


def _facts(results: Results, done: int) -> list[str]:
    about: dict[str, Any] = dict(results.about)
    seeds = len({run.spec.seed for run in results.runs})
    facts = [f"{len(results.by_loss())} losses × {seeds} seeds, {done} runs finished"]
    failed = len(results.runs) - done
    if failed:
        facts.append(f"{failed} failed")
    if about.get("train_rows") and about.get("test_rows"):
        facts.append(f"{about['train_rows']:,} training and {about['test_rows']:,} test rows")
    if about.get("classes"):
        facts.append(f"{about['classes']:,} classes")
    if about.get("split"):
        facts.append(f"split: {about['split']}")
    if about.get("backbone") not in (None, "features"):
        facts.append(f"features: {about['backbone']}")
    return facts
