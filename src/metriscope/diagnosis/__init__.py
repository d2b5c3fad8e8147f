"""What is wrong with this embedding space? Scores, classes, items to look at, and findings."""

from __future__ import annotations

from metriscope.diagnosis.engine import diagnose
from metriscope.diagnosis.result import Diagnosis

__all__ = ["Diagnosis", "diagnose"]
