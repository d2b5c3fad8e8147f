"""``report.html`` of a diagnosis: what is wrong first, then everything it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from metriscope.disk import storage_errors, write_text
from metriscope.report import diagnosis
from metriscope.report.cards import COLUMNS, cards
from metriscope.report.charts import Chart, Dots, Plane
from metriscope.report.page import Page, Section, to_html
from metriscope.report.style import Look
from metriscope.report.tables import Table
from metriscope.report.words import short
from metriscope.types import ClassRow, Examined

CLASSES = 500
DOTS = 30
CONFUSIONS = 30
ITEMS = 100  # of each kind
SCATTERED = 15  # classes; of fewer the table shows as much
_LOOK = Look("#3b6fd4", "o")
_AGAIN = "; `metriscope diagnose --out DIR` writes all of them to {file}."


def write(examined: Examined, path: Path) -> None:
    """Write the report, whole or not at all.

    The page needs no network and no font; without scripts its tables can still be read. It follows
    the reader's light or dark setting, prints, and works from 320 pixels up. Equal diagnoses give
    the same bytes.

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
            chart=_recalls(rows, diagnosis.confidence(examined)),
            sortable=True,
        )
    ]
    spreads = _spreads(rows)
    if spreads:
        says = (
            "A dot a class. Classes that are lost although they are tight (lower left) are "
            "probably close to another class; those that are lost and wide (lower right) may hold "
            "several clumps or wrong labels."
        )
        numbers = replace(table, rows=())  # they are in the table of the classes
        made.append(Section("spread", "Spread and recall", says, numbers, chart=spreads))
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


def _recalls(rows: list[ClassRow], confidence: str) -> Chart | None:
    """Recall@1 of the worst classes, with its interval."""
    shown = [(row, row.recall) for row in rows if row.recall is not None][:DOTS]
    if not shown:
        return None
    between = [row.interval or (recall, recall) for row, recall in shown]
    dots = Dots(
        "Recall@1",
        tuple(recall for _, recall in shown),
        tuple(float(i) for i in range(len(shown))),
        _LOOK,
        x_low=tuple(low for low, _ in between),
        x_high=tuple(high for _, high in between),
        texts=tuple(row.name for row, _ in shown),
    )
    which = f"the {DOTS} classes with the lowest" if len(shown) == DOTS else "each class"
    plane = Plane(
        (dots,),
        x_label=f"Recall@1 of {which} (lines: {confidence} intervals)",
        x_range=(-0.02, 1.02),
        y_names=tuple(short(row.name) for row, _ in shown),
    )
    return Chart((plane,), columns=1, width=7, height=1.1 + 0.26 * len(shown))


def _spreads(rows: list[ClassRow]) -> Chart | None:
    """Spread against Recall@1, a dot a class."""
    shown = [(row, row.recall) for row in rows if row.recall is not None]
    if len(shown) < SCATTERED:
        return None
    dots = Dots(
        "Classes",
        tuple(row.spread for row, _ in shown),
        tuple(recall for _, recall in shown),
        _LOOK,
        texts=tuple(row.name for row, _ in shown),
        alpha=0.6,
    )
    plane = Plane((dots,), "Spread within the class", "Recall@1", y_range=(-0.03, 1.03))
    return Chart((plane,), columns=1, width=7, height=4)
