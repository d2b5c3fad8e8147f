"""Caltech-UCSD Birds-200-2011."""

from __future__ import annotations

from collections.abc import Mapping

from metriscope.data.datasets import register
from metriscope.data.named import Published, load_published
from metriscope.data.pictures import Pictures

PUBLISHED = Published(
    name="cub200",
    repo="Donghyun99/CUB-200-2011",
    revision=None,
    train=5_994,
    test=5_794,
    classes=200,
    folders=("CUB_200_2011", "CUB-200-2011"),
)


@register("cub200")
def cub200(*, folder: str = "") -> Mapping[str, Pictures]:
    """CUB-200-2011: 11,788 photos of 200 kinds of birds, 5,994 to train on, in 1.1 GB.

    Args:
        folder: a copy: the archive (``CUB_200_2011``), Parquet as on the hub, or train and test
            with a folder a class. By default the one in ``METRISCOPE_DATA``, else the hub's.

    The parts are the published ones, in which every class is in both. Source: Wah, Branson,
    Welinder, Perona and Belongie, The Caltech-UCSD Birds-200-2011 dataset, CNS-TR-2011-001. For
    research and teaching that is not commercial.
    """
    return load_published(PUBLISHED, folder)
