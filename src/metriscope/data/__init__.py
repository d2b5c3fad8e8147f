"""Sources: labelled vectors, or pictures and what a backbone makes of them."""

from __future__ import annotations

from metriscope.data.export import embed
from metriscope.data.extraction import Extraction
from metriscope.data.loading import load, load_source

__all__ = ["Extraction", "embed", "load", "load_source"]
