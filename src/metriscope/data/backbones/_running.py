"""A loaded torch model as an extractor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from metriscope.data.backbones.base import Extractor
from metriscope.text import plain
from metriscope.types import InputError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

Prepare = Callable[["Image"], np.ndarray]


def extractor(
    name: str,
    model: Any,
    device: str,
    shape: tuple[int, ...],
    prepare: Prepare,
    compute: Callable[[Tensor], Tensor],
) -> Extractor:
    """The extractor of a model, tried on one picture.

    Args:
        name: of the backbone, for messages.
        model: a module, which goes to the device, frozen.
        device: ``cpu`` or ``cuda``.
        shape: of one prepared picture.
        prepare: a picture → an array of that shape.
        compute: (b, \\*shape) → (b, dim), with the model.

    Raises:
        InputError: the model does not take pictures of this shape, its features are not numbers,
            or are other ones each time (it hides patches at random, as when it was trained).
    """
    import torch
    from PIL import Image

    model.eval().requires_grad_(False).to(device)

    def forward(x: Tensor) -> Tensor:
        with torch.inference_mode(), _no_tf32():
            return compute(x).float()

    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    x = torch.from_numpy(np.ascontiguousarray(prepare(Image.fromarray(noise))))
    try:
        pair = forward(torch.stack([x, x]).to(device)).cpu()
    except (ValueError, TypeError, RuntimeError, AttributeError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise InputError(
            f"{name}: the model does not take pictures of shape {shape}, as its preprocessing "
            f"makes them. ({first_line(error)})"
        ) from error
    if pair.ndim != 2 or not bool(pair.isfinite().all()):
        raise InputError(f"{name}: no finite features of a picture: damaged weights?")
    if float((pair[0] - pair[1]).abs().max()) > 1e-3 * float(pair.abs().max()):
        raise InputError(
            f"{name}: one picture gives other features each time; a model that hides patches at "
            "random cannot be used."
        )
    return Extractor(pair.shape[1], shape, prepare, forward)


def scaling(
    factor: float, mean: list[float] | None, sd: list[float] | None
) -> Callable[[Tensor], Tensor]:
    """(…, c, h, w) grey values → (x · factor − mean) / SD, a mean and an SD a channel; float32."""
    import torch

    shift = torch.tensor(mean or [0.0], dtype=torch.float32).reshape(-1, 1, 1)
    scale = torch.tensor(sd or [1.0], dtype=torch.float32).reshape(-1, 1, 1)

    def scaled(x: Tensor) -> Tensor:
        return (x.float() * factor - shift.to(x.device)) / scale.to(x.device)

    return scaled


def first_line(error: BaseException) -> str:
    """``ValueError: what it says``, for the end of a message."""
    line = next((line for line in str(error).splitlines() if line.strip()), "")
    return plain(f"{type(error).__name__}: {line.strip()[:120]}")


@contextmanager
def _no_tf32() -> Iterator[None]:
    """Convolutions and products of float32 in float32, whatever the process chose."""
    from torch.backends import cuda, cudnn

    before = cudnn.allow_tf32, cuda.matmul.allow_tf32
    cudnn.allow_tf32 = cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        cudnn.allow_tf32, cuda.matmul.allow_tf32 = before
