"""Tiny ImageNet."""

from __future__ import annotations

from collections.abc import Mapping

from metriscope.data.datasets import register
from metriscope.data.named import Published, load_published
from metriscope.data.pictures import Pictures

PUBLISHED = Published(
    name="tiny-imagenet",
    repo="zh-plus/tiny-imagenet",
    revision="5a77092c28e51558c5586e9c5eb71a7e17a5e43f",
    train=100_000,
    test=10_000,
    classes=200,
    per_class=500,
    folders=("tiny-imagenet-200", "tiny_imagenet"),
)


@register("tiny-imagenet")
def tiny_imagenet(*, folder: str = "") -> Mapping[str, Pictures]:
    """Tiny ImageNet: 110,000 labelled photos of 64 × 64 pixels in 200 classes, 100,000 to train on.

    Args:
        folder: a copy: the archive (``tiny-imagenet-200``), Parquet as on the hub, or train and
            val with a folder a class. By default the one in ``METRISCOPE_DATA``, else the hub's.

    The published validation part is the test part: the 10,000 test pictures have no labels. Source:
    Le and Yang, Tiny ImageNet visual recognition challenge, Stanford CS231n, 2015; pictures from
    ImageNet, for research that is not commercial.
    """
    return load_published(PUBLISHED, folder)
