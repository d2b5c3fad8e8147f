"""How a monitor hears a criterion: ours, pytorch-metric-learning's, or any other.

``ours``: :data:`metriscope.losses.base.LISTENERS`. ``pytorch-metric-learning``: hooks, see
:mod:`metriscope.monitor.criteria.pml`. A criterion that calls one of these, once, has its counts;
of any other, what is known is its value and the gradient that it gives.

What ``torch.compile`` made of a loss is heard from outside, and counted by evaluating the loss that
it was made of once more: hooks inside would break its graph.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from metriscope.losses import LOSSES
from metriscope.losses.base import LISTENERS, Loss
from metriscope.monitor.criteria import pml
from metriscope.monitor.criteria.base import (
    Counts,
    Hear,
    Heard,
    Hook,
    find_embeddings,
    find_labels,
    find_loss,
    is_compiled,
    is_silenced,
    plain,
    silenced,
    tensors,
    unwrapped,
)
from metriscope.types import LossOutput

Family = Literal["metriscope", "pytorch-metric-learning", "other"]


class Criterion:
    """What is called for the loss, and heard.

    Args:
        loss: a module or a function; None where the loop computes it.
        hear: called with every call that has a gradient.

    Attributes:
        loss: what is inside wrappers that gather, reduce, or were compiled for it.
        name: our loss's, or the class's or function's. ``params``: as far as they can be read.
        family: who wrote it.
        rule: when a term is active: ``violated`` (the inequality of the loss), ``nonzero`` (its
            unreduced value is above 0); None where nothing is known of terms.
        compares: whether its terms are of several rows, as of the last call; None: unknown.
    """

    def __init__(self, loss: nn.Module | Callable[..., Any] | None, hear: Hear) -> None:
        self._called, self._tell, outer = loss, hear, unwrapped(loss)
        self._compiled: nn.Module | None = outer if is_compiled(outer) else None
        self.loss = outer if self._compiled is None else unwrapped(outer._orig_mod)
        self.compares: bool | None = None
        self._parts: list[Heard] = []
        self._inside = False
        self._handles: list[RemovableHandle] = []
        self.family: Family = "other"
        self.rule: Literal["violated", "nonzero"] | None = None
        self.name, self.params = _described(self.loss)
        if isinstance(self.loss, Loss):
            self.family, self.rule = "metriscope", "violated"
        elif type(self.loss).__module__.startswith("pytorch_metric_learning") or pml.is_loss(
            self.loss
        ):
            self.family = "pytorch-metric-learning"
            rules = {pml.rule_of(part) for part in self._theirs()}
            self.rule = rules.pop() if len(rules) == 1 else None

    def attach(self) -> None:
        """Listen."""
        if self._compiled is None:
            LISTENERS.append(self._ours)
        for part in self._theirs() if self._compiled is None else ():
            self._handles += pml.attach(part, functools.partial(self._part, part))
        outer = self.loss if self._compiled is None else self._compiled
        if isinstance(outer, nn.Module) and not self._tells(outer):
            self._handles += [
                outer.register_forward_pre_hook(Hook(self._before)),
                outer.register_forward_hook(Hook(self._after), with_kwargs=True, always_call=True),
            ]

    def detach(self) -> None:
        """Listen no more."""
        if self._compiled is None:
            LISTENERS.remove(self._ours)
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The criterion, heard whatever it is."""
        assert self._called is not None
        if isinstance(self._called, nn.Module):
            return self._called(*args, **kwargs)
        output = None
        self._before()
        try:
            output = self._called(*args, **kwargs)
        finally:
            self._after(None, args, kwargs, output)
        return output

    def _theirs(self) -> list[nn.Module]:
        """The losses of pytorch-metric-learning in it."""
        parts = list(self.loss.modules()) if isinstance(self.loss, nn.Module) else []
        inside = {id(part) for whole in parts if is_compiled(whole) for part in whole.modules()}
        return [part for part in parts if pml.is_loss(part) and id(part) not in inside]

    def _tells(self, module: nn.Module) -> bool:
        """Whether it is heard from within."""
        return isinstance(module, Loss) or pml.is_loss(module)

    def _ours(self, loss: Loss, z: Tensor, labels: Tensor, out: LossOutput) -> None:
        if (self._inside or loss is self.loss) and not is_silenced():
            self._part(loss, Heard(out.loss, (z,), labels, _counts_of_ours(loss, out)))

    def _part(self, part: nn.Module, heard: Heard) -> None:
        if part is self.loss:
            self._hear(heard)
        elif self._inside:
            self._parts.append(heard)

    def _before(self, *args: Any) -> None:
        self._parts, self._inside = [], True

    def _after(
        self, module: nn.Module | None, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> None:
        parts, self._parts, self._inside = self._parts, [], False
        loss = find_loss(output)
        if loss is None or is_silenced():
            return
        if len(parts) == 1:  # another value may come of it, so it cannot be evaluated again
            counts = parts[0].counts
            counts = counts and replace(counts, again=None)
            self._hear(replace(parts[0], loss=loss, counts=counts))
            return
        given = list(tensors(args, kwargs))
        embeddings = parts[0].embeddings if parts else find_embeddings(given)
        labels = find_labels(given, len(embeddings[0])) if embeddings else None
        counts = None if self._compiled is None else self._uncompiled(args, kwargs)
        self._hear(Heard(loss, embeddings, labels, counts))

    def _hear(self, heard: Heard) -> None:
        if heard.counts is not None:
            self.compares = heard.counts.compares
        self._tell(heard)

    @torch.no_grad()
    def _uncompiled(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Counts | None:
        """The counts of a compiled loss, from the module that it was made of."""
        if not isinstance(self.loss, nn.Module) or not self._tells(self.loss):
            return None
        heard: list[Heard] = []
        devices = {x.device for x in tensors(args, kwargs) if x.device.type == "cuda"}
        with torch.random.fork_rng(list(devices)):
            if isinstance(self.loss, Loss):
                with silenced():
                    return _counts_of_ours(self.loss, self.loss.evaluate(*args, **kwargs))
            handles = pml.attach(self.loss, heard.append)
            try:
                self.loss(*args, **kwargs)
            finally:
                for handle in handles:
                    handle.remove()
        return heard[0].counts if heard else None


def _counts_of_ours(loss: Loss, out: LossOutput) -> Counts:
    return Counts(
        replace(out, loss=out.loss.detach()), again=loss.evaluate, compares=not loss.class_level
    )


def _described(loss: Any) -> tuple[str, dict[str, Any]]:
    """Its name and its parameters."""
    if loss is None:
        return "", {}
    if isinstance(loss, Loss):
        names = {kind: name for name, kind in LOSSES.all().items()}
        return names.get(type(loss), type(loss).__name__), plain(loss)
    if isinstance(loss, functools.partial):
        known = {k: v for k, v in loss.keywords.items() if isinstance(v, str | float | int)}
        return _described(loss.func)[0], known
    if isinstance(loss, nn.Module):
        return type(loss).__name__, pml.params(loss) if pml.is_loss(loss) else plain(loss)
    return str(getattr(loss, "__name__", type(loss).__name__)), {}
