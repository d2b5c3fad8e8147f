"""What is trained: a projection head, and for pictures a small network before it."""

from __future__ import annotations

import json
import math
import re
from itertools import chain, repeat
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from metriscope.ops import normalize
from metriscope.types import HeadSpec, InputError

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU, "gelu": nn.GELU, "none": nn.Identity}
BLOCK = 8192  # rows embedded at once
ACTIVATED = 1 << 24  # numbers in one layer's output that a block of pictures may have: 64 MiB
CHANNELS = (32, 64, 128)
SIDE = 4  # places that are left of a side
_SHAPE = re.compile(r"cnn:([1-9]\d{0,4})x([1-9]\d{0,4})x([1-9]\d{0,4})")


def picture_shape(backbone: str) -> tuple[int, int, int] | None:
    """(C, H, W) of ``cnn:CxHxW``; None for any other backbone, which is frozen.

    Raises:
        InputError: ``cnn`` without a shape, or pictures below 8×8.
    """
    if backbone.partition(":")[0] != "cnn":
        return None
    match = _SHAPE.fullmatch(backbone)
    if match is None:
        raise InputError(
            f"backbone {backbone!r}: a trainable cnn is named with the shape of its pictures, "
            "channels, height and width: cnn:1x28x28, cnn:3x32x32."
        )
    channels, height, width = map(int, match.groups())
    if min(height, width) < 8:
        raise InputError(f"backbone {backbone!r}: pictures must be 8x8 or larger.")
    return channels, height, width


class Cnn(nn.Module):
    """A small convolutional network: flattened pictures (n, C·H·W) → features (n, ``width``).

    A block is a 3×3 convolution, 2×2 max pooling while there are more than 4×4 places, group
    normalisation (8 groups) and ReLU. There are three, of 32, 64 and 128 channels, and more of 128
    where pictures are larger than 32×32; the 4×4 places that are left are flattened::

        1x28x28: 93,120 parameters      3x32x32: 93,696
        3x64x64: 241,536                3x224x224: 537,216      2048 features each

    Normalising over groups of channels of one picture, not over a batch: a row's features depend
    on that row alone, in training as in evaluation. With batch statistics the untrained network of
    epoch 0 would be measured as another function, and a contrast between the rows of a batch could
    be met by what their batch has in common.

    Args:
        shape: (C, H, W), H and W at least 8.

    Attributes:
        width: number of features.
        rows: how many pictures to take at once without gradients.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape
        width, height, across = shape
        self.rows = max(1, min(BLOCK, ACTIVATED // (CHANNELS[0] * height * across)))
        layers: list[nn.Module] = []
        for index, channels in enumerate(chain(CHANNELS, repeat(CHANNELS[-1]))):
            large = max(height, across) > SIDE
            if index >= len(CHANNELS) and not large:
                break
            layers.append(nn.Conv2d(width, channels, 3, padding=1))
            if large:
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
                height, across = -(-height // 2), -(-across // 2)
            layers += [nn.GroupNorm(8, channels), nn.ReLU()]
            width = channels
        self.layers = nn.Sequential(*layers)
        self.layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.width = width * height * across

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Features. Channels last in memory: up to a third faster on a CPU."""
        pictures = x.unflatten(1, self.shape).contiguous(memory_format=torch.channels_last)
        features: Tensor = self.layers(pictures).flatten(1)
        return features


class Dropout(nn.Dropout):
    """``nn.Dropout`` that draws 16 bits a number on a CPU, and takes 0.4 of its time.

    p counts to within 2⁻¹⁷. Torch draws 64 bits a number, and others on another make of CPU.
    """

    def forward(self, x: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        """x / (1 − p) where kept, 0 elsewhere; x in evaluation."""
        if not self.training or self.p == 0 or x.device.type != "cpu":
            return super().forward(x)
        dropped = min(round(self.p * 2**16), 2**16 - 1)  # of the 2¹⁶ that can be drawn
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        draws = bits.view(torch.int16)[: x.numel()].view(x.shape)
        kept = draws >= dropped - 2**15
        return x * kept.to(x.dtype).mul_(2**16 / (2**16 - dropped))


class Head(nn.Module):
    """The projection head: (n, features) → (n, dim) unit vectors.

    Args:
        in_features: width of the features.
        spec: widths, activations, dropout.
        backbone: where the features come from. ``cnn:CxHxW`` puts a :class:`Cnn`, trained with
            the head, before it: the features are flattened pixels, C·H·W of them.

    The input scale is part of the state (``shift``, ``scale``), set by :meth:`fit_scale`.

    Raises:
        InputError: see :func:`picture_shape`; pixels that are not C·H·W.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, in_features: int, spec: HeadSpec, backbone: str = "features") -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(in_features))
        self.register_buffer("scale", torch.ones(in_features))
        shape = picture_shape(backbone)
        if shape is not None and math.prod(shape) != in_features:
            raise InputError(
                f"backbone {backbone!r} takes {math.prod(shape)} pixels a row, and the data have "
                f"{in_features} features; give it flattened pictures of that shape."
            )
        self.trunk = None if shape is None else Cnn(shape)
        width = in_features if self.trunk is None else self.trunk.width
        layers: list[nn.Module] = []
        for hidden in spec.hidden:
            layers += [
                nn.Linear(width, hidden),
                ACTIVATIONS[spec.activation](),
                Dropout(spec.dropout),
            ]
            width = hidden
        layers += [nn.Linear(width, spec.dim), ACTIVATIONS[spec.final_activation]()]
        self.layers = nn.Sequential(*layers)

    def fit_scale(self, x: Float[Tensor, "n d"], how: str) -> None:
        """Set ``shift`` and ``scale`` from the training features; see :class:`HeadSpec`."""
        if how == "none":
            return
        zero = torch.zeros(x.shape[1], dtype=torch.float64, device=x.device)
        mean = zero
        if how == "standardize":
            mean = sum((block.double().sum(0) for block in x.split(BLOCK)), zero) / len(x)
        squares = sum(((block.double() - mean).square().sum(0) for block in x.split(BLOCK)), zero)
        if how == "rms":
            self.scale.fill_(math.sqrt(float(squares.mean()) / len(x)) or 1.0)
        else:
            sd = (squares / len(x)).sqrt()
            self.shift.copy_(mean)
            # A constant dimension has no scale: what is left of it is the rounding of its mean.
            self.scale.copy_(torch.where(sd > 1e-6 * mean.abs(), sd, 1.0))

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Unit vectors."""
        x = (x.to(self.scale.dtype) - self.shift).div_(self.scale)
        return normalize(self.layers(x if self.trunk is None else self.trunk(x)))

    @torch.no_grad()
    def embed(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """:meth:`forward` without dropout or gradients, a block at a time.

        ``x`` may lie elsewhere: a block at a time is moved to where the head is, and z is there.
        """
        training, _ = self.training, self.eval()
        rows = BLOCK if self.trunk is None else self.trunk.rows
        z = torch.cat([self(block.to(self.scale.device)) for block in x.split(rows)])
        self.train(training)
        return z


def load_head(folder: str | Path) -> Head:
    """The trained head of a finished run, ready to embed: features (n, d) → unit vectors (n, dim).

    That of a ``cnn`` run has its network with it: flattened pixels (n, C·H·W) → unit vectors.

    Args:
        folder: of the run, ``runs/<key>`` under the comparison's.

    Raises:
        InputError: no such run, or not a whole one.
    """
    try:
        spec = json.loads((Path(folder) / "spec.json").read_text(encoding="utf-8"))
        weights = load_file(Path(folder) / "head.safetensors")
        own = {k.removeprefix("head."): v for k, v in weights.items() if k.startswith("head.")}
        head = Head(len(own["shift"]), HeadSpec(**spec["head"]), spec["backbone"])
        head.load_state_dict(own)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"no trained head in {folder}: {reason}. Give the folder of a finished run, "
            "runs/<key> under the folder of the comparison."
        ) from error
    return head.eval()
