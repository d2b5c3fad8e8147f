"""The paper held against itself: every item is computed from the tables that are passed in."""

from __future__ import annotations

from metriscope.paper.audit.base import Item, Verdict
from metriscope.paper.audit.numbers import CHECKS as NUMBERS
from metriscope.paper.audit.protocol import CHECKS as PROTOCOL
from metriscope.paper.audit.structure import CHECKS as STRUCTURE
from metriscope.paper.audit.winners import CHECKS as WINNERS
from metriscope.paper.tables import Published, published

__all__ = ["CHECKS", "Item", "Verdict", "audit"]

CHECKS = (*NUMBERS, *WINNERS, *STRUCTURE, *PROTOCOL)
"""In the order of their codes."""


def audit(paper: Published | None = None) -> tuple[Item, ...]:
    """Every item, in the order of the codes.

    Args:
        paper: other tables in place of the published ones.
    """
    tables = published() if paper is None else paper
    return tuple(check(tables) for check in CHECKS)
