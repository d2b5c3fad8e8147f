"""Colours, marks and dashes: a loss looks the same everywhere, on light and on dark pages."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

INK = "#010203"  # drawn as this; a page shows it in the colour of its text, on light and on dark


@dataclass(frozen=True)
class Look:
    """How a loss is drawn. Colour is never alone: the mark and the dashes differ too."""

    colour: str
    marker: str
    dashes: tuple[float, ...] = ()

    @property
    def line(self) -> Any:
        """Line style for matplotlib."""
        return (0, self.dashes) if self.dashes else "-"


# Contrast of 3:1 or more on white and on #14181f; neighbours in hue differ in dashes and mark.
_FIXED = {
    "contrastive": Look("#3b6fd4", "o"),
    "triplet": Look("#d55e00", "s"),
    "npair": Look("#c2649a", "^", (5, 1.5)),
    "infonce": Look("#009e73", "D", (3, 1.2)),
    "arcface": Look("#a87900", "v", (7, 1.5, 1.5, 1.5)),
    "scl": Look("#1f9bcf", "P", (1.2, 1.2)),
    "ccl": Look("#808080", "X", (4, 1, 1, 1, 1, 1)),
}
# Of any other loss, chosen by its name: no mark of these is one of the seven's.
_COLOURS = ("#8a63d2", "#c9524f", "#6b8e23", "#0f93a8", "#a0724b")
_MARKERS = ("p", "h", "<", ">", "d")
_DASHES = ((6.0, 2.0), (2.0, 2.0), (10.0, 3.0), (4.0, 4.0), (6.0, 1.5, 1.2, 1.5))


def look(loss: str) -> Look:
    """The look of a loss: fixed for the paper's seven, for any other one of 125, by its name."""
    if loss in _FIXED:
        return _FIXED[loss]
    colour, marker, dashes, *_ = hashlib.sha256(loss.encode("utf-8", "surrogatepass")).digest()
    return Look(_COLOURS[colour % 5], _MARKERS[marker % 5], _DASHES[dashes % 5])
