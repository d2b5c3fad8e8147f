"""Panels of the report: one file, one section, with its numbers and its picture.

To add one, write a subclass of :class:`metriscope.report.panels.base.Panel` in a file of its own
and decorate it with ``@register("name")``; the report shows it where its ``order`` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from metriscope.registry import Registry

if TYPE_CHECKING:
    from metriscope.report.panels.base import Panel

PANELS: Registry[type[Panel]] = Registry("panel", "metriscope.report.panels")
register = PANELS.register
