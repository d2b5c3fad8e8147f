"""Image models of a few layers, with random weights, saved as the hub's are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from metriscope.data.backbones import resolve
from metriscope.data.backbones.base import Backbone
from metriscope.types import InputError

SIZE = 32  # of the pictures that the models take
_LAYERS = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
_VIT = {**_LAYERS, "image_size": SIZE, "patch_size": 8}
_SQUARE = {"size": {"height": SIZE, "width": SIZE}}
_CROP = {"size": {"shortest_edge": SIZE}, "crop_size": {"height": SIZE, "width": SIZE}}
_STAGES = {"hidden_sizes": [8, 16], "depths": [1, 1]}

# kind → the model, its preprocessing in transformers, that one's settings
KINDS: dict[str, tuple[Callable[[], Any], str, dict[str, Any]]] = {
    "clip": (
        lambda: transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**_VIT)),
        "CLIPImageProcessorPil",
        _CROP,
    ),
    "whole clip": (
        lambda: transformers.CLIPModel(
            transformers.CLIPConfig(
                vision_config=_VIT, text_config={**_LAYERS, "vocab_size": 50}, projection_dim=24
            )
        ),
        "CLIPImageProcessorPil",
        _CROP,
    ),
    "whole siglip": (
        lambda: transformers.SiglipModel(
            transformers.SiglipConfig(vision_config=_VIT, text_config={**_LAYERS, "vocab_size": 50})
        ),
        "SiglipImageProcessorPil",
        _SQUARE,
    ),
    "vit": (
        lambda: transformers.ViTModel(transformers.ViTConfig(**_VIT)),
        "ViTImageProcessorPil",
        _SQUARE,
    ),
    "vit without pooler": (
        lambda: transformers.ViTModel(transformers.ViTConfig(**_VIT), add_pooling_layer=False),
        "ViTImageProcessorPil",
        _SQUARE,
    ),
    "vit classifier": (
        lambda: transformers.ViTForImageClassification(transformers.ViTConfig(**_VIT)),
        "ViTImageProcessorPil",
        _SQUARE,
    ),
    "deit": (
        lambda: transformers.DeiTModel(transformers.DeiTConfig(**_VIT)),
        "DeiTImageProcessorPil",
        _CROP,
    ),
    "beit": (
        lambda: transformers.BeitModel(transformers.BeitConfig(**_VIT)),
        "BeitImageProcessorPil",
        {**_SQUARE, "do_center_crop": False},
    ),
    "ijepa": (
        lambda: transformers.IJepaModel(transformers.IJepaConfig(**_VIT), add_pooling_layer=False),
        "ViTImageProcessorPil",
        _SQUARE,
    ),
    "dinov2": (
        lambda: transformers.Dinov2Model(transformers.Dinov2Config(**_VIT)),
        "BitImageProcessorPil",
        _CROP,
    ),
    "dinov3": (
        lambda: transformers.DINOv3ViTModel(transformers.DINOv3ViTConfig(**_VIT)),
        "ViTImageProcessorPil",
        _SQUARE,
    ),
    "swin": (
        lambda: transformers.SwinModel(
            transformers.SwinConfig(
                image_size=SIZE,
                patch_size=4,
                embed_dim=8,
                depths=[1, 1],
                num_heads=[1, 2],
                window_size=4,
            )
        ),
        "ViTImageProcessorPil",
        _SQUARE,
    ),
    "convnext": (
        lambda: transformers.ConvNextModel(transformers.ConvNextConfig(num_stages=2, **_STAGES)),
        "ConvNextImageProcessorPil",
        {"size": {"shortest_edge": SIZE}},
    ),
    "resnet": (
        lambda: transformers.ResNetModel(
            transformers.ResNetConfig(embedding_size=8, layer_type="basic", **_STAGES)
        ),
        "ConvNextImageProcessorPil",
        {"size": {"shortest_edge": SIZE}},
    ),
    "mae": (
        lambda: transformers.ViTMAEModel(transformers.ViTMAEConfig(**_VIT)),
        "ViTImageProcessorPil",
        _SQUARE,
    ),
}


def save(kind: str, folder: Path, **how: Any) -> Path:
    """The model and its preprocessing in a folder; ``how`` as ``save_pretrained`` takes it."""
    make, processor, settings = KINDS[kind]
    torch.manual_seed(0)
    model = make().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:  # norms and biases start at 1 and 0, which would hide mistakes
                parameter += 0.3 * torch.randn(parameter.shape)
            elif "token" in name or "embed" in name:
                parameter += torch.randn(parameter.shape)
    model.save_pretrained(folder, **how)
    getattr(transformers, processor)(**settings).save_pretrained(folder)
    return folder


def by_hand(kind: str, folder: Path, pictures: list[Image.Image]) -> Any:
    """What transformers gives for the pictures when called directly."""
    _, processor, _ = KINDS[kind]
    auto = transformers.AutoModel.from_pretrained(folder)
    model = getattr(auto, "vision_model", auto).eval()
    inputs = getattr(transformers, processor).from_pretrained(folder)(pictures, return_tensors="pt")
    with torch.no_grad():
        return model(inputs["pixel_values"])


def some_pictures() -> list[Image.Image]:
    """Noise of odd sizes, smaller and larger than the models take; grey among it; all RGB."""
    rng = np.random.default_rng(3)
    sizes = [(32, 32), (7, 40), (101, 33), (64, 96), (20, 20)]
    found = [Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for h, w in sizes]
    return [*found, found[2].convert("L").convert("RGB")]


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def of(text: str) -> Backbone:
    """The backbone, for no pictures."""
    return resolve(text, [], digest)


def features(backbone: Backbone, dtype: str = "float32") -> torch.Tensor:
    """Of :func:`some_pictures`."""
    extractor = backbone.load("cpu", dtype)
    return extractor.forward(
        torch.from_numpy(np.stack([extractor.prepare(picture) for picture in some_pictures()]))
    )


def edit(file: Path, **changes: Any) -> None:
    """Change a JSON file."""
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, **changes}))


def error_of(text: str) -> str:
    """What resolving and loading says, as one person sees it."""
    with pytest.raises(InputError) as caught:
        of(text).load("cpu", "float32")
    message = str(caught.value)
    assert message.count("\n") <= 1
    assert len(message) < 600
    return message
