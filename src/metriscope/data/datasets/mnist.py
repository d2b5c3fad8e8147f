"""MNIST."""

from __future__ import annotations

from collections.abc import Mapping

from metriscope.data.datasets import register
from metriscope.data.named import Published, load_published
from metriscope.data.pictures import Pictures

PUBLISHED = Published(
    name="mnist",
    repo="ylecun/mnist",
    revision="77f3279092a1c1579b2250db8eafed0ad422088c",
    train=60_000,
    test=10_000,
    classes=10,
    folders=("MNIST",),
    class_names=("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
)


@register("mnist")
def mnist(*, folder: str = "") -> Mapping[str, Pictures]:
    """MNIST: 70,000 grey pictures of 28 × 28 pixels of the digits 0 to 9, 60,000 to train on.

    Args:
        folder: a copy: the four IDX files, packed or not, Parquet as on the hub, or a folder a
            class. By default the one in ``METRISCOPE_DATA``, else the hub's.

    Source: LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document
    recognition, Proceedings of the IEEE 86, 1998. Licence, as commonly stated: CC BY-SA 3.0.
    """
    return load_published(PUBLISHED, folder)
