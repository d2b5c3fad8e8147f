"""Datasets that come by name: one file, one dataset.

A dataset is a function of keyword-only parameters with literal defaults that returns a
:class:`metriscope.data.table.Table`, decorated with ``@register("name")``; a given split goes into
the table's ``split``. Its module may hold ``PRESETS``, names of parameter sets, which people
select with ``name:preset``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from metriscope.registry import Registry

if TYPE_CHECKING:
    from metriscope.data.table import Table

DATASETS: Registry[Callable[..., Table]] = Registry("dataset", "metriscope.data.datasets")
register = DATASETS.register
