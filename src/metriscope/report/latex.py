"""Tables in LaTeX, with the rules of booktabs; every name is printed as it is."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from metriscope.report.columns import Column
from metriscope.report.intervals import beside
from metriscope.report.tables import Cell, Row, Table
from metriscope.report.words import short
from metriscope.text import plain

_OTHER = "letters beyond Latin ones need LuaLaTeX or XeLaTeX\n"
_NEEDS = f"% \\usepackage{{booktabs,array}}; {_OTHER}"
_NEEDS_LONG = f"% \\usepackage{{booktabs,array,longtable}}, in one column; {_OTHER}"
_BETWEEN = "\\par\\medskip\n"
_LONG = 36  # letters; a column of words with longer ones breaks its lines
_WORD, _PIECE = 16, 8  # letters; a longer word may be broken after so many
_COLUMN, _PAGE = 48, 84  # letters in a line of a column, and of a page in small type
_GAP = 3  # letters between columns
_MANY, _MOST = 8, 7  # columns beside each other; of a table in blocks
_HIGH = 50  # lines on a page, with a caption
_TEXTS = 3  # columns of long texts; so many are a list

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

    Columns whose headings begin alike (``cub200: r@1``, ``cub200: r@5``) share a heading. Tables
    too wide for a page are blocks of at most 7 columns under each other, each with the names of
    the rows; tables longer than a page are a ``longtable``, and those of long texts a list.

    Args:
        table: all its texts are printed as text, whatever they contain.
        caption: above the table; of any origin.
        label: what ``\\ref`` takes, after ``tab:``; letters, digits and hyphens.
    """
    if sum(_long(table)[1:]) >= _TEXTS:
        return _listed(table, caption)
    blocks = _blocks(table)
    said = f"\\caption{{{escape(caption)}}}\\label{{tab:{label}}}" if caption else ""
    if sum(map(_lines, blocks)) > _HIGH:
        parts = [_longtable(block, "" if i else said) for i, block in enumerate(blocks)]
        return f"{_NEEDS_LONG}{{\\footnotesize\n{_BETWEEN.join(parts)}}}\n"
    body = _BETWEEN.join(map(_tabular, blocks))
    if not caption:
        return _NEEDS + body
    narrow = len(blocks) == 1 and _width(table) <= _COLUMN
    place, size = ("table", "") if narrow else ("table*", "\\footnotesize\n")
    said = said.replace("\\label", "\n\\label")
    return f"{_NEEDS}\\begin{{{place}}}\n\\centering\n{size}{said}\n{body}\\end{{{place}}}\n"


def escape(text: str) -> str:
    """Text that LaTeX prints as it is: no command, no argument, no ligature."""
    whole = unicodedata.normalize("NFC", plain(text))
    escaped = "".join(_ESCAPES.get(c, c) for c in whole)
    return re.sub(r"(?<=([-,]))(?=\1)", "{}", escaped)


# ----------------------------------------------------------------------------------------- shapes


def _tabular(table: Table) -> str:
    rows = _rows(table)
    return (
        f"\\begin{{tabular}}{{{_columns(table)}}}\n\\toprule\n{_heads(table)}\\midrule\n"
        f"{rows}\\bottomrule\n\\end{{tabular}}\n"
    )


def _longtable(table: Table, caption: str) -> str:
    """Over several pages, the headings on each."""
    heads = f"\\toprule\n{_heads(table)}\\midrule\n"
    first = f"{caption}\\\\\n{heads}\\endfirsthead\n" if caption else ""
    return (
        f"\\begin{{longtable}}{{{_columns(table)}}}\n{first}{heads}\\endhead\n"
        f"\\bottomrule\n\\endlastfoot\n{_rows(table)}\\end{{longtable}}\n"
    )


def _listed(table: Table, caption: str) -> str:
    """An item a row, and in it what each column says; no column would hold so long texts."""
    items = []
    for row in table.rows:
        said = [
            f"\\textbf{{{escape(column.heading)}:}} "
            f"{_broken((cell.text + beside(cell, column)).rstrip('.'))}."
            for cell, column in zip(row.cells, table.columns, strict=True)
            if cell.text not in ("", "–")
        ]
        items.append(f"\\item[{{{escape(_named(row))}}}] {' '.join(said)}\n")
    over = f"\\noindent {escape(caption)}\n" if caption else ""
    listed = "".join(items)
    if not listed:
        return _NEEDS + over
    return f"{_NEEDS}{over}\\begin{{description}}\\sloppy\n{listed}\\end{{description}}\n"


def _blocks(table: Table) -> list[Table]:
    """Tables that fit beside the edges of a page, of all columns in their order."""
    own, *widths = [_room(n, w) for n, w in zip(_widths(table), _words(table), strict=True)]
    if own + sum(widths) <= _PAGE and len(widths) <= _MANY:
        return [table]
    groups: list[list[int]] = []
    for j, width in enumerate(widths):
        full = own + width + sum(widths[k] for k in (groups[-1] if groups else ()))
        if not groups or full > _PAGE or len(groups[-1]) == _MOST:
            groups.append([])
        groups[-1].append(j)
    return [_block(table, group) for group in groups] or [table]


def _block(table: Table, group: Sequence[int]) -> Table:
    rows = tuple(replace(row, cells=tuple(row.cells[j] for j in group)) for row in table.rows)
    return replace(table, columns=tuple(table.columns[j] for j in group), rows=rows)


def _rows(table: Table) -> str:
    name, *rest = _long(table)
    lines = []
    for row in table.rows:
        named = _broken(_named(row)) if name else escape(_named(row))
        cells = zip(row.cells, table.columns, rest, strict=True)
        lines.append(_line([named, *(_cell(cell, column, long) for cell, column, long in cells)]))
    return "".join(lines)


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + " \\\\\n"


def _heads(table: Table) -> str:
    """The headings; over those that begin alike, what they begin with."""
    parts = [column.heading.rpartition(": ") for column in table.columns]
    groups = [(name, len(list(same))) for name, same in groupby(name for name, _, _ in parts)]
    shared = {name for name, n in groups if name and n > 1}
    heads = [own if name in shared else name + sep + own for name, sep, own in parts]
    texts = [escape(short(head, _LONG)) for head in heads]
    line = _line([escape(short(table.head, _LONG)), *texts])
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


# ------------------------------------------------------------------------------------------ texts


def _named(row: Row) -> str:
    return short(row.name, 2 * _LONG) + (f" ({row.note})" if row.note else "")


def _cell(cell: Cell, column: Column, long: bool) -> str:
    text, after = (_broken if long else escape)(cell.text), escape(beside(cell, column))
    if not column.words:
        text, after = (re.sub(r"(^|[}\s])-(?=\d)", r"\1$-$", part) for part in (text, after))
    return (f"\\textbf{{{text}}}" if cell.best else text) + after


def _broken(text: str) -> str:
    """Escaped, with places inside long words where a line may end."""
    words = plain(text).split(" ")
    return " ".join("\\allowbreak{}".join(map(escape, _pieces(word))) for word in words)


def _pieces(word: str) -> list[str]:
    """Of a long word; a letter stays with its marks."""
    if len(word) <= _WORD:
        return [word]
    pieces = [""]
    for char in word:
        if len(pieces[-1]) >= _PIECE and not (
            unicodedata.category(char).startswith("M") or char in "\u200c\u200d"
        ):
            pieces.append("")
        pieces[-1] += char
    return pieces


# ------------------------------------------------------------------------------------------ sizes


def _columns(table: Table) -> str:
    """Numbers to the right, words to the left; long words in lines that break."""
    long, share = _long(table), _share(table)
    wide = f">{{\\raggedright\\arraybackslash}}p{{{share:.2f}\\linewidth}}"
    return "".join(
        wide if is_long else "l" if is_words else "r"
        for is_long, is_words in zip(long, _words(table), strict=True)
    )


def _share(table: Table) -> float:
    """Of the line's width, for each column that breaks its lines."""
    long = _long(table)
    rest = sum(n for n, is_long in zip(_widths(table), long, strict=True) if not is_long)
    gaps = _GAP * len(long)
    return max(0.98 - (rest + gaps) / _PAGE, 0.25) / max(sum(long), 1)


def _lines(table: Table) -> int:
    """That a table takes, about."""
    letters = max(1, int(_share(table) * _PAGE))
    texts = ([_named(row), *(c.text for c in row.cells)] for row in table.rows)
    long = _long(table)
    return 3 + sum(
        max(
            -(-len(text) // letters) if is_long else 1
            for text, is_long in zip(t, long, strict=True)
        )
        for t in texts
    )


def _words(table: Table) -> list[bool]:
    """Which columns are texts: those that say so, and those of long texts and no number."""
    columns = zip(table.columns, zip(*(row.cells for row in table.rows), strict=True), strict=False)
    texts = [
        column.words
        or (all(c.mean is None for c in cells) and max(len(c.text) for c in cells) > _LONG)
        for column, cells in columns
    ]
    return [True, *(texts or (column.words for column in table.columns))]


def _long(table: Table) -> list[bool]:
    """Which columns break their lines."""
    return [w and n > _LONG for w, n in zip(_words(table), _widths(table), strict=True)]


def _room(letters: int, words: bool) -> int:
    """That a column needs, in letters; long texts are broken."""
    return (min(letters, _LONG) if words else letters) + _GAP


def _width(table: Table) -> int:
    """Letters in a line of the whole table."""
    return sum(_room(n, w) for n, w in zip(_widths(table), _words(table), strict=True))


def _widths(table: Table) -> list[int]:
    """Letters of the longest text of each column."""
    heads = [table.head, *(column.heading.rpartition(": ")[2] for column in table.columns)]
    lines: list[list[str]] = [[head[:_LONG] for head in heads]]
    lines += [
        [
            _named(row),
            *(
                c.text + beside(c, column)
                for c, column in zip(row.cells, table.columns, strict=True)
            ),
        ]
        for row in table.rows
    ]
    return [max(map(len, texts)) for texts in zip(*lines, strict=True)]
