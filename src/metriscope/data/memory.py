"""How much memory there is, and how many pictures at once fit into it.

Imports torch: import it where a model is about to run.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import psutil
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

LARGEST = {"cpu": 64, "cuda": 512}  # pictures in a batch; more is no faster
COPIES = 5  # of a batch of pictures: decoded ahead, stacked, on their way
_SHARE = 0.5  # of the free memory that a batch may take: others need some, and this is an estimate
_GROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def batch_size(
    forward: Callable[[Tensor], Tensor], picture: Tensor, device: str, most: int = 1 << 20
) -> int:
    """How many pictures to pass at once: the largest power of two that fits.

    Args:
        forward: the model.
        picture: (1, …) one prepared picture, not on the device yet.
        device: ``cpu`` or ``cuda``.
        most: the answer is at most that, and at most ``LARGEST``.
    """
    host, model = COPIES * picture.nbytes, _peak(forward, picture, device)
    if device == "cpu":
        fitting = free_memory("cpu") * _SHARE / (host + model + 1)
    else:
        fitting = min(
            free_memory(device) * _SHARE / (model + 1), free_memory("cpu") * _SHARE / (host + 1)
        )
    fitting = max(1, min(most, LARGEST[device], int(fitting)))
    return int(1 << (fitting.bit_length() - 1))


def free_memory(device: str) -> int:
    """Bytes to be had: of the device, or of the machine and this process's control group."""
    if device == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    free = int(psutil.virtual_memory().available)
    return min([free, *_group_room(_GROUPS, _MEMBERSHIP)])


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception is an allocator's, of Python, the machine or a device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    said = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in said)


def _peak(forward: Callable[[Tensor], Tensor], picture: Tensor, device: str) -> int:
    """Bytes of tensors alive at once in a forward pass, its input and output included."""
    if device == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        forward(picture.to(device))
        return int(torch.cuda.max_memory_allocated() - before)
    live = _LiveBytes()
    with live:
        forward(picture)
    return live.peak + picture.nbytes


class _LiveBytes(TorchDispatchMode):
    """Follows the storages that operations return inside it until they are freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now: int = 0
        self.peak: int = 0
        self.sizes: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._follow(leaf.untyped_storage())
        return result

    def _follow(self, storage: torch.UntypedStorage) -> None:
        place = storage._cdata
        if place not in self.sizes:
            self.sizes[place] = storage.nbytes()
            self.now += self.sizes[place]
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._forget, place)

    def _forget(self, place: int) -> None:
        self.now -= self.sizes.pop(place)


def _group_room(mount: Path, membership: Path) -> list[int]:
    """Bytes left under each memory limit of this process's control groups, of either version."""
    found = []
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, names = mount, ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            root, names = mount / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        group = PurePosixPath(path.lstrip("/"))
        for folder in (root / group, *(root / parent for parent in group.parents)):
            try:
                limit, used = ((folder / name).read_text().strip() for name in names)
                if limit != "max":  # version 1 says 2⁶³ − 4096 where there is none
                    found.append(max(0, int(limit) - int(used)))
            except (OSError, ValueError):
                continue
    return found
