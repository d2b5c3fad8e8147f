"""CLIP's image tower, ViT-B/32."""

from __future__ import annotations

from collections.abc import Sequence

from metriscope.data.backbones import register
from metriscope.data.backbones._tower import POOLED, Tower
from metriscope.data.backbones._transformers import Known
from metriscope.data.backbones.base import Backbone
from metriscope.data.pictures import Digest, Pictures

_CLIP = Known(
    "clip-vit-b32",
    repo="openai/clip-vit-base-patch32",
    revision="3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
    types=("clip", "clip_vision_model"),
    tower=Tower("CLIPVisionModel", POOLED),
)


@register("clip-vit-b32")
def clip_vit_b32(argument: str, pictures: Sequence[Pictures], digest: Digest) -> Backbone:
    """CLIP ViT-B/32, 768-d: CLS after the last layer norm, before the projection to text.

    Source: Radford et al., Learning Transferable Visual Models From Natural Language Supervision,
    2021; ``openai/clip-vit-base-patch32``. ``clip-vit-b32:FOLDER`` takes it, or any CLIP, from a
    folder.
    """
    return _CLIP.resolve(argument, digest)
