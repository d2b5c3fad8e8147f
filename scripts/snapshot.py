"""Put the tables and curves of a comparison into a page of the documentation.

    python scripts/snapshot.py runs/demo README.md docs/img/digits-curves.svg

Replaces what stands between the page's two ``results`` comments, and writes the picture.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path

from metriscope.report import style, tables
from metriscope.report.charts import static
from metriscope.report.export import to_markdown
from metriscope.report.panels._curves import bands, draw
from metriscope.report.tables import Table
from metriscope.store import load_results
from metriscope.text import plain
from metriscope.types import Results

START, END = "<!-- results: start -->", "<!-- results: end -->"


def main_columns(table: Table) -> Table:
    """The table as a narrow page can show it."""
    keep = [i for i, column in enumerate(table.columns) if column.main]
    rows = [replace(row, cells=tuple(row.cells[i] for i in keep)) for row in table.rows]
    return replace(table, columns=tuple(table.columns[i] for i in keep), rows=tuple(rows))


def page(results: Results) -> str:
    """The answer, tables, findings and how long it took, in Markdown."""
    advice = results.recommendation
    parts = [f"> {plain(advice['answer'])}\n"] if advice else []
    for table in tables.build(results):
        parts += [f"**{table.title}**\n", to_markdown(main_columns(table))]
    parts.append("**Findings**\n")
    parts += [
        f"- `{f.code}` **{f.loss or 'data'}**: {f.title}. {f.message}" for f in results.findings
    ]
    spent, about = sum(run.seconds for run in results.runs), results.about
    parts.append(
        f"\n{len(results.runs)} runs, {about['seconds'] / 60:.1f} minutes in all, "
        f"{spent / 60:.1f} minutes summed over runs; {about['jobs']} processes of "
        f"{about['threads']} thread{'s' if about['threads'] > 1 else ''}; {about['machine']}."
    )
    return "\n".join(parts)


def picture(results: Results, path: Path) -> None:
    """Loss relative to its start, active terms, and gradient norm, over epochs."""
    quantities = {
        "Loss / loss before training": bands(results, "loss", relative=True),
        "Active terms": bands(results, "active.terms"),
        "Gradient norm of the head": bands(results, "grad_norm.head"),
    }
    chart = draw(quantities, [False, False, True])
    assert chart is not None, "no finished run"
    path.parent.mkdir(parents=True, exist_ok=True)
    svg = static.to_file(replace(chart, columns=3), "svg").decode()
    # A grey that is readable on light and dark pages: a picture file cannot ask which it is on.
    svg = svg.replace(style.INK, "#808080")
    path.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    given = parser.parse_args()
    results = load_results(given.folder)
    text = given.page.read_text(encoding="utf-8")
    new = f"{START}\n\n{page(results)}\n\n{END}"
    found, count = re.subn(f"{START}.*?{END}", lambda _: new, text, flags=re.DOTALL)
    assert count == 1, f"{given.page} needs one {START} … {END}"
    given.page.write_text(found, encoding="utf-8")
    picture(results, given.picture)


if __name__ == "__main__":
    main()
