"""Whether several processes train one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from metriscope.monitor import joined

NOISE = 1e-3  # relative: sums of another order, in half precision
SAME = 1e-12  # of weights, in float64: equal updates leave equal bits


class Agreement:
    """Compares gradients and weights of processes, which are to be alike.

    The host waits, once in ``every`` backward passes. Sharded parameters are of one process each,
    and are not compared.

    Attributes:
        apart: relative difference of the gradient norms of a group, by its name, where they differ.
        unreduced: those of ``apart`` whose weights differ too: a gradient that is reduced later, by
            hand, leaves equal weights.
    """

    def __init__(self, model: nn.Module, every: int) -> None:
        self._model, self._every, self._passes = model, every, 0
        self._norms: Mapping[str, Tensor] = {}
        self.apart: dict[str, float] = {}
        self.unreduced: dict[str, float] = {}

    def compare(
        self, norms: Mapping[str, Tensor] | None, groups: Mapping[str, Sequence[Parameter]]
    ) -> None:
        """Called after each backward pass, by all processes alike.

        Args:
            norms: of the gradients of the step before; None where that is still going on.
            groups: parameters by name.
        """
        self._norms = self._norms if norms is None else norms
        self._passes += 1
        if (self._passes != 2 and self._passes % self._every) or self._sharded():
            return
        device = next((p.device for group in groups.values() for p in group), None)
        if device is None:
            return
        nothing = torch.full((), torch.nan, dtype=torch.float64, device=device)
        mine = [self._norms.get(name, nothing).to(nothing) for name in groups]
        mine += [_norm(group).to(nothing) if group else nothing for group in groups.values()]
        found = joined.differences(torch.stack(mine))
        n = len(groups)
        norm, weight = (dict(zip(groups, part, strict=True)) for part in (found[:n], found[n:]))
        self.apart = {name: norm[name] for name in groups if norm[name] > NOISE}
        self.unreduced = {k: v for k, v in self.apart.items() if weight[k] > SAME}

    def _sharded(self) -> bool:
        return any(
            type(module).__name__ == "FullyShardedDataParallel" for module in self._model.modules()
        ) or any(hasattr(p, "device_mesh") for p in self._model.parameters())


def _norm(parameters: Sequence[Parameter]) -> Tensor:
    norms = [torch.linalg.vector_norm(p.detach(), dtype=torch.float64) for p in parameters]
    norm: Tensor = torch.linalg.vector_norm(torch.stack([n.to(norms[0].device) for n in norms]))
    return norm
