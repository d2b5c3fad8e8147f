"""Fashion-MNIST."""

from __future__ import annotations

from collections.abc import Mapping

from metriscope.data.datasets import register
from metriscope.data.named import Published, load_published
from metriscope.data.pictures import Pictures

PUBLISHED = Published(
    name="fashion-mnist",
    repo="zalando-datasets/fashion_mnist",
    revision=None,
    train=60_000,
    test=10_000,
    classes=10,
    per_class=6_000,
    folders=("FashionMNIST", "fashion_mnist"),
    class_names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
)


@register("fashion-mnist")
def fashion_mnist(*, folder: str = "") -> Mapping[str, Pictures]:
    """Fashion-MNIST: 70,000 grey pictures of 28 × 28 pixels in 10 classes, 60,000 to train on.

    Args:
        folder: a copy: the four IDX files, packed or not, Parquet as on the hub, or a folder a
            class. By default the one in ``METRISCOPE_DATA``, else the hub's.

    Source: Xiao, Rasul and Vollgraf, Fashion-MNIST, arXiv 1708.07747, 2017. Licence: MIT.
    """
    return load_published(PUBLISHED, folder)
