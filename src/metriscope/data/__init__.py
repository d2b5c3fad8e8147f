"""Sources: labelled vectors from a dataset's name, a file or a folder."""

from __future__ import annotations

from metriscope.data.sources import load, load_source

__all__ = ["load", "load_source"]
