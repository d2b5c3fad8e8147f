"""From a call of the criterion to the end of its backward pass."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.autograd import Variable
from torch.utils.hooks import RemovableHandle

from metriscope.monitor.criteria.base import Heard
from metriscope.monitor.rows import Glance, Reading


class Call:
    """One call, which gathers the gradients at its embeddings while the backward pass runs.

    Attributes:
        heard: without graphs.
        glance: what was seen of it already; empty once its backward pass has ended.
        pulls: ‖∂L/∂z_i‖ of the rows of each of its embeddings that has a gradient.
    """

    def __init__(self, heard: Heard, glance: list[Reading]) -> None:
        labels = None if heard.labels is None else heard.labels.detach()
        self.heard = Heard(
            heard.loss.detach(), tuple(z.detach() for z in heard.embeddings), labels, heard.counts
        )
        self.glance = glance
        self.pulls: dict[int, Tensor] = {}

    def pull(self, index: int, gradient: Tensor) -> None:
        """A gradient has reached one of the embeddings."""
        g = gradient.detach()
        dtype = torch.promote_types(g.dtype, torch.float32)
        self.pulls[index] = torch.linalg.vector_norm(g, dim=1, dtype=dtype)


class Passes:
    """Follows calls of a criterion through their backward passes.

    Args:
        began: called when a backward pass reaches the first loss.
        ended: called with the losses that it reached, when every gradient is there: accumulated,
            and reduced over processes.
    """

    def __init__(self, began: Callable[[], None], ended: Callable[[list[Call]], None]) -> None:
        self._began, self._ended = began, ended
        self._running: list[Call] = []
        self._glances: list[Glance] = []
        self._handles: list[RemovableHandle] = []

    def hear(self, heard: Heard, step: int) -> None:
        """A call of the criterion; one without a gradient is an evaluation."""
        self._running = []  # of a backward pass that failed
        if not heard.loss.requires_grad:
            return
        glance = [Reading("loss", heard.loss.detach().mean(), 1.0)]
        if heard.embeddings:
            finite = [z.detach().isfinite().all() for z in heard.embeddings]
            glance += [Reading("_finite.embeddings", one, 1.0) for one in finite]
        self._glances = [(s, seen) for s, seen in self._glances if seen] + [(step, glance)]
        call = Call(heard, glance)
        self._handles = [heard.loss.register_hook(partial(self._reached, call))]
        self._handles += [
            z.register_hook(partial(call.pull, i))
            for i, z in enumerate(heard.embeddings)
            if z.requires_grad
        ]

    @property
    def waiting(self) -> int:
        """How many calls have had no backward pass."""
        return len(self._glances)

    def unread(self, keep: int) -> list[Glance]:
        """Of these, but the last ``keep``, what was seen; each is given once."""
        cut = max(len(self._glances) - keep, 0)
        given, self._glances = self._glances[:cut], self._glances[cut:]
        return [glance for glance in given if glance[1]]

    def drop(self) -> None:
        """Leave the last call's tensors alone."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._running = [], []

    def _reached(self, call: Call, gradient: Tensor) -> None:
        del gradient
        if not self._running:
            self._began()
            # Twice: behind what others, such as DistributedDataParallel, put there meanwhile.
            _at_end(lambda: _at_end(self._end))
        self._running.append(call)

    def _end(self) -> None:
        calls, self._running = self._running, []
        if calls:
            self._ended(calls)


def _at_end(work: Callable[[], None]) -> None:
    """Of the backward pass that is running."""
    Variable._execution_engine.queue_callback(work)
