"""An examined space as sentences and tables, which the terminal and the page both show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from metriscope.report import columns
from metriscope.report.columns import Column
from metriscope.report.tables import Cell, Row, Table, number
from metriscope.report.words import short
from metriscope.types import ClassRow, Examined, Interval, Item, Severity

GROUPS = {
    "retrieval": "Retrieval",
    "classification": "Classification from the training part",
    "geometry": "Geometry",
    "data": "Data",
    "other": "Other",
}
KINDS = {
    "outlier": "Outliers",
    "mislabelled": "Likely mislabelled",
    "duplicate": "Near-duplicates",
}
PARTS = {"same": "the same rows", "train": "the training rows", "gallery": "the gallery"}
_NAMES = 60  # characters of a name in a cell
_ABOUT = {
    "source": "Source",
    "labels": "Labels",
    "split": "Part",
    "rows": "Rows",
    "dim": "Dimensions",
    "classes": "Classes",
    "gallery": "Gallery",
    "gallery_rows": "Gallery rows",
    "train_rows": "Training rows",
    "queries": "Queries",
    "sampled": "Sampled",
    "confidence": "Confidence of intervals",
    "resamples": "Bootstrap resamples",
    "seed": "Seed",
    "command": "Command",
    "machine": "Machine",
}


def verdict(examined: Examined) -> str:
    """``2 problems, 1 warning; 14 checks passed, 3 do not apply.``"""
    if not examined.findings:
        return "No checks were asked for."
    problems, warnings, passed, silent = (
        sum(f.severity == severity for f in examined.findings)
        for severity in ("problem", "warning", "ok", "not applicable")
    )
    fired = [_count(n, word) for n, word in ((problems, "problem"), (warnings, "warning")) if n]
    looked = f"{_count(passed, 'check')} passed"
    if silent:
        looked += f", {silent} {'does' if silent == 1 else 'do'} not apply"
    if not fired and not passed:
        return f"No check could look: {silent} do not apply."
    return f"{', '.join(fired) or 'No problem found'}; {looked}."


def facts(examined: Examined) -> list[str]:
    """What was examined, in a few words each."""
    about = examined.about
    found = []
    if about.get("rows"):
        dims = f" × {_text(about['dim'])} dimensions" if about.get("dim") else ""
        part = f" ({about['split']})" if about.get("split") not in (None, "all") else ""
        found.append(f"{_text(about['rows'])} rows{part}{dims}")
    counts = {
        "classes": "classes",
        "queries": "queries",
        "gallery_rows": "gallery rows",
        "train_rows": "training rows",
    }
    return found + [f"{_text(about[key])} {word}" for key, word in counts.items() if about.get(key)]


def name(examined: Examined) -> str:
    """What to call the space."""
    return str(examined.about.get("source") or "embeddings")


def confidence(examined: Examined) -> str:
    """``95 %``."""
    share = examined.about.get("confidence")
    return f"{share * 100:g} %" if isinstance(share, int | float) else "confidence"


def interval(between: Interval | None, digits: int = 3) -> str:
    """``[0.905, 0.918]``; nothing where there is none."""
    if between is None or not all(map(math.isfinite, between)):
        return ""
    return f"[{number(between.low, digits)}, {number(between.high, digits)}]"


@dataclass(frozen=True)
class Scored:
    """A score as it is shown.

    Attributes:
        score: as in ``diagnosis.json``. label: in plain words, with an arrow to the better side.
        value, interval: as text; a dash where it is undefined, nothing where there is no interval.
        meaning: for a person who has not read the paper. group: of :data:`GROUPS`.
        main: whether it is defined and has a label of its own; the others are for the curious.
    """

    score: str
    label: str
    value: str
    interval: str
    meaning: str
    group: str
    main: bool


def scored(examined: Examined) -> list[Scored]:
    """Every score: those with a label in the order of the tables, then the others."""
    from metriscope.diagnostics import DIAGNOSTICS

    made = [(s, d) for d in DIAGNOSTICS.all().values() for s in d.scores]
    known = {score.name: (score, diagnostic) for score, diagnostic in made}
    labelled = {c.score: c for c in (*columns.RETRIEVAL, *columns.VARIANCE, *columns.DIAGNOSIS)}
    order = [*(s for s in labelled if s in examined.scores), *examined.scores]
    lines = []
    for name in dict.fromkeys(order):
        column = labelled.get(name) or Column(name)
        meaning, group = column.meaning, "other"
        if name in known:
            score, diagnostic = known[name]
            better = score.better if column.directed else None
            column, group = replace(column, better=better), diagnostic.group
            summary = DIAGNOSTICS.describe(diagnostic.name).summary
            meaning = meaning or summary.rstrip(".")
        value = examined.scores[name]
        defined = value is not None and math.isfinite(value)
        lines.append(
            Scored(
                name,
                column.heading,
                number(value, column.digits) if value is not None and defined else "–",
                interval(examined.intervals.get(name), column.digits) if defined else "",
                meaning,
                group if group in GROUPS else "other",
                defined and name in labelled,
            )
        )
    return lines


def scores(examined: Examined, lines: Sequence[Scored], title: str) -> Table:
    """Some of the scores."""
    heads, cells = [Column("Value")], [[Cell(line.value)] for line in lines]
    if any(line.interval for line in lines):
        heads.append(Column(f"{confidence(examined)} interval"))
        cells = [[*cell, Cell(line.interval)] for cell, line in zip(cells, lines, strict=True)]
    rows = (Row(line.label, tuple(cell)) for line, cell in zip(lines, cells, strict=True))
    says = "↑ higher is better, ↓ lower is better; without an arrow, neither is by itself."
    return Table(title, says, tuple(heads), tuple(rows), head="Score")


def worst(examined: Examined) -> list[ClassRow]:
    """The classes that were searched with, lowest recall first, then the others, largest first."""

    def place(row: ClassRow) -> tuple[bool, float, float, int]:
        undefined = row.recall is None
        return undefined, row.recall or 0.0, -(row.lost or 0.0), -row.rows

    return sorted(examined.per_class, key=place)


def classes(examined: Examined, most: int) -> Table:
    """Size, recall, spread and where its queries go, of the classes with the lowest recall."""
    rows = worst(examined)
    heads = (
        Column("Rows"),
        Column(f"Recall@1 [{confidence(examined)}]"),
        Column("Spread"),
        Column("Loses most to", words=True),
    )
    return Table(
        _first("Classes, lowest recall first", min(most, len(rows)), len(rows)),
        "Recall@1: the share of the queries of the class whose nearest neighbour is of it, with "
        "Wilson's interval. Spread: mean squared distance to the centre of the class, from 0 to 1. "
        "The last column is the class that takes most of its lost queries, with the share of all "
        "its queries that go there.",
        heads,
        tuple(_class(row) for row in rows[:most]),
        head="Class",
    )


def confusions(examined: Examined, most: int) -> Table:
    """Which classes find which."""
    found = examined.confusions
    return Table(
        _first("Confusions, most frequent first", min(most, len(found)), len(found)),
        "Queries of the first class whose nearest neighbour is of the second; the share is of all "
        "queries of the first.",
        (Column("Finds", words=True), Column("Queries"), Column("Share")),
        tuple(
            Row(
                short(c.label, _NAMES),
                (
                    Cell(short(c.found, _NAMES)),
                    Cell(f"{c.queries:,}", c.queries),
                    Cell(percent(c.share), c.share),
                ),
            )
            for c in found[:most]
        ),
        head="Class",
    )


def items(examined: Examined, kind: str, most: int) -> Table:
    """The items of a kind of :data:`KINDS`, worst first."""
    found = [item for item in examined.items if item.kind == kind]
    about, labels = _OF_ITEMS[kind]
    return Table(
        _first(KINDS[kind], min(most, len(found)), len(found)),
        about,
        tuple(Column(label, words=label != labels[-1]) for label in labels),
        tuple(Row(short(item.id, 120), _item(item)) for item in found[:most]),
        head="Item",
    )


def checks(examined: Examined, severity: Severity) -> Table:
    """The checks that passed (``ok``) or do not apply."""
    found = [f for f in examined.findings if f.severity == severity]
    if severity == "ok":
        heads = [Column("Looked at", words=True), Column("Value"), Column("Limit")]
        rows = [[f.title, _number(f.value), _number(f.threshold)] for f in found]
    else:
        heads = [Column("Looks at", words=True), Column("Why it does not apply", words=True)]
        rows = [[f.title, f.message] for f in found]
    titles = {"ok": "Checks that passed", "not applicable": "Checks that do not apply"}
    return Table(
        titles.get(severity, severity),
        "",
        tuple(heads),
        tuple(Row(f.code, tuple(map(Cell, r))) for f, r in zip(found, rows, strict=True)),
        head="Code",
    )


def settings(examined: Examined) -> Table:
    """Everything that is needed to make the diagnosis again."""
    about = examined.about
    pairs: list[tuple[str, Any]] = [
        (label, about[key]) for key, label in _ABOUT.items() if about.get(key) not in (None, "")
    ]
    if isinstance(about.get("seconds"), int | float):
        pairs.append(("Time", f"{number(about['seconds'], 1)} s"))
    pairs += [("Note", note) for note in about.get("notes") or ()]
    pairs += [(f"Version: {k}", v) for k, v in sorted((about.get("versions") or {}).items())]
    return Table(
        "Settings: what was examined",
        "The same command on the same data gives the same numbers on one machine.",
        (Column("Value", words=True),),
        tuple(Row(label, (Cell(_text(value)),)) for label, value in pairs),
        head="Setting",
    )


def percent(share: float | None) -> str:
    """``12.3 %``; a dash where it is undefined."""
    return "–" if share is None or not math.isfinite(share) else f"{100 * share:.1f} %"


def _class(row: ClassRow) -> Row:
    recall = "–" if row.recall is None else number(row.recall)
    recall += f" {between}" if (between := interval(row.interval)) else ""
    lost = ""
    if row.confused_with is not None:
        lost = f"{short(row.confused_with, _NAMES)} ({percent(row.lost)})"
    spread = "–" if math.isnan(row.spread) else number(row.spread)
    known = None if math.isnan(row.spread) else row.spread
    cells = (Cell(f"{row.rows:,}", row.rows), Cell(recall, row.recall), Cell(spread, known))
    return Row(short(row.name, _NAMES), (*cells, Cell(lost)))


def _item(item: Item) -> tuple[Cell, ...]:
    label, other = short(item.label, _NAMES), "" if item.other is None else short(item.other, 120)
    of_other = "" if item.other_label is None else short(item.other_label, _NAMES)
    texts = {
        "outlier": (label, other, of_other),
        "mislabelled": (label, of_other, other),
        "duplicate": (label, other, of_other, PARTS.get(item.part, item.part)),
    }[item.kind]
    return tuple(map(Cell, (*texts, _number(item.value))))


_OF_ITEMS = {
    "outlier": (
        "Far from all other rows, those of their own class among them: so many times farther than "
        "rows usually are from their neighbours.",
        ("Class", "Nearest", "Its class", "Times as far as usual"),
    ),
    "mislabelled": (
        "Their neighbours agree on another class, and they lie inside it. The last column is the "
        "probability that the label is wrong.",
        ("Labelled", "Rather", "Nearest", "Probability"),
    ),
    "duplicate": (
        "Nearly the same embedding as another row, or exactly (0).",
        ("Class", "Same as", "Its class", "Which is in", "Distance"),
    ),
}


def _first(title: str, shown: int, total: int) -> str:
    return title if shown == total else f"{title}: {shown:,} of {total:,}"


def _number(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.3g}"


def _count(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
