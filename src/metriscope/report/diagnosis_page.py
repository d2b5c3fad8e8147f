"""``report.html`` of a diagnosis: what is wrong first, then everything it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from metriscope.disk import storage_errors, write_text
from metriscope.report import diagnosis, style
from metriscope.report.cards import COLUMNS, cards
from metriscope.report.html import Page, Section, to_html
from metriscope.report.tables import Table
from metriscope.report.words import short
from metriscope.types import ClassRow, Examined

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLASSES = 500
DOTS = 30
CONFUSIONS = 30
ITEMS = 100  # of each kind
SCATTERED = 15  # classes; of fewer the table shows as much
_COLOUR = "#3b6fd4"
_AGAIN = "; `metriscope diagnose --out DIR` writes all of them to {file}."


def write(examined: Examined, path: Path) -> None:
    """Write the report, whole or not at all.

    The page needs no network, no script and no font; it follows the reader's light or dark
    setting, prints, and works from 320 pixels up. Equal diagnoses give the same bytes.

    Raises:
        StorageError: the file cannot be written.
    """
    path = Path(path)
    with storage_errors(path, "Free some space or choose another place."):
        write_text(path, page(examined))


def page(examined: Examined) -> str:
    """The report as HTML."""
    shown = [
        *_findings(examined),
        *_scores(examined),
        *_classes(examined),
        *_lists(examined),
        *_checks(examined),
        *_other_scores(examined),
    ]
    settings = diagnosis.settings(examined)
    shown.append(Section("settings", settings.title, settings.explanation, settings))
    return to_html(
        Page(
            name=diagnosis.name(examined),
            what="diagnosis",
            facts=diagnosis.facts(examined),
            sections=shown,
            footer="from diagnosis.json. – is undefined, which is not 0.",
        )
    )


def _findings(examined: Examined) -> list[Section]:
    says = diagnosis.verdict(examined)
    if examined.about.get("sampled"):
        says += f" {examined.about['sampled']}"
    table = Table("Findings", says, COLUMNS, cards(examined.fired), head="Code")
    return [Section("findings", "What is wrong", says, table, "cards")]


def _scores(examined: Examined) -> list[Section]:
    lines, made = [line for line in diagnosis.scored(examined) if line.main], []
    for group, title in diagnosis.GROUPS.items():
        of_group = [line for line in lines if line.group == group]
        made.append(_table_of(examined, of_group, f"scores-{group}", title))
    return [section for section in made if section.table.rows]


def _other_scores(examined: Examined) -> list[Section]:
    lines = [line for line in diagnosis.scored(examined) if not line.main]
    made = _table_of(examined, lines, "other-scores", "All other scores")
    return [made] if lines else []


def _table_of(
    examined: Examined, lines: Sequence[diagnosis.Scored], id: str, title: str
) -> Section:
    table = diagnosis.scores(examined, lines, title)
    terms = tuple((line.label, line.score, line.meaning) for line in lines if line.meaning)
    return Section(id, title, table.explanation, table, terms=terms)


def _classes(examined: Examined) -> list[Section]:
    table = diagnosis.classes(examined, CLASSES)
    if not table.rows:
        return []
    rows = diagnosis.worst(examined)[:CLASSES]
    made = [
        Section(
            "classes",
            "Classes",
            _cut(table.explanation, len(examined.per_class), CLASSES, "classes.csv"),
            table,
            svg=_svg(_recalls(rows, diagnosis.confidence(examined)), "classes", "Recall@1"),
        )
    ]
    svg = _svg(_spreads(rows), "spread", "Spread and Recall@1 of each class")
    if svg:
        says = (
            "A dot a class. Classes that are lost although they are tight (lower left) are "
            "probably close to another class; those that are lost and wide (lower right) may hold "
            "several clumps or wrong labels."
        )
        made.append(Section("spread", "Spread and recall", says, table, "none", svg))
    return made


def _lists(examined: Examined) -> list[Section]:
    table = diagnosis.confusions(examined, CONFUSIONS)
    total = len(examined.confusions)
    says = _cut(table.explanation, total, CONFUSIONS, "diagnosis.json")
    made = [Section("confusions", "Confusions", says, table)]
    for kind, title in diagnosis.KINDS.items():
        table = diagnosis.items(examined, kind, ITEMS)
        total = sum(item.kind == kind for item in examined.items)
        made.append(Section(kind, title, _cut(table.explanation, total, ITEMS, "items.csv"), table))
    return [section for section in made if section.table.rows]


def _checks(examined: Examined) -> list[Section]:
    passed = diagnosis.checks(examined, "ok")
    silent = diagnosis.checks(examined, "not applicable")
    made = [
        Section("passed", passed.title, "They looked, and nothing is wrong.", passed),
        Section("silent", silent.title, "Not looked at is not passed.", silent),
    ]
    return [section for section in made if section.table.rows]


def _cut(says: str, total: int, most: int, file: str) -> str:
    if total <= most:
        return says
    return f"{says} {most:,} of {total:,} are shown{_AGAIN.format(file=file)}"


def _svg(drawn: Figure | None, name: str, label: str) -> str:
    return "" if drawn is None else style.to_svg(drawn, name, label)


def _recalls(rows: list[ClassRow], confidence: str) -> Figure | None:
    """Recall@1 of the worst classes, with its interval."""
    shown = [(row, row.recall) for row in rows if row.recall is not None][:DOTS]
    if not shown:
        return None
    with style.drawing():
        drawn, (ax,) = style.figure(7, 1.1 + 0.26 * len(shown))
        for i, (row, recall) in enumerate(shown):
            low, high = row.interval or (recall, recall)
            ax.plot([low, high], [i, i], color=_COLOUR, linewidth=1.8, alpha=0.55)
            ax.plot(recall, i, color=_COLOUR, marker="o", markersize=6)
        ax.set_yticks(range(len(shown)), [short(row.name) for row, _ in shown])
        ax.set_ylim(len(shown) - 0.5, -0.5)
        ax.set_xlim(-0.02, 1.02)
        which = f"the {DOTS} classes with the lowest" if len(shown) == DOTS else "each class"
        ax.set_xlabel(f"Recall@1 of {which} (lines: {confidence} intervals)")
        ax.grid(axis="y", visible=False)
    return drawn


def _spreads(rows: list[ClassRow]) -> Figure | None:
    """Spread against Recall@1, a dot a class."""
    shown = [(row.spread, row.recall) for row in rows if row.recall is not None]
    if len(shown) < SCATTERED:
        return None
    with style.drawing():
        drawn, (ax,) = style.figure(7, 4)
        spreads, recalls = zip(*shown, strict=True)
        ax.plot(spreads, recalls, color=_COLOUR, marker="o", linestyle="none", alpha=0.6)
        ax.set_xlabel("Spread within the class")
        ax.set_ylabel("Recall@1")
        ax.set_ylim(-0.03, 1.03)
    return drawn
