"""A report as one HTML file: what is in it, and how it is put together.

The file loads nothing. Its Content-Security-Policy lets two scripts run, by their hash: ours and,
where there is a picture, plotly.js. What is drawn, copied or opened later stands in ``<script
type="application/zlib">`` elements, which no browser runs: JSON, compressed, in base64.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any

from metriscope import __version__
from metriscope.report import export, swatches
from metriscope.report.charts import Chart, Plane, interactive
from metriscope.report.columns import Column
from metriscope.report.intervals import interval
from metriscope.report.style import Look
from metriscope.report.tables import Table
from metriscope.text import plain


@dataclass(frozen=True)
class Section:
    """What the page shows under one heading.

    Attributes:
        id: unique on the page. layout, sortable: those of a panel.
        chart: its picture, if there is one.
        terms: what the words of the table mean: heading, name in files, meaning.
    """

    id: str
    title: str
    caption: str
    table: Table
    layout: str = "table"
    chart: Chart | None = None
    terms: tuple[tuple[str, str, str], ...] = ()
    sortable: bool = False

    @property
    def swatches(self) -> bool:
        """Whether rows are marked as in the pictures; in tables of a whole curve they are many."""
        return self.table.head == "Loss" and self.layout != "none"

    @property
    def short(self) -> str:
        """The title without what comes after its colon."""
        return self.title.partition(":")[0]


@dataclass(frozen=True)
class Part:
    """Sections about one dataset, that a reader opens and closes; ``lead`` is its answer."""

    id: str
    name: str
    facts: list[str]
    sections: list[Section]
    lead: str = ""


@dataclass(frozen=True)
class Page:
    """A report, ready to be written.

    Attributes:
        name: of what it is about, of unknown origin. what: what was done with it.
        facts: a few words each. sections: about everything. parts: about one dataset each.
        footer: a sentence. lead: the answer. warnings: sentences that stand before it.
        command: what makes the results again. versions: name and number.
        looks: of the row names of tables whose head is ``Loss``.
    """

    name: str
    what: str
    facts: list[str]
    sections: list[Section]
    footer: str
    lead: str = ""
    warnings: list[str] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    command: str = ""
    versions: list[str] = field(default_factory=list)
    looks: Mapping[str, Look] = field(default_factory=dict)


def terms(table: Table) -> tuple[tuple[str, str, str], ...]:
    """What the headings of a table mean, for those that say it."""
    return tuple(_term(column) for column in table.columns if column.meaning)


def to_html(page: Page) -> str:
    """The page in the one template. Every text in it is shown as text, whatever it contains."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    every = [*page.sections, *(section for part in page.parts for section in part.sections)]
    script = _resource("report.js")
    plotly = interactive.library() if any(section.chart for section in every) else ""
    return environment.from_string(_resource("report.html")).render(
        page=page,
        css=Markup(_resource("report.css")),
        script=Markup(script),
        plotly=Markup(plotly),
        policy=Markup(_policy([text for text in (script, plotly) if text])),
        version=__version__,
        pack=pack,
        planes=_planes,
        says=_says,
        swatch=swatches.row,
        symbol=swatches.legend,
        texts=_texts,
        kind=_kind,
        interval=interval,
        pictures={picture: f"p{i}" for i, picture in enumerate(_pictures(every))},
        jpeg=_jpeg,
    )


def pack(value: Any) -> str:
    """JSON for a ``<script>`` element: small, and without a sign that could end the element."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _shown(value: Any) -> Any:
    """A value as text, unless it is markup; most texts have nothing to hide, and are many."""
    text = value if isinstance(value, str) else str(value)
    return text if hasattr(value, "__html__") or text.isprintable() else plain(text)


def _policy(scripts: list[str]) -> str:
    """Nothing from anywhere; scripts by their hash; styles and pictures from the file itself."""
    return (
        f"default-src 'none'; script-src {' '.join(map(interactive.source, scripts))}; style-src "
        "'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _resource(name: str) -> str:
    return files("metriscope.report").joinpath(name).read_text("utf-8")


def _term(column: Column) -> tuple[str, str, str]:
    better = f" ({column.better} is better)" if column.better else ""
    return column.heading, column.score, column.meaning + better


def _planes(chart: Chart) -> list[dict[str, Any]]:
    """What plotly draws, without its legend: the page has one for all planes."""
    return interactive.to_plotly(replace(chart, legend=()))


def _says(section: Section, plane: Plane) -> str:
    """What a screen reader says in place of a picture."""
    axes = " against ".join(label for label in (plane.y_label, plane.x_label) if label)
    parts = [section.short, plane.title, axes]
    where = "The table with it has the numbers." if section.table.rows else section.caption
    return f"Picture: {', '.join(part for part in parts if part)}. {where}"


def _texts(table: Table) -> dict[str, str]:
    """What the buttons of a table copy."""
    return {
        "CSV": export.to_csv(table),
        "Markdown": export.to_markdown(table),
        "LaTeX": export.to_latex(table),
    }


def _kind(table: Table, place: int) -> str:
    """How a column is sorted: as ``number``, as ``text``, or not at all (empty)."""
    if any(row.cells[place].mean is not None for row in table.rows):
        return "number"
    return "text" if table.columns[place].words else ""


def _pictures(sections: Iterable[Section]) -> list[bytes]:
    """Every picture of a cell, once."""
    cells = (cell for section in sections for row in section.table.rows for cell in row.cells)
    return list(dict.fromkeys(picture for cell in cells for picture in cell.pictures))


def _jpeg(picture: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(picture).decode()
