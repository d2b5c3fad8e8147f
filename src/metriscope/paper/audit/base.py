"""What an item of the audit is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from metriscope.paper.tables import LOSSES, Published

Verdict = Literal["inconsistent", "consistent", "note"]


class Found(NamedTuple):
    """What a check saw: ``cells`` are those that are wrong, as ``SCL on CIFAR-10``."""

    verdict: Verdict
    sentence: str
    cells: tuple[str, ...] = ()


@dataclass(frozen=True)
class Item:
    """One thing that was held against the paper's own numbers.

    Attributes:
        code: stable, ``A01``.
        title: the claim, or what was checked.
        verdict: ``inconsistent``; ``consistent``; ``note``: true in part, or to be known before
            the numbers are used.
        sentence: with the numbers.
        where: section or table of the paper.
        words: of the paper; empty where it is about numbers alone.
        how: it was computed.
        cells: of the tables, that it is about.
    """

    code: str
    title: str
    verdict: Verdict
    sentence: str
    where: str
    words: str
    how: str
    cells: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """How to make an :class:`Item`."""

    code: str
    title: str
    where: str
    words: str
    how: str
    look: Callable[[Published], Found]

    def __call__(self, paper: Published) -> Item:
        """The item, of these tables."""
        found = self.look(paper)
        return Item(
            self.code,
            self.title,
            found.verdict,
            found.sentence,
            self.where,
            self.words,
            self.how,
            found.cells,
        )


def check(
    code: str, title: str, *, where: str, how: str, words: str = ""
) -> Callable[[Callable[[Published], Found]], Check]:
    """Make a check of a function of the tables."""
    return lambda look: Check(code, title, where, words, how, look)


def called(paper: Published, dataset: str, loss: str) -> str:
    """``SCL on CIFAR-10``."""
    return f"{LOSSES.get(loss, loss)} on {paper.printed(dataset)}"


def joined(parts: Iterable[str], most: int = 40) -> str:
    """``a, b and c``."""
    *first, last = list(parts)[:most]
    return f"{', '.join(first)} and {last}" if first else last


def number_of(count: int, what: str) -> str:
    """``1 cell``, ``16 cells``."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")
