"""What every panel is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from metriscope.report.charts import Chart
from metriscope.report.evidence import Evidence
from metriscope.report.tables import Table


class Panel(ABC):
    """A section of the report. Subclasses are final and stateless.

    Attributes:
        title: the section's heading.
        order: where it stands; the lowest is first.
        about: ``dataset``: it shows one dataset, and the report repeats it for each. ``all``: it
            stands once, before them, and shows all datasets together.
        layout: how the report prints the numbers: a ``table``, ``cards`` (one a row, for long
            texts), ``folded`` (a table that is closed at first), or ``none`` where the picture
            stands for them.
        sortable: whether readers may sort its rows.
        several: whether the report shows it only where there are several datasets; figures and
            tables for a paper are made of it in any case.
    """

    title: ClassVar[str]
    order: ClassVar[int]
    about: ClassVar[Literal["dataset", "all"]] = "dataset"
    layout: ClassVar[Literal["table", "cards", "folded", "none"]] = "table"
    sortable: ClassVar[bool] = True
    several: ClassVar[bool] = False

    def caption(self, evidence: Evidence) -> str:
        """One to three sentences for a person who has not read the paper."""
        return self.frame(evidence).explanation

    @abstractmethod
    def frame(self, evidence: Evidence) -> Table:
        """The numbers. A table without rows hides the panel."""

    def plot(self, evidence: Evidence) -> Chart | None:
        """The picture of exactly those numbers; None where there is nothing to draw."""
        del evidence
        return None
