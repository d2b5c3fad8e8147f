"""The monitor of a training loop."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook
from torch.utils.hooks import RemovableHandle

from metriscope import findings
from metriscope.findings.base import Subject
from metriscope.monitor import joined
from metriscope.monitor.criteria import Criterion
from metriscope.monitor.criteria.base import Heard
from metriscope.monitor.parameters import Parameters
from metriscope.monitor.passes import Call, Passes
from metriscope.monitor.reading import Reader
from metriscope.monitor.record import Record
from metriscope.monitor.rows import Number, Reading
from metriscope.monitor.words import describe
from metriscope.monitor.writers import Writer
from metriscope.types import Finding, InputError, Scores, Trace

logger = logging.getLogger("metriscope")


class Scaler(Protocol):
    """A gradient scaler, of ``torch.amp`` or like it."""

    def is_enabled(self) -> bool:
        """Whether it scales."""

    def get_scale(self) -> float:
        """By how much."""


class Monitor:
    """Watches a training loop: is its loss still learning, on how many samples, and how hard?

    ::

        with Monitor(model, loss) as monitor:
            for x, y in loader:
                optimizer.zero_grad()
                loss(model(x), y).backward()
                optimizer.step()
        print(monitor.summary())

    A step is an update of the weights: gradients of several backward passes before it are one step,
    measured when the last pass ends, before any clipping. Calls without a gradient (evaluation) and
    backward passes that leave no gradient in a parameter are not counted. What is measured stays on
    the device, and is read back once a row.

    Args:
        model: whose gradients to watch; nothing is hooked to it.
        loss: the criterion: a module, which is heard wherever it is called; or a function, called
            as ``monitor(embeddings, labels)``; or None, where the loop computes it and tells
            :meth:`observe`. Its parameters are the group ``loss``, the model's others ``model``.
        every: steps a row of the trace is made of.
        geometry_every: steps from one measurement of a batch's geometry to the next; the first
            step is measured too. It waits for the device.
        window: rows that rolling findings look at, besides the first.
        groups: more gradient norms: parameters by name.
        writers: get every row; closed at the end. Of several processes, the first one's.
        on_finding: called once with each finding that fires, in every process; what it raises
            ends training.
        scaler: the gradient scaler, if one is used; norms are divided by its scale, and steps that
            it skips are left out.
        distributed: whether batches are shared with the other processes of ``torch.distributed``,
            so that all numbers are of the joined batch; None: if it is in use.

    Raises:
        InputError: an argument that cannot be used.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: nn.Module | Callable[..., Any] | None = None,
        *,
        every: int = 10,
        geometry_every: int = 100,
        window: int = 50,
        groups: Mapping[str, Iterable[Parameter]] | None = None,
        writers: Sequence[Writer] = (),
        on_finding: Callable[[Finding], None] | None = None,
        scaler: Scaler | None = None,
        distributed: bool | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise InputError(f"model is {type(model).__name__}; it must be a torch.nn.Module.")
        if loss is not None and not callable(loss):
            raise InputError(f"loss is {type(loss).__name__}; it must be callable, or None.")
        for name, value in (("every", every), ("geometry_every", geometry_every)):
            if not isinstance(value, int) or value < 1:
                raise InputError(f"{name} is {value!r}; it must be an integer, 1 or more.")
        if not isinstance(window, int) or window < 2:
            raise InputError(f"window is {window!r}; it must be an integer, 2 or more.")
        self.model, self.every, self.window = model, every, window
        self._writers, self._on_finding = tuple(writers), on_finding
        self._scaler, self._distributed = scaler, distributed
        self._criterion = Criterion(loss, self.hear)
        self._parameters = Parameters(model, self._criterion.loss, groups or {})
        self._passes = Passes(self._began, self._ended)
        self._reader = Reader(1)
        self._record = Record(geometry_every)
        self._handles: list[RemovableHandle] = []
        self._heard: weakref.ref[Tensor] | None = None
        self._pending: list[Reading] = []  # of the step that is going on
        self._norms: dict[str, Tensor] = {}
        self._marks: list[tuple[int, int] | None] = []
        self._told: set[str] = set()
        self._found: tuple[Finding, ...] = ()

    # ----------------------------------------------------------------------------- in the loop

    def __call__(self, embeddings: Any, labels: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Call the criterion, and watch it.

        Raises:
            InputError: there is none.
        """
        if self._criterion.loss is None:
            raise InputError("this monitor has no criterion: Monitor(model, loss).")
        given = (embeddings,) if labels is None else (embeddings, labels)
        return self._criterion(*given, *args, **kwargs)

    def observe(
        self, loss: Tensor, embeddings: Tensor | Sequence[Tensor], labels: Any = None
    ) -> None:
        """Watch a loss that the loop has computed; to be called before ``backward``.

        Args:
            loss: differentiable.
            embeddings: (b, d), that the loss was computed from, or several.
            labels: (b,) integers.

        Raises:
            InputError: not tensors of these shapes.
        """
        several = (embeddings,) if isinstance(embeddings, Tensor) else tuple(embeddings)
        if not isinstance(loss, Tensor) or not all(
            isinstance(z, Tensor) and z.ndim == 2 for z in several
        ):
            raise InputError("observe wants a loss tensor and embeddings of shape (b, d).")
        if labels is not None:
            labels = torch.as_tensor(labels)
            if labels.shape != several[0].shape[:1]:
                raise InputError(
                    f"labels of shape {tuple(labels.shape)} do not belong to embeddings of shape "
                    f"{tuple(several[0].shape)}: one label a row."
                )
        if self._heard is None or self._heard() is not loss:
            self.hear(Heard(loss, several, labels))

    def attach(self) -> Monitor:
        """Start watching.

        Raises:
            InputError: it is watching already, or ``distributed`` without a process group.
        """
        if self._handles:
            raise InputError("this monitor is attached already; detach it first, or make another.")
        world = joined.world_size(self._distributed)
        if world != self._reader.world:
            self._reader = Reader(world)
        self._parameters.update()
        self._criterion.attach()
        self._handles = [register_optimizer_step_post_hook(self._stepped)]
        self._record.start_clock()
        return self

    def detach(self) -> None:
        """Stop watching: no hook is left. What was measured stays."""
        if self._handles:
            self._criterion.detach()
            self._passes.drop()
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def __enter__(self) -> Self:
        self.attach()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        try:
            self._finish()
        except Exception:
            if error is None:
                raise
            logger.exception("the monitor could not be closed; training had failed already:")

    def flush(self) -> None:
        """Make a row of the steps since the last one."""
        if self._pending and not self._parameters.stepped:  # and so nothing else says it is over
            self._close(updated=True)
        if self._record.waiting:
            self._row()

    # ----------------------------------------------------------------------------- what it knows

    @property
    def steps(self) -> int:
        """How many are finished."""
        return self._record.steps

    @property
    def trace(self) -> Trace:
        """Columns of numbers, one item a row of ``every`` steps; None where undefined."""
        return {name: list(column) for name, column in self._record.trace.items()}

    @property
    def last(self) -> Scores:
        """The last row."""
        return self._record.last

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Those that fired at the last row: problems first."""
        return tuple(found for found in self._found if found.fired)

    def checks(self) -> tuple[Finding, ...]:
        """What every check says now, of those that passed or do not apply too."""
        about, record = self.about, self._record
        trace = record.window(self.window)
        subject = Subject("training", record.geometry, trace, about["loss"], about["params"], about)
        return findings.examine_subject(subject)

    @property
    def about(self) -> dict[str, Any]:
        """Facts beside the trace, as of the last row."""
        return self._record.facts() | {
            "every": self.every,
            "loss": self._criterion.name,
            "params": dict(self._criterion.params),
            "family": self._criterion.family,
            "active_rule": self._criterion.rule,
            "missing_parameters": self._parameters.missing(),
            "world_size": self._reader.world,
            "joined": bool(self._reader.joined),
        }

    def summary(self) -> str:
        """A few lines for people."""
        return describe(self._record.trace, self.about, self._found)

    def state_dict(self) -> dict[str, Any]:
        """Everything measured, in plain types. To be called between steps."""
        return self._record.state_dict() | {"told": sorted(self._told)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where :meth:`state_dict` was called: with the trace of an uninterrupted run.

        Raises:
            InputError: not the state of a monitor.
        """
        self._record.load_state_dict(state)
        self._told = set(state["told"])
        self._pending, self._norms = [], {}
        self._found = self.checks() if self.last else ()

    # ----------------------------------------------------------------------------- what it hears

    def hear(self, heard: Heard) -> None:
        """A call of the criterion, with its counts where they are known: for adapters."""
        if self._handles:
            self._heard = weakref.ref(heard.loss)
            self._passes.hear(heard)

    def _began(self) -> None:
        """A backward pass: of a new step, if no gradient is left of the last one."""
        if self._pending and not self._parameters.has_gradient():
            self._close(updated=self._scaler is None)
        self._marks = self._parameters.marks()

    def _ended(self, calls: list[Call]) -> None:
        if self._parameters.marks() == self._marks:  # torch.autograd.grad: for no update
            return
        self._norms = self._parameters.norms(self._scale())
        for call in calls:
            said, batch = self._reader(call, self.steps + 1)
            self._pending += said
            self._record.see(batch)

    def _stepped(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """After the update: a closure may have held its backward passes."""
        del args, kwargs
        if self._parameters.see(optimizer) and self._pending:
            self._close(updated=True)

    def _close(self, *, updated: bool) -> None:
        """The step is over."""
        said, self._pending = self._pending, []
        if updated:
            norms = (Reading(f"grad_norm.{name}", n, 1.0) for name, n in self._norms.items())
            self._record.end_step([*said, *norms])
            if self.steps % self.every == 0:
                self._row()

    def _row(self) -> None:
        row = self._record.end_row(self._parameters.lr, scaled=self._scaler is not None)
        self._parameters.update()
        first = self._reader.world == 1 or joined.rank() == 0
        known = {k: v for k, v in row.items() if v is not None and k != "step"}
        for writer in self._writers if first else ():
            writer.log(self.steps, known)
        self._found = self.checks()
        for found in self.findings:
            if found.code not in self._told:
                self._told.add(found.code)
                if first:
                    logger.warning("%s %s: %s", found.code, found.title, found.message)
                if self._on_finding is not None:
                    self._on_finding(found)

    def _scale(self) -> Number | None:
        if self._scaler is None or not self._scaler.is_enabled():
            return None
        scale: Tensor | None = getattr(self._scaler, "_scale", None)  # get_scale() would wait
        return self._scaler.get_scale() if scale is None else scale

    def _finish(self) -> None:
        try:
            self.flush()
        finally:
            self.detach()
            for writer in self._writers:
                writer.close()
