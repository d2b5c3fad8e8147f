"""From an RGB picture to a model's input, with PIL alone whatever else is installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from metriscope.data.backbones._running import first_line, scaling
from metriscope.types import InputError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from metriscope.data.backbones._checkpoint import Checkpoint

# Processors without a PIL version → one with the same settings. This one rescales to [0, 1] before
# it resizes; afterwards, values are rounded to 8 bits in between.
_STAND_INS = {"DINOv3ViTImageProcessor": "ViTImageProcessorPil"}
_AUTO = "AutoImageProcessor"


def processor_name(settings: Mapping[str, Any]) -> str:
    """The class in transformers that reads these settings: always one that works with PIL."""
    old = str(settings.get("feature_extractor_type") or "")
    name = settings.get("image_processor_type") or old.replace("FeatureExtractor", "ImageProcessor")
    if not name:
        return _AUTO
    name = str(name).removesuffix("Fast").removesuffix("Pil")
    return _STAND_INS.get(name, f"{name}Pil")


def load_processor(checkpoint: Checkpoint) -> Any:
    """A PIL image processor with the checkpoint's settings.

    Raises:
        InputError: transformers has none for them.
    """
    import transformers
    from transformers.image_processing_backends import PilBackend

    name = processor_name(checkpoint.preprocessing)
    processor = None
    try:
        if name == _AUTO:
            auto: Any = transformers.AutoImageProcessor
            processor = auto.from_pretrained(
                checkpoint.folder, backend="pil", trust_remote_code=False, local_files_only=True
            )
        elif hasattr(transformers, name):
            found = getattr(transformers, name)
            processor = found.from_pretrained(checkpoint.folder, local_files_only=True)
    except Exception as error:  # whatever settings it cannot take
        raise InputError(
            f"{checkpoint.name}: the image processor cannot be made from its file. "
            f"({first_line(error)})"
        ) from error
    if not isinstance(processor, PilBackend):
        raise InputError(
            f"{checkpoint.name}: transformers has no {name} that works with PIL, so its "
            "preprocessing would depend on what else is installed."
        )
    return processor


def preparation(
    name: str, processor: Any
) -> tuple[tuple[int, ...], Callable[[Image], np.ndarray], Callable[[Tensor], Tensor]]:
    """(shape, picture → array of that shape, (b, \\*shape) → the model's input).

    Where resizing and cropping come first, the array is uint8 (a quarter of the bytes) and scaling
    and mean and SD follow on the device, in float32.

    Raises:
        InputError: pictures of two formats come out in two shapes.
    """
    import torch
    from PIL import Image

    rng = np.random.default_rng(0)
    probes = [
        Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8))
        for h, w in ((61, 640), (90, 31))
    ]

    def whole(picture: Image.Image) -> np.ndarray:
        found = processor(picture, return_tensors="np")["pixel_values"][0]
        return np.asarray(found, np.float32)

    def resized(picture: Image.Image) -> np.ndarray:
        found = processor(picture, do_rescale=False, do_normalize=False, return_tensors="np")
        return np.asarray(found["pixel_values"][0])

    try:
        goal = [whole(probe) for probe in probes]
    except Exception as error:  # of any processor, on settings that cannot be
        raise InputError(
            f"{name}: its preprocessing fails on a picture. ({first_line(error)})"
        ) from error
    shape = goal[0].shape
    if shape != goal[1].shape or len(shape) != 3:
        raise InputError(
            f"{name}: its preprocessing makes arrays of shapes {goal[0].shape} and {goal[1].shape} "
            "from two pictures; one shape, (channels, height, width), is needed. Set size and "
            "crop_size in its preprocessor_config.json."
        )
    scaled = scaling(
        float(processor.rescale_factor) if processor.do_rescale else 1.0,
        processor.image_mean if processor.do_normalize else None,
        processor.image_std if processor.do_normalize else None,
    )
    small = [resized(probe) for probe in probes]
    if getattr(processor, "do_pad", False) or any(array.dtype != np.uint8 for array in small):
        return shape, whole, lambda x: x
    found = [scaled(torch.from_numpy(np.ascontiguousarray(array))).numpy() for array in small]
    if all(np.allclose(a, b, rtol=0, atol=1e-5) for a, b in zip(found, goal, strict=True)):
        return shape, resized, scaled
    return shape, whole, lambda x: x
