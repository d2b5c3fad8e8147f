"""ViT-B/32 as supervised on ImageNet-21k."""

from __future__ import annotations

from collections.abc import Sequence

from metriscope.data.backbones import register
from metriscope.data.backbones._tower import CLS, Tower
from metriscope.data.backbones._transformers import Known
from metriscope.data.backbones.base import Backbone
from metriscope.data.pictures import Digest, Pictures

# CLS, although the checkpoint has a pooler: that is a dense layer with tanh, made for the 21k
# classes, saturates, and is not in later ViT checkpoints. CLS after the last layer norm is what
# clip-vit-b32 and dinov2-small give too, so that these three differ in their training alone.
_VIT = Known(
    "vit-b32",
    repo="google/vit-base-patch32-224-in21k",
    revision=None,
    types=("vit",),
    tower=Tower("ViTModel", CLS),
)


@register("vit-b32")
def vit_b32(argument: str, pictures: Sequence[Pictures], digest: Digest) -> Backbone:
    """ViT-B/32 supervised on ImageNet-21k, 768-d: CLS after the last layer norm.

    Source: Dosovitskiy et al., An Image is Worth 16x16 Words, 2021;
    ``google/vit-base-patch32-224-in21k``. ``vit-b32:FOLDER`` takes it, or any ViT, from a folder.
    """
    return _VIT.resolve(argument, digest)
