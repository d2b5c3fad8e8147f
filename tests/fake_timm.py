"""A stand-in for timm, with the signatures of the few functions that are used of it."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn


@dataclass
class PretrainedCfg:
    url: str | None = None
    hf_hub_id: str | None = None
    architecture: str | None = None
    tag: str | None = None
    input_size: tuple[int, int, int] = (3, 224, 224)
    interpolation: str = "bicubic"
    crop_pct: float = 0.875
    crop_mode: str = "center"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)

    @property
    def has_weights(self) -> str | None:
        return self.url or self.hf_hub_id

    def to_dict(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value is not None}


TINY = {"architecture": "tiny", "hf_hub_id": "timm/tiny.test", "input_size": (3, 24, 24)}
CONFIGS = {
    "tiny.test": PretrainedCfg(tag="test", **TINY),
    "tiny.squash": PretrainedCfg(tag="squash", crop_mode="squash", crop_pct=1.0, **TINY),
    "tiny.border": PretrainedCfg(tag="border", crop_mode="border", **TINY),
    "tiny.offline": PretrainedCfg(tag="offline", **TINY),
    "tiny": PretrainedCfg(architecture="tiny"),  # no weights
}


class Tiny(nn.Module):
    """A convolution, averaged; a classifier unless ``num_classes`` is 0."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 5, 4, stride=4)
        self.head = nn.Linear(5, num_classes) if num_classes else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.convolution(x).mean((2, 3)))
        return found


def create_model(
    model_name: str, pretrained: bool = False, num_classes: int = 1000, **kwargs: Any
) -> nn.Module:
    assert pretrained
    if model_name == "tiny.offline":
        raise OSError("We couldn't connect to the hub.\nCheck your connection.")
    torch.manual_seed(0)
    return Tiny(num_classes)


def get_pretrained_cfg(model_name: str, allow_unregistered: bool = True) -> PretrainedCfg | None:
    if model_name in CONFIGS:
        return CONFIGS[model_name]
    if model_name.partition(".")[0] in CONFIGS:
        raise RuntimeError(f"Invalid pretrained tag for {model_name}.")
    return None


def list_pretrained(filter: str = "") -> list[str]:
    return [name for name, config in CONFIGS.items() if config.has_weights]


def resolve_data_config(
    args: Any = None, pretrained_cfg: dict[str, Any] | None = None, model: Any = None
) -> dict[str, Any]:
    assert pretrained_cfg is not None
    keys = ("input_size", "interpolation", "mean", "std", "crop_pct", "crop_mode")
    return {key: pretrained_cfg[key] for key in keys}


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ``import timm`` find the stand-in."""
    timm: Any = ModuleType("timm")
    timm.data = ModuleType("timm.data")
    timm.__version__ = "1.0.99"
    timm.create_model, timm.list_pretrained = create_model, list_pretrained
    timm.get_pretrained_cfg = get_pretrained_cfg
    timm.data.resolve_data_config = resolve_data_config
    monkeypatch.setitem(sys.modules, "timm", timm)
    monkeypatch.setitem(sys.modules, "timm.data", timm.data)
