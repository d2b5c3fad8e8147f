"""DINOv2, the small one."""

from __future__ import annotations

from collections.abc import Sequence

from metriscope.data.backbones import register
from metriscope.data.backbones._tower import CLS, Tower
from metriscope.data.backbones._transformers import Known
from metriscope.data.backbones.base import Backbone
from metriscope.data.pictures import Digest, Pictures

_DINO = Known(
    "dinov2-small",
    repo="facebook/dinov2-small",
    revision="ed25f3a31f01632728cabb09d1542f84ab7b0056",
    types=("dinov2",),
    tower=Tower("Dinov2Model", CLS),
)


@register("dinov2-small")
def dinov2_small(argument: str, pictures: Sequence[Pictures], digest: Digest) -> Backbone:
    """DINOv2 ViT-S/14, self-supervised, 384-d: CLS after the last layer norm.

    Source: Oquab et al., DINOv2: Learning Robust Visual Features without Supervision, 2023;
    ``facebook/dinov2-small``. ``dinov2-small:FOLDER`` takes it, or any DINOv2, from a folder.
    """
    return _DINO.resolve(argument, digest)
