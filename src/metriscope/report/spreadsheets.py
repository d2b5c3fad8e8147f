"""CSV: numbers in full precision, and no text that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence

from metriscope.text import plain
from metriscope.types import Examined

_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")  # the wide ones, too: spreadsheets read them so


def classes(examined: Examined) -> str:
    """A line a class."""
    rows = []
    for row in examined.per_class:
        low, high = row.interval or (None, None)
        numbers = (row.rows, row.queries, row.spread, row.recall, low, high)
        rows.append((row.name, *numbers, row.confused_with, row.lost))
    heads = ("class", "rows", "queries", "spread", "recall@1", "low", "high")
    return written((*heads, "confused_with", "lost"), rows)


def items(examined: Examined) -> str:
    """A line an item."""
    heads = ("kind", "id", "label", "other", "other_label", "value", "part")
    return written(heads, ([getattr(item, head) for head in heads] for item in examined.items))


def written(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Heads and rows as CSV. Undefined numbers are empty; texts are safe to open."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_cell(head) for head in heads])
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    return out.getvalue()


def _cell(value: object) -> object:
    """Undefined is empty; text that begins like a formula has a quote before it."""
    if isinstance(value, str):
        text = plain(value)
        return f"'{text}" if text.startswith(_FORMULA) else text
    return None if isinstance(value, float) and not math.isfinite(value) else value
