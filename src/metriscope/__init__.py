"""metriscope: compare metric-learning losses, and see what each does to an embedding space."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metriscope import diagnostics as diagnostics
    from metriscope import losses as losses
    from metriscope.comparison import compare as compare
    from metriscope.data import load_source as load_source
    from metriscope.diagnosis import Diagnosis as Diagnosis
    from metriscope.diagnosis import diagnose as diagnose
    from metriscope.measurement import geometry as geometry
    from metriscope.monitor import Monitor as Monitor
    from metriscope.network import load_head as load_head
    from metriscope.reproduction import reproduce as reproduce
    from metriscope.store import load_results as load_results
    from metriscope.types import Dataset as Dataset
    from metriscope.types import Embeddings as Embeddings
    from metriscope.types import Examined as Examined
    from metriscope.types import Finding as Finding
    from metriscope.types import HeadSpec as HeadSpec
    from metriscope.types import InputError as InputError
    from metriscope.types import LossOutput as LossOutput
    from metriscope.types import MetriscopeError as MetriscopeError
    from metriscope.types import OptimizerSpec as OptimizerSpec
    from metriscope.types import Results as Results
    from metriscope.types import RunResult as RunResult
    from metriscope.types import RunSpec as RunSpec
    from metriscope.types import Step as Step

__version__ = "0.1.0"

_WHERE = {
    "losses": None,
    "diagnostics": None,
    "compare": "metriscope.comparison",
    "diagnose": "metriscope.diagnosis",
    "Diagnosis": "metriscope.diagnosis",
    "Monitor": "metriscope.monitor",
    "geometry": "metriscope.measurement",
    "reproduce": "metriscope.reproduction",
    "load_source": "metriscope.data",
    "load_head": "metriscope.network",
    "load_results": "metriscope.store",
    **dict.fromkeys(
        (
            "Dataset",
            "Embeddings",
            "Examined",
            "Finding",
            "HeadSpec",
            "InputError",
            "LossOutput",
            "MetriscopeError",
            "OptimizerSpec",
            "Results",
            "RunResult",
            "RunSpec",
            "Step",
        ),
        "metriscope.types",
    ),
}
__all__ = [*_WHERE, "__version__"]


def __getattr__(name: str) -> Any:
    """Import on first use: ``import metriscope`` alone needs no torch."""
    if name not in _WHERE:
        raise AttributeError(f"module 'metriscope' has no attribute {name!r}")
    module = _WHERE[name]
    if module is None:
        return importlib.import_module(f"metriscope.{name}")
    return getattr(importlib.import_module(module), name)


def __dir__() -> list[str]:
    return sorted(__all__)
