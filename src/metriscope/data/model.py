"""A loaded backbone at work: on which device, in which numbers, how many pictures at once.

Imports torch: import it where a model is about to run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from metriscope.data.backbones.base import Backbone
from metriscope.data.memory import batch_size, out_of_memory
from metriscope.types import InputError


class Model:
    """A backbone, loaded.

    Args:
        backbone: not loaded yet.
        device: ``auto``, ``cpu`` or ``cuda``.
        dtype: ``float32`` or ``bfloat16``.

    Raises:
        InputError: hardware that is not there, weights that cannot be loaded.
    """

    def __init__(self, backbone: Backbone, device: str, dtype: str) -> None:
        self.name, self.device = backbone.name, choose_device(device)
        check_dtype(dtype, self.device)
        with self.enough_memory():
            self.extractor = backbone.load(self.device, dtype)

    def batch_size(self, most: int) -> int:
        """How many pictures to pass at once: a power of two, found by passing a blank one.

        Raises:
            InputError: no memory for a single one.
        """
        from PIL import Image

        with self.enough_memory():
            blank = self.extractor.prepare(Image.new("RGB", (256, 256), "grey"))
            x = torch.from_numpy(np.stack([blank]))  # (1, …)
            return batch_size(self._forward, x, self.device, most)

    def __call__(self, x: Tensor, size: int) -> tuple[np.ndarray, int]:
        """Features, and how many pictures at once memory allowed.

        Args:
            x: (b, …) prepared pictures, not on the device yet.
            size: pass so many at once; halved, as often as need be, where memory runs out.

        Returns:
            (b, dim) float32, and the size that worked.

        Raises:
            InputError: no memory for a single one.
        """
        done: list[np.ndarray] = []
        start = 0
        while start < len(x):
            part = x[start : start + size]
            try:
                done.append(self._forward(part).cpu().numpy())
                start += len(part)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                if len(part) == 1:
                    raise self._no_memory() from error
                size = max(1, size // 2)
        return np.concatenate(done), size

    @contextmanager
    def enough_memory(self) -> Iterator[None]:
        """Say in one sentence when what is inside runs out of memory."""
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            raise self._no_memory() from error

    def _no_memory(self) -> InputError:
        elsewhere = ", or --device cpu" if self.device != "cpu" else ""
        return InputError(
            f"{self.name}: the {self.device} has too little free memory even for one picture at a "
            f"time. End other programs, or choose a smaller --backbone{elsewhere}."
        )

    def _forward(self, x: Tensor) -> Tensor:
        with torch.inference_mode():
            y = self.extractor.forward(x.to(self.device, non_blocking=True))
        if tuple(y.shape) != (len(x), self.extractor.dim):
            raise InputError(
                f"{self.name}: features of {len(x)} pictures have shape {tuple(y.shape)}, where "
                f"({len(x)}, {self.extractor.dim}) is due: a fault of this backbone."
            )
        return y


def choose_device(device: str) -> str:
    """``cpu`` or ``cuda``; ``auto`` is CUDA where there is some.

    Raises:
        InputError: ``cuda``, and there is none.
    """
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        why = "sees no CUDA device" if torch.version.cuda else "is a build without CUDA"
        raise InputError(
            f"device cuda: torch {torch.__version__} {why}. Use --device cpu, or auto."
        )
    return "cuda" if there and device != "cpu" else "cpu"


def check_dtype(dtype: str, device: str) -> None:
    """Refuse bfloat16 where it would be emulated, which is slower than float32.

    Raises:
        InputError: ``bfloat16``, and the hardware has no such arithmetic.
    """
    if dtype == "float32":
        return
    if device == "cuda":
        able = torch.cuda.is_bf16_supported(including_emulation=False)
        lacks = f"{torch.cuda.get_device_name()} has no bfloat16 arithmetic"
    else:
        able = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        lacks = "this processor has neither AVX512-BF16 nor AMX, so it would be slower than float32"
    if not able:
        raise InputError(f"dtype bfloat16: {lacks}. Use --dtype float32.")
