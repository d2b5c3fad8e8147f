"""CIFAR-10."""

from __future__ import annotations

from collections.abc import Mapping

from metriscope.data.datasets import register
from metriscope.data.named import Published, load_published
from metriscope.data.pictures import Pictures

PUBLISHED = Published(
    name="cifar10",
    repo="uoft-cs/cifar10",
    revision="0b2714987fa478483af9968de7c934580d0bb9a2",
    train=50_000,
    test=10_000,
    classes=10,
    per_class=5_000,
    folders=("cifar-10-batches-py", "cifar-10", "CIFAR10"),
)


@register("cifar10")
def cifar10(*, folder: str = "") -> Mapping[str, Pictures]:
    """CIFAR-10: 60,000 colour pictures of 32 × 32 pixels in 10 classes, 50,000 to train on.

    Args:
        folder: a copy: the archive for Python (``cifar-10-batches-py``), Parquet as on the hub, or
            a folder a class. By default the one in ``METRISCOPE_DATA``, else the hub's.

    Source: Krizhevsky, Learning multiple layers of features from tiny images, 2009. The authors
    state no licence and ask to be cited.
    """
    return load_published(PUBLISHED, folder)
