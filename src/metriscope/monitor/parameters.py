"""Whose gradients are watched, and which of them an optimiser steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim.optimizer import Optimizer

from metriscope.monitor.reading import grad_norm
from metriscope.monitor.rows import Number
from metriscope.types import InputError

OURS = ("model", "loss")


class Parameters:
    """Groups of parameters by name.

    Args:
        model: all of it but what belongs to the loss. loss: its own.
        more: other groups, which may overlap.

    Attributes:
        lr: of the first group of the last optimiser that held one of them.

    Raises:
        InputError: a group has a name of ours, or something else than parameters.
    """

    def __init__(
        self, model: nn.Module, loss: Any, more: Mapping[str, Iterable[Parameter]]
    ) -> None:
        self._model, self._loss = model, loss if isinstance(loss, nn.Module) else None
        self._more = {name: list(group) for name, group in more.items()}
        for name, group in self._more.items():
            if name in OURS or not all(isinstance(p, Tensor) for p in group):
                raise InputError(
                    f"groups[{name!r}]: other names than {' and '.join(OURS)}, and parameters: "
                    'Monitor(..., groups={"head": model.head.parameters()}).'
                )
        self._held: set[int] = set()
        self._judged = False
        self.lr: Number | None = None
        self.groups: dict[str, list[Parameter]] = {}
        self.update()

    def update(self) -> None:
        """Look again: modules may have been added."""
        own = [] if self._loss is None else list(self._loss.parameters())
        known = set(map(id, own))
        model = [p for p in self._model.parameters() if id(p) not in known]
        self.groups = {"model": model, "loss": own, **self._more}

    @property
    def stepped(self) -> bool:
        """Whether an optimiser has been seen."""
        return bool(self._held)

    def has_gradient(self) -> bool:
        """Whether any is left."""
        return any(p.grad is not None for group in self.groups.values() for p in group)

    def marks(self) -> list[tuple[int, int] | None]:
        """Changes where a backward pass adds to a gradient."""
        grads = (p.grad for group in self.groups.values() for p in group)
        return [None if g is None else (id(g), g._version) for g in grads]

    def norms(self, scale: Number | None) -> dict[str, Tensor]:
        """L2 norm of the gradient of each group that has one, over ``scale``."""
        norms = {name: grad_norm(group, scale) for name, group in self.groups.items()}
        return {name: norm for name, norm in norms.items() if norm is not None}

    def watches(self, optimizer: Optimizer) -> bool:
        """Whether an optimiser holds any of these."""
        watched = {id(p) for group in self.groups.values() for p in group}
        return any(id(p) in watched for group in optimizer.param_groups for p in group["params"])

    def end_turn(self) -> None:
        """Every optimiser of the last step has had its turn."""
        self._judged = self.stepped

    def see(self, optimizer: Optimizer) -> bool:
        """An optimiser has made a step: whether it holds any of these."""
        watched = {id(p) for group in self.groups.values() for p in group}
        mine = False
        for group in optimizer.param_groups:
            held = watched.intersection(map(id, group["params"]))
            self._held |= held
            if held and not mine:
                lr = group.get("lr")
                self.lr = lr.detach().clone() if isinstance(lr, Tensor) else lr
            mine = mine or bool(held)
        return mine

    def missing(self) -> list[str] | None:
        """Parameters of the loss that no optimiser steps, by name; None where there are none."""
        return self._lacking(() if self._loss is None else self._loss.named_parameters())

    def missing_model(self) -> list[str] | None:
        """All trainable parameters of the model, by name, if no optimiser steps one of them."""
        own = set() if self._loss is None else set(map(id, self._loss.parameters()))
        named = [(name, p) for name, p in self._model.named_parameters() if id(p) not in own]
        lacking = self._lacking(named)
        trained = lacking and len(lacking) < sum(p.requires_grad for _, p in named)
        return [] if trained else lacking

    def _lacking(self, named: Iterable[tuple[str, Parameter]]) -> list[str] | None:
        wanting = [(name, p) for name, p in named if p.requires_grad]
        if not self._judged or not wanting:
            return None
        return [name for name, p in wanting if id(p) not in self._held]
