"""Several processes, one batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch import distributed as dist

from metriscope.types import InputError


def world_size(wanted: bool | None) -> int:
    """How many processes share a batch: 1 without an initialised group, or if not ``wanted``.

    Raises:
        InputError: wanted, but there is no group.
    """
    there = dist.is_available() and dist.is_initialized()
    if wanted and not there:
        raise InputError(
            "distributed=True, but torch.distributed has no process group: call "
            "torch.distributed.init_process_group first, or leave distributed out."
        )
    return dist.get_world_size() if there and wanted is not False else 1


def rank() -> int:
    """Of this process; 0 where there is one."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def join(*columns: Tensor) -> list[Tensor]:
    """Rows (b, …) of all processes, in the order of ranks; each may have another b.

    The host waits for the sizes.
    """
    device = columns[0].device
    world = dist.get_world_size()
    size = torch.tensor([len(columns[0])], device=device)
    sizes = [torch.empty_like(size) for _ in range(world)]
    dist.all_gather(sizes, size)
    lengths = [int(n) for n in torch.cat(sizes).tolist()]
    joined = []
    for x in columns:
        padded = x.new_zeros(max(lengths), *x.shape[1:])
        padded[: len(x)] = x
        parts = [torch.empty_like(padded) for _ in range(world)]
        dist.all_gather(parts, padded)
        joined.append(torch.cat([part[:n] for part, n in zip(parts, lengths, strict=True)]))
    return joined


def is_same(z: Tensor) -> bool:
    """Whether every process has these rows (b, d), in whatever order. The host waits."""
    wide = z.double()
    mark = torch.stack([wide.new_tensor(float(len(z))), wide.abs().sum(), wide.square().sum()])
    marks = [torch.empty_like(mark) for _ in range(dist.get_world_size())]
    dist.all_gather(marks, mark)
    found = torch.stack(marks)
    return bool(((found - found[0]).abs() <= 1e-9 * found[0]).all())  # sums of another order


def summed(numbers: Tensor) -> Tensor:
    """Σ over processes."""
    total = numbers.clone()
    dist.all_reduce(total)
    return total


def differences(values: Tensor) -> list[float]:
    """(n,) → (max − min) / max |·| over processes, of each; 1 where only some are NaN or infinite.

    The host waits.
    """
    parts = [torch.empty_like(values) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, values)
    found = torch.stack(parts)  # (processes, n)
    finite = found.isfinite()
    found = found.where(finite, 0)
    largest = found.abs().amax(0)
    differ = (found.amax(0) - found.amin(0)) / largest.where(largest > 0, 1)
    return differ.where(finite.all(0), finite.any(0).to(differ)).tolist()
