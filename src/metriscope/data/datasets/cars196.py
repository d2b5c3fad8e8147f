"""Stanford Cars."""

from __future__ import annotations

from collections.abc import Mapping

from metriscope.data.datasets import register
from metriscope.data.named import Published, load_published
from metriscope.data.pictures import Pictures

PUBLISHED = Published(
    name="cars196",
    repo="tanganke/stanford_cars",
    revision="9abf6cf7d6dfa7b95152a0d6e791ea9435b47a40",
    train=8_144,
    test=8_041,
    classes=196,
    folders=("stanford_cars", "stanford-cars", "StanfordCars"),
)


@register("cars196")
def cars196(*, folder: str = "") -> Mapping[str, Pictures]:
    """Stanford Cars: 16,185 photos of 196 models of cars, 8,144 to train on, in 2 GB.

    Args:
        folder: a copy: the archives (``cars_train``, ``cars_test`` and ``devkit`` with
            ``cars_test_annos_withlabels.mat``, or ``car_ims`` and ``cars_annos.mat``), Parquet as
            on the hub, or train and test with a folder a class. By default the one in
            ``METRISCOPE_DATA``, else the hub's.

    The parts are the published ones, in which every class is in both. Source: Krause, Stark, Deng
    and Fei-Fei, 3D object representations for fine-grained categorization, 3dRR 2013. For research
    that is not commercial.
    """
    return load_published(PUBLISHED, folder)
