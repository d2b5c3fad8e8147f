"""Text for people: names that are safe anywhere, rows as a message names them."""

from __future__ import annotations

import re
import unicodedata

import numpy as np


def slug(text: str, most: int = 40) -> str:
    """Lower-case ASCII letters, digits and single hyphens: safe in file names and terminals."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:most].rstrip("-") or "data"


def plain(text: object) -> str:
    """Text that a terminal or a page cannot take for a command, for names of unknown origin.

    Control characters, line separators, invisible formatting (right-to-left marks among it) and
    lone surrogates are shown as escapes: ``\\x1b``, ``\\u202e``. Everything else stays: letters of
    every script, and the joiners some of them need.
    """
    text = str(text)
    return text if text.isprintable() else "".join(_visible(char) for char in text)


def _visible(char: str) -> str:
    hidden = unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    if not hidden or char in "\u200c\u200d":
        return char
    code = ord(char)
    return (
        f"\\x{code:02x}"
        if code < 0x100
        else f"\\u{code:04x}"
        if code < 0x10000
        else f"\\U{code:08x}"
    )


def name_rows(rows: np.ndarray, most: int = 5) -> str:
    """``rows 3, 17 and 20 more`` (0-based), for messages."""
    shown = ", ".join(str(int(r)) for r in rows[:most])
    more = f" and {len(rows) - most} more" if len(rows) > most else ""
    return f"row{'s' if len(rows) > 1 else ''} {shown}{more} (counted from 0)"
