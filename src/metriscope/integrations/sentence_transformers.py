"""A monitor as a callback of ``SentenceTransformerTrainer``.

Its losses get tokens and call the model themselves, for the columns of a batch (anchors, positives,
…). What is watched is the value that the loss returns, and what the model's last module has put out
meanwhile, before a wrapper such as ``MatryoshkaLoss`` cuts it short: a batch is the rows of all its
columns. Losses that first embed without a gradient (the cached ones) have no gradient shares, and
those that return several parts by name are not heard.

Active terms: see :mod:`metriscope.integrations._sentence_terms`. Labels are classes where a batch
has one column; beside pairs and triplets they say what is similar, and there are no classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from metriscope.integrations import transformers
from metriscope.integrations._extras import extra
from metriscope.integrations._sentence_terms import count_terms
from metriscope.monitor import Monitor
from metriscope.monitor.criteria.base import Counts, Heard, Hook
from metriscope.types import InputError

with extra("sentence_transformers"):
    from sentence_transformers import SentenceTransformer


class MonitorCallback(transformers.MonitorCallback):
    """Watches the loss of a ``SentenceTransformerTrainer``; otherwise as for any ``Trainer``.

    ::

        loss = MultipleNegativesRankingLoss(model)
        watch = MonitorCallback(loss)
        SentenceTransformerTrainer(model, args, data, loss=loss, callbacks=[watch]).train()

    Gradient norms are those of the model, and of each part of the loss that learns besides.

    Args:
        loss: the module that the trainer has as its loss. Of several, one a data set, each needs a
            callback, with another ``name``.
        options: of :class:`metriscope.integrations.transformers.MonitorCallback`.

    Raises:
        InputError: the loss is not a module.
    """

    def __init__(self, loss: nn.Module, **options: Any) -> None:
        if not isinstance(loss, nn.Module):
            raise InputError(
                f"loss is {type(loss).__name__}; give the module that the trainer has as its loss. "
                "Of several, one a data set, each needs a callback."
            )
        super().__init__(loss, **options)
        self._handles: list[RemovableHandle] = []

    def make(self, model: nn.Module, options: dict[str, Any]) -> Monitor:
        """The monitor of this run, and the hooks that tell it."""
        assert isinstance(self.loss, nn.Module)
        if not isinstance(model, SentenceTransformer):
            raise InputError(
                f"the model is {type(model).__name__}, not a SentenceTransformer: use "
                "metriscope.integrations.transformers.MonitorCallback."
            )
        groups = {**_own_parameters(self.loss, model), **options.pop("groups", {})}
        monitor = Monitor(model, _named(self.loss), groups=groups, **options)
        ear = _Ear(self.loss, monitor)
        *_, last = model.children()
        self._handles = [
            self.loss.register_forward_pre_hook(Hook(ear.before)),
            last.register_forward_hook(Hook(ear.embedded)),
            self.loss.register_forward_hook(_Through(ear.after)),
        ]
        return monitor

    def detach(self) -> None:
        """Stop watching."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        super().detach()


class _Through(Hook):
    """A hook that may give the module another output."""

    def __init__(self, call: Callable[..., Any]) -> None:
        super().__init__(call)
        self._give = call

    def __call__(self, *args: Any) -> Any:
        """What the module calls."""
        return self._give(*args)


class _Ear:
    """Hears one loss, and what is embedded while it is called."""

    def __init__(self, loss: nn.Module, monitor: Monitor) -> None:
        self._loss, self._monitor = loss, monitor
        self._parts: list[Tensor] | None = None

    def before(self, loss: nn.Module, args: tuple[Any, ...]) -> None:
        """It is called."""
        self._parts = []

    def embedded(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Rows of one column, of several that were merged, or of a part of one."""
        if self._parts is not None:
            self._parts.append(output["sentence_embedding"])

    def after(self, loss: nn.Module, args: tuple[Any, ...], value: Any) -> Tensor | None:
        """The value, as a tensor that a backward pass reaches before a cached loss's own hook."""
        parts, self._parts = self._parts, None
        if not parts or not isinstance(value, Tensor) or not value.requires_grad:
            return None
        reached: Tensor = value.view_as(value)
        features, labels = args[0], args[1]
        counts = self._counts(value, parts, len(features), labels)
        classes = labels if len(features) == 1 and _are_classes(labels) else None
        self._monitor.hear(Heard(reached, tuple(parts), classes, counts))
        return reached

    def _counts(
        self, value: Tensor, parts: list[Tensor], columns: int, labels: Tensor | None
    ) -> Counts | None:
        z = torch.cat([part.detach() for part in parts])
        if len(z) % columns:
            return None
        with torch.no_grad(), torch.autocast(z.device.type, enabled=False):
            z = z.to(torch.promote_types(z.dtype, torch.float32))
            found = count_terms(self._loss, value, z.chunk(columns), labels)
        # Of columns only the first has anchors: that others have none is no fault of the batch.
        return None if found is None else Counts(found, excluded=columns == 1)


def _are_classes(labels: Any) -> bool:
    """Whether they are a vector of integers."""
    if not isinstance(labels, Tensor) or labels.ndim != 1:
        return False
    return not labels.is_floating_point() and labels.dtype != torch.bool


def _own_parameters(loss: nn.Module, model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """What the loss learns besides the model that it holds, by the name of its part."""
    known = {id(p) for p in model.parameters()}
    found: dict[str, list[nn.Parameter]] = {}
    for name, parameter in loss.named_parameters():
        if id(parameter) not in known:
            found.setdefault(f"loss.{name.split('.')[0]}", []).append(parameter)
    return found


def _named(loss: nn.Module) -> Any:
    """What tells a monitor the loss's name and settings; never called."""

    def tell(*args: Any) -> None: ...

    tell.__name__ = type(loss).__name__
    settings: Mapping[str, Any] = getattr(loss, "get_config_dict", dict)()
    if "triplet_margin" in settings:
        settings = {**settings, "margin": settings["triplet_margin"]}
    return partial(tell, **settings)
