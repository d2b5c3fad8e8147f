"""Datasets that come by name: one file, one dataset.

A dataset is a function of keyword-only parameters with literal defaults, decorated with
``@register("name")``, which returns one of

* a :class:`metriscope.data.table.Table` of features; a given split goes into its ``split``;
* :class:`metriscope.data.pictures.Pictures` by part: ``{"train": …, "test": …}``.

Its module may hold ``PRESETS``, names of parameter sets, which people select with ``name:preset``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from metriscope.registry import Registry

if TYPE_CHECKING:
    from metriscope.data.pictures import Pictures
    from metriscope.data.table import Table

DATASETS: Registry[Callable[..., Table | Mapping[str, Pictures]]] = Registry(
    "dataset", "metriscope.data.datasets", hyphens=True
)
register = DATASETS.register
