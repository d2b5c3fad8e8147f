"""Tables in LaTeX, with the rules of booktabs; every name is printed as it is."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import groupby

from metriscope.report.columns import Column
from metriscope.report.tables import Cell, Row, Table
from metriscope.report.words import short
from metriscope.text import plain

_NEEDS = "% \\usepackage{booktabs,graphicx}; letters beyond Latin ones need LuaLaTeX or XeLaTeX\n"
_LONG = 36  # characters; a column of words with longer ones breaks its lines
_COLUMN, _PAGE = 42, 105  # characters in a line of a column, and of a page

_GREEK = {
    "α": "alpha",
    "β": "beta",
    "γ": "gamma",
    "δ": "delta",
    "ε": "epsilon",
    "λ": "lambda",
    "μ": "mu",
    "π": "pi",
    "ρ": "rho",
    "σ": "sigma",
    "τ": "tau",
    "χ": "chi",
    "Δ": "Delta",
    "Σ": "Sigma",
}
_ESCAPES = {
    **{c: f"\\{c}" for c in "{}$&#_%"},
    **{c: f"{{{c}}}" for c in "[]*"},  # after the end of a row they would be its arguments
    **{sign: f"$\\{name}$" for sign, name in _GREEK.items()},
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    '"': "\\symbol{34}",
    "'": "\\textquotesingle{}",
    "`": "\\textasciigrave{}",
    "\u200c": "{}",
    "\u200d": "",
    "–": "\\textendash{}",
    "…": "\\ldots{}",
    "−": "$-$",
    "±": "$\\pm$",
    "×": "$\\times$",
    "·": "$\\cdot$",
    "²": "$^2$",
    "√": "$\\surd$",
    "‖": "$\\Vert$",
    "∞": "$\\infty$",
    "≤": "$\\le$",
    "≥": "$\\ge$",
    "≈": "$\\approx$",
    "↑": "$\\uparrow$",
    "↓": "$\\downarrow$",
    "→": "$\\rightarrow$",
}


def to_latex(table: Table, caption: str = "", label: str = "") -> str:
    """A ``tabular``, the best means in bold; with a caption, a ``table`` around it.

    Columns whose headings begin alike (``cub200: r@1``, ``cub200: r@5``) share a heading.

    Args:
        table: all its texts are printed as text, whatever they contain.
        caption: above the table; of any origin.
        label: what ``\\ref`` takes, after ``tab:``; letters, digits and hyphens.
    """
    width, body = _width(table), _tabular(table)
    if width > _PAGE:
        body = f"\\resizebox{{\\linewidth}}{{!}}{{%\n{body}}}\n"
    if not caption:
        return _NEEDS + body
    place = "table*" if width > _COLUMN else "table"
    return (
        f"{_NEEDS}\\begin{{{place}}}\n\\centering\n\\caption{{{escape(caption)}}}\n"
        f"\\label{{tab:{label}}}\n{body}\\end{{{place}}}\n"
    )


def escape(text: str) -> str:
    """Text that LaTeX prints as it is: no command, no argument, no ligature."""
    whole = unicodedata.normalize("NFC", plain(text))
    escaped = "".join(_ESCAPES.get(c, c) for c in whole)
    return re.sub(r"(?<=([-,]))(?=\1)", "{}", escaped)


def _tabular(table: Table) -> str:
    rows = "".join(
        _line([escape(_named(row)), *map(_cell, row.cells, table.columns)]) for row in table.rows
    )
    return (
        f"\\begin{{tabular}}{{{_columns(table)}}}\n\\toprule\n{_heads(table)}\\midrule\n"
        f"{rows}\\bottomrule\n\\end{{tabular}}\n"
    )


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + " \\\\\n"


def _heads(table: Table) -> str:
    """The headings; over those that begin alike, what they begin with."""
    parts = [column.heading.rpartition(": ") for column in table.columns]
    groups = [(name, len(list(same))) for name, same in groupby(name for name, _, _ in parts)]
    shared = {name for name, n in groups if name and n > 1}
    heads = [own if name in shared else name + sep + own for name, sep, own in parts]
    line = _line([escape(table.head), *map(escape, heads)])
    if not shared:
        return line
    over, rules, at = [""], [], 2
    for name, n in groups:
        if name in shared:
            over.append(f"\\multicolumn{{{n}}}{{c}}{{{escape(short(name))}}}")
            rules.append(f"\\cmidrule(lr){{{at}-{at + n - 1}}}")
        else:
            over += [""] * n
        at += n
    return f"{_line(over)}{''.join(rules)}\n{line}"


def _named(row: Row) -> str:
    return short(row.name, 2 * _LONG) + (f" ({row.note})" if row.note else "")


def _cell(cell: Cell, column: Column) -> str:
    text = escape(cell.text)
    if not column.words:
        text = re.sub(r"^-(?=\d)", "$-$", text)
    return f"\\textbf{{{text}}}" if cell.best else text


def _columns(table: Table) -> str:
    """Numbers to the right, words to the left; long words in lines that break."""
    long = _long(table)
    rest = sum(n for n, is_long in zip(_widths(table), long, strict=True) if not is_long)
    share = max(0.9 - rest / _PAGE, 0.3) / max(sum(long), 1)
    return "".join(
        f"p{{{share:.2f}\\linewidth}}" if is_long else "l" if is_words else "r"
        for is_long, is_words in zip(long, _words(table), strict=True)
    )


def _words(table: Table) -> list[bool]:
    return [True, *(column.words for column in table.columns)]


def _long(table: Table) -> list[bool]:
    """Which columns break their lines."""
    return [w and n > _LONG for w, n in zip(_words(table), _widths(table), strict=True)]


def _width(table: Table) -> int:
    """Characters in a line of the whole table."""
    widths = (min(n, _LONG) if w else n for w, n in zip(_words(table), _widths(table), strict=True))
    return sum(widths) + 2 * len(table.columns)


def _widths(table: Table) -> list[int]:
    """Characters of the longest text of each column."""
    lines: list[Sequence[str]] = [[table.head, *(column.heading for column in table.columns)]]
    lines += [[_named(row), *(c.text for c in row.cells)] for row in table.rows]
    return [max(map(len, texts)) for texts in zip(*lines, strict=True)]
