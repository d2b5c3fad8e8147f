"""What every panel is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from metriscope.report.tables import Table
from metriscope.types import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Panel(ABC):
    """A section of the report. Subclasses are final and stateless.

    Attributes:
        title: the section's heading.
        order: where it stands; the lowest is first.
        layout: how the report prints the numbers: a ``table``, ``cards`` (one a row, for long
            texts), or ``none`` where the picture stands for them.
    """

    title: ClassVar[str]
    order: ClassVar[int]
    layout: ClassVar[Literal["table", "cards", "none"]] = "table"

    def caption(self, results: Results) -> str:
        """One to three sentences for a person who has not read the paper."""
        return self.frame(results).explanation

    @abstractmethod
    def frame(self, results: Results) -> Table:
        """The numbers. A table without rows hides the panel."""

    def plot(self, results: Results) -> Figure | None:
        """The picture of exactly those numbers; None where there is nothing to draw."""
        del results
        return None
