"""Diagnostics: one file, one diagnostic; geometry, greediness and retrieval alike.

Each is a function that says with its decorator what it reads and which scores it returns::

    @diagnostic("neighbourhood", reads="embeddings", scores=[Score("hub.max", lower=0)])
    def neighbourhood(space: Space) -> Values: ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from metriscope.registry import Registry

if TYPE_CHECKING:
    from metriscope.diagnostics.base import Diagnostic

DIAGNOSTICS: Registry[Diagnostic] = Registry("diagnostic", "metriscope.diagnostics")
