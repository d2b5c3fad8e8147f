"""Any model of timm, where timm is installed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from metriscope.data.backbones import register
from metriscope.data.backbones._running import extractor, first_line, scaling
from metriscope.data.backbones.base import Backbone, Extractor
from metriscope.data.pictures import Digest, Pictures
from metriscope.data.table import show
from metriscope.registry import unknown
from metriscope.types import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

_CROPS = ("center", "squash")


@register("timm")
def timm(argument: str, pictures: Sequence[Pictures], digest: Digest) -> Backbone:
    """Any pretrained model of timm, where it is installed: timm:vit_base_patch32_clip_224.openai.

    Features: what the classifier would get (``num_classes=0``). Preprocessing as timm's for
    evaluation, with PIL. Weights are known by timm's version and the name of the model.
    """
    try:
        import timm as library
        import timm.data as data
    except ImportError as error:
        raise InputError(
            "timm is not installed: pip install timm (it brings torchvision; install torch first)."
        ) from error
    try:
        found = library.get_pretrained_cfg(argument)
    except RuntimeError as error:  # a known architecture with an unknown tag
        raise InputError(f"timm:{show(argument)[1:-1]}: {first_line(error)}") from error
    if found is None or not found.has_weights:
        raise InputError(
            unknown(
                "pretrained model of timm", argument, _some(library.list_pretrained(), argument)
            )
        )
    settings = data.resolve_data_config({}, pretrained_cfg=found.to_dict())
    channels = settings["input_size"][0]
    if settings["crop_mode"] not in _CROPS or channels != 3:
        raise InputError(
            f"timm:{argument}: crop_mode {show(settings['crop_mode'])} with {channels} channels is "
            f"not supported; it must be {' or '.join(_CROPS)}, with 3."
        )
    keys = ("input_size", "crop_pct", "crop_mode", "interpolation", "mean", "std")
    plain = {key: _listed(settings[key]) for key in keys}
    recipe = {
        "tensor": "pooled features before the classifier (num_classes=0)",
        "weights": {
            "timm": library.__version__,
            "architecture": found.architecture or argument,
            "tag": found.tag,
            "source": found.hf_hub_id or _listed(found.url),
        },
        "preprocessing": {"library": "PIL", **plain},
    }
    return Backbone(
        f"timm:{argument}", recipe, lambda device, dtype: _load(argument, settings, device, dtype)
    )


def _load(name: str, settings: Mapping[str, Any], device: str, dtype: str) -> Extractor:
    import timm as library
    import torch

    try:
        model = library.create_model(name, pretrained=True, num_classes=0)
    except Exception as error:  # of timm, of the hub, or of torch
        raise InputError(
            f"timm:{name}: its weights cannot be loaded, from this machine or from the hub. "
            f"({first_line(error)})"
        ) from error
    model = model.to(getattr(torch, dtype))
    scaled = scaling(1 / 255, list(settings["mean"]), list(settings["std"]))
    kind = next(model.parameters()).dtype
    shape = tuple(settings["input_size"])

    def prepare(picture: Image) -> np.ndarray:
        return cropped(picture, settings)

    return extractor(
        f"timm:{name}", model, device, shape, prepare, lambda x: model(scaled(x).to(kind))
    )


def cropped(picture: Image, settings: Mapping[str, Any]) -> np.ndarray:
    """A picture resized and cropped as timm does it for evaluation: (3, height, width) uint8.

    The shorter side (``squash``: both) becomes size / crop_pct, then the centre is cut out; what a
    small picture lacks there is black.
    """
    from PIL.Image import Resampling

    height, width = settings["input_size"][1:]
    goal_height, goal_width = (math.floor(side / settings["crop_pct"]) for side in (height, width))
    if settings["crop_mode"] == "center":
        if picture.height * goal_width >= picture.width * goal_height:
            goal_height = int(goal_width * picture.height / picture.width)
        else:
            goal_width = int(goal_height * picture.width / picture.height)
    resample = Resampling[settings["interpolation"].upper()]
    picture = picture.resize((goal_width, goal_height), resample)
    left, top = round((goal_width - width) / 2), round((goal_height - height) / 2)
    picture = picture.crop((left, top, left + width, top + height))
    return np.asarray(picture, np.uint8).transpose(2, 0, 1)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _some(names: Sequence[str], name: str) -> list[str]:
    """The few of timm's thousand names that are like this one."""
    import difflib

    return difflib.get_close_matches(name, names, n=5, cutoff=0.4)
