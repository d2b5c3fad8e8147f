"""Tables as Markdown, CSV and LaTeX: every number, and every name as it is."""

from __future__ import annotations

import csv
import io
import re
import statistics

import pytest

from metriscope.report import tables
from metriscope.report.columns import Column
from metriscope.report.export import to_csv, to_latex, to_markdown
from metriscope.report.latex import escape
from metriscope.report.tables import Cell, Row, Table
from metriscope.types import Interval
from tests.charts import HOSTILE
from tests.fakes import results, run


def _table(*rows: Row, columns: tuple[Column, ...], head: str = "Loss") -> Table:
    return Table("A table", "What it says.", columns, rows, head)


SCORE = Column("Recall@1", "recall@1", better="higher")


def _read(table: Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(table))))


def test_markdown_escapes_names_and_bolds_the_best() -> None:
    found = results(run("a|b<i>_$~", recall_1=0.9), run("ccl", recall_1=0.8))
    lines = to_markdown(tables.build(found)[0]).splitlines()
    assert lines[0] == "| Loss | Recall@1 ↑ |"
    assert lines[1] == "| --- | ---: |"
    assert lines[2] == r"| a\|b\<i\>\_\$\~ | **0.900** |"
    assert lines[3] == "| ccl | 0.800 |"


def test_csv_has_full_precision() -> None:
    found = results(
        run("scl", 0, recall_1=1 / 3), run("scl", 1, recall_1=1 / 7), run("ccl", recall_1=None)
    )
    first, second = _read(tables.build(found)[0])
    assert float(first["recall@1"]) == statistics.fmean([1 / 3, 1 / 7])
    assert float(first["recall@1 sd"]) == pytest.approx(statistics.stdev([1 / 3, 1 / 7]), rel=1e-15)
    assert first["recall@1 n"] == "2"
    assert (second["Loss"], second["recall@1"], second["recall@1 n"]) == ("ccl", "", "0")


def test_csv_has_intervals_words_and_notes_where_there_are_any() -> None:
    table = _table(
        Row("a", (Cell("0.900", 0.9, interval=Interval(0.1 + 0.2, 0.95)), Cell("yes")), "failed"),
        Row("b", (Cell("–"), Cell("no"))),
        columns=(SCORE, Column("In words", words=True)),
    )
    assert to_csv(table).splitlines()[0] == "Loss,note,recall@1,recall@1 low,recall@1 high,In words"
    first, second = _read(table)
    assert float(first["recall@1 low"]) == 0.1 + 0.2
    assert (first["In words"], first["note"]) == ("yes", "failed")
    assert (second["recall@1"], second["recall@1 low"]) == ("", "")


def test_csv_columns_of_one_score_are_told_apart() -> None:
    columns = tuple(Column(f"{name}: r@1", "recall@1") for name in ("cub", "cars"))
    table = _table(Row("a", (Cell("1", 1.0), Cell("2", 2.0))), columns=columns)
    assert to_csv(table).splitlines()[0] == "Loss,cub: r@1,cars: r@1"


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_breaks_a_table_or_runs(name: str) -> None:
    columns = (Column(name, words=True), SCORE)
    table = _table(Row(name, (Cell(name), Cell("0.9", 0.9)), name), columns=columns, head=name)
    heads, row = list(csv.reader(io.StringIO(to_csv(table))))
    assert len(heads) == len(row) == 4
    assert not any(cell.startswith(tuple("=+-@")) for cell in (*heads, *row))
    assert not any(set("\x1b\u202e\n\r") & set(cell) for cell in (*heads, *row))
    lines = to_markdown(table).splitlines()
    assert len(lines) == 3
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 4 for line in lines)
    assert all(not re.search(r"(?<!\\)[<>$`]", line) for line in lines)
    latex = to_latex(table)
    assert len(re.findall(r"(?<!\\)&", latex)) == 4
    assert all(not set("\x1b\u202e") & set(text) for text in (latex, *lines))


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("100 % & #1_$", r"100 \% \& \#1\_\$"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("~^<>|", r"\textasciitilde{}\textasciicircum{}\textless{}\textgreater{}\textbar{}"),
        ("\"'`", r"\symbol{34}\textquotesingle{}\textasciigrave{}"),
        ("[4pt]*", "{[}4pt{]}{*}"),
        ("a--b---c", "a-{}-b-{}-{}-c"),
        (",,", ",{},"),
        ("a\nb\x00\u202e", r"a\textbackslash{}x0ab\textbackslash{}x00\textbackslash{}u202e"),
        ("e\u0301 ñ ß 猫", "é ñ ß 猫"),
        ("0.9 ± 0.1 ↑ −σ²", r"0.9 $\pm$ 0.1 $\uparrow$ $-$$\sigma$$^2$"),
    ],
)
def test_latex_prints_texts_as_they_are(text: str, printed: str) -> None:
    assert escape(text) == printed


def test_latex_is_booktabs_with_the_best_in_bold() -> None:
    table = _table(
        Row("scl", (Cell("0.900 ± 0.010", 0.9, best=True), Cell("-0.1", -0.1), Cell("-1"))),
        Row("ccl", (Cell("–"), Cell("0.2", 0.2), Cell("b"))),
        columns=(SCORE, Column("d"), Column("Says", words=True)),
    )
    first, *lines = to_latex(table).splitlines()
    assert first.startswith("% \\usepackage{booktabs")
    assert lines == [
        r"\begin{tabular}{lrrl}",
        r"\toprule",
        r"Loss & Recall@1 $\uparrow$ & d & Says \\",
        r"\midrule",
        r"scl & \textbf{0.900 $\pm$ 0.010} & $-$0.1 & -1 \\",
        r"ccl & \textendash{} & 0.2 & b \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    floating = to_latex(table, "50 % of $x$", "my-table").splitlines()
    assert floating[1:5] == [
        r"\begin{table}",
        r"\centering",
        r"\caption{50 \% of \$x\$}",
        r"\label{tab:my-table}",
    ]
    assert floating[-1] == r"\end{table}"


def test_columns_of_a_dataset_share_a_heading() -> None:
    columns = tuple(Column(f"{d}: {s}") for d in ("cub_1", "cars") for s in ("r@1", "r@5"))
    columns = (Column("all: n"), *columns)
    latex = to_latex(_table(Row("a", (Cell("1"),) * 5), columns=columns)).splitlines()
    assert latex[3:6] == [
        r" &  & \multicolumn{2}{c}{cub\_1} & \multicolumn{2}{c}{cars} \\",
        r"\cmidrule(lr){3-4}\cmidrule(lr){5-6}",
        r"Loss & all: n & r@1 & r@5 & r@1 & r@5 \\",
    ]


def test_wide_tables_are_blocks_with_the_names_repeated_and_long_words_break() -> None:
    columns = tuple(Column(f"Score {i}") for i in range(12))
    cell = Cell("0.900 ± 0.010", 0.9, interval=Interval(0.85, 0.95))
    wide = to_latex(_table(Row("scl", (cell,) * 12), columns=columns), "c", "l")
    assert wide.count(r"\begin{table*}") == wide.count(r"\caption") == 1
    blocks = re.findall(r"begin\{tabular\}\{(l(r+))\}", wide)
    assert sum(len(numbers) for _, numbers in blocks) == 12
    assert all(len(numbers) * 29 < 90 for _, numbers in blocks)
    assert wide.count("\nscl & 0.900 $\\pm$ 0.010 {[}0.850, 0.950{]} & ") == len(blocks)
    narrow = to_latex(_table(Row("scl", (Cell("1"),) * 12), columns=columns))
    assert re.findall(r"begin\{tabular\}\{l(r+)\}", narrow) == ["rrrrrrr", "rrrrr"]
    words = _table(Row("a", (Cell("so " * 60 + "f" * 40),)), columns=(Column("Says", words=True),))
    assert re.search(r"\{l>\{.*?\}p\{0\.\d\d\\linewidth\}\}", to_latex(words))
    assert r"ffffffff\allowbreak{}ffffffff" in to_latex(words)
    assert len(to_latex(_table(Row("a" * 300, ()), columns=()))) < 500


def test_long_tables_go_on_over_pages() -> None:
    long = to_latex(_table(*(Row(f"r{i}", (Cell("1"),)) for i in range(61)), columns=(SCORE,)), "c")
    assert "longtable" in long.splitlines()[0]
    assert r"\caption{c}" in long
    assert r"\begin{table" not in long
    assert long.count("Loss & Recall@1") == 2  # on the first page, and on the others


def test_tables_of_many_long_texts_are_a_list() -> None:
    columns = tuple(Column(name) for name in ("What", "Cause", "Try", "Limit"))
    cells = (*(Cell((f"{word} & " * 20).strip() + ".") for word in "abc"), Cell("0.1", 0.1))
    found = to_latex(_table(Row("MS1_", cells), columns=columns), "c")
    assert r"\item[{MS1\_}] \textbf{What:} a \& a" in found
    assert found.splitlines()[-2].endswith(r" c \&. \textbf{Limit:} 0.1.")
    assert "tabular" not in found


def test_a_cell_says_its_interval_once() -> None:
    interval = Interval(-0.02, 0.972)
    cells = (
        Cell("-0.010", -0.01, interval=interval),
        Cell("-0.020 to 0.972", 0.1, interval=interval),
    )
    table = _table(Row("a", cells), columns=(Column("d"), Column("e")))
    assert r"| -0.010 \[-0.020, 0.972\] | -0.020 to 0.972 |" in to_markdown(table)
    assert r"a & $-$0.010 {[}$-$0.020, 0.972{]} & $-$0.020 to 0.972 \\" in to_latex(table)


def test_an_empty_table_is_no_error() -> None:
    table = _table(columns=(SCORE,))
    assert to_csv(table) == "Loss,recall@1\n"
    assert to_markdown(table).count("\n") == 2
    assert r"\end{tabular}" in to_latex(table)
