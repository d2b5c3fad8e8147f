"""What is wrong with this embedding space? Scores, classes, items to look at, and findings."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metriscope.diagnosis.engine import diagnose as diagnose
    from metriscope.diagnosis.result import Diagnosis as Diagnosis

_WHERE = {"diagnose": "engine", "Diagnosis": "result"}
__all__ = ["Diagnosis", "diagnose"]


def __getattr__(name: str) -> Any:
    """Import on first use: who reads classes and confusions here needs no engine."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
