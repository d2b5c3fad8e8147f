"""What ``metriscope.diagnose`` returns."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metriscope.types import Examined


@dataclass(frozen=True)
class Diagnosis(Examined):
    """An examined space that can be kept; :func:`metriscope.diagnosis.saving.load` reads it."""

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the report: one page that loads nothing from elsewhere."""
        from metriscope.diagnosis import saving

        saving.write_html(self, Path(path))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; undefined numbers are None."""
        from metriscope.diagnosis import saving

        return saving.to_json(self)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write ``diagnosis.json``, ``report.html``, ``classes.csv`` and ``items.csv``."""
        from metriscope.diagnosis import saving

        saving.save(self, Path(folder))
