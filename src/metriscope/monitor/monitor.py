"""The monitor of a training loop."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.utils.hooks import RemovableHandle

from metriscope import findings
from metriscope.findings.base import Subject
from metriscope.monitor import joined
from metriscope.monitor.agreement import Agreement
from metriscope.monitor.criteria import Criterion
from metriscope.monitor.criteria.base import Heard
from metriscope.monitor.parameters import Parameters
from metriscope.monitor.passes import Call, Passes
from metriscope.monitor.reading import Reader
from metriscope.monitor.record import Record
from metriscope.monitor.rows import Reading
from metriscope.monitor.scaler import Scaler, scale_of
from metriscope.monitor.words import describe
from metriscope.monitor.writers import Writer, checked
from metriscope.types import Finding, InputError, Scores, Trace

logger = logging.getLogger("metriscope")


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
    backward passes that leave no gradient in a parameter are not counted. Once an optimiser of
    torch has been seen, only optimisers end steps: gradients that are cleared without one are left
    out, by a scaler or by the loop, and only looked at for NaN and infinity. What is measured stays
    on the device, and is read back once a row.

    Args:
        model: whose gradients to watch; nothing is hooked to it.
        loss: the criterion: a module, which is heard wherever it is called; or a function, called
            as ``monitor(embeddings, labels)``; or None, where the loop computes it and tells
            :meth:`observe`. Its parameters are the group ``loss``, the model's others ``model``.
        every: steps a row of the trace is made of; as many skipped ones end a row early.
        geometry_every: steps from one measurement of a batch's geometry to the next; the first
            step is measured too. It waits for the device.
        window: rows that rolling findings look at, besides the first.
        groups: more gradient norms: parameters by name.
        writers: get every row; closed at the end. Of several processes, the first one's.
        on_finding: called once with each finding that fires, and again when a warning becomes a
            problem, in every process; what it raises ends training.
        scaler: the gradient scaler, if one is used; norms are divided by its scale.
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
        self._writers, self._on_finding = checked(writers), on_finding
        self._scaler = scaler if scaler is not None and scaler.is_enabled() else None
        self._distributed = distributed
        self._criterion = Criterion(loss, self.hear)
        self._parameters = Parameters(model, self._criterion.loss, groups or {})
        self._passes = Passes(self._began, self._ended)
        self._reader = Reader(1)
        self._agreement = Agreement(model, every)
        self._record = Record(geometry_every)
        self._handles: list[RemovableHandle] = []
        self._heard: weakref.ref[Tensor] | None = None
        self._pending: list[Reading] = []  # of the step that is going on
        self._norms: dict[str, Tensor] = {}
        self._marks: list[tuple[int, int] | None] = []  # before a backward pass
        self._left: list[tuple[int, int] | None] = []  # after it
        self._stepping = False  # inside an optimiser, which may call a closure
        self._told: set[str] = set()
        self._found: tuple[Finding, ...] = ()

    # ----------------------------------------------------------------------------- in the loop

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the criterion with these arguments, and watch it.

        Raises:
            InputError: there is none.
        """
        if self._criterion.loss is None:
            raise InputError("this monitor has no criterion: Monitor(model, loss).")
        return self._criterion(*args, **kwargs)

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
        self._handles = [
            register_optimizer_step_pre_hook(self._will_step),
            register_optimizer_step_post_hook(self._stepped),
        ]
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
        if self._pending and self._unled:
            self._close(updated=True)
        if self._record.waiting:
            self._row()
        elif self._record.dropped:
            self._record.look_at_dropped()
            self._tell()

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
            "missing_model_parameters": self._parameters.missing_model(),
            "world_size": self._reader.world,
            "joined": bool(self._reader.joined),
            "compares": self._criterion.compares,
            "unreduced": dict(self._agreement.unreduced),
        }

    def summary(self) -> str:
        """A few lines for people."""
        return describe(self._record.trace, self.about, self._found)

    def state_dict(self) -> dict[str, Any]:
        """Everything measured, in plain types. To be called between steps."""
        more = {"told": sorted(self._told), "loss": self._criterion.name}
        return self._record.state_dict() | more

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where :meth:`state_dict` was called: with the trace of an uninterrupted run.

        Raises:
            InputError: not the state of a monitor, or of one of another loss.
        """
        kept = state.get("loss", "") if isinstance(state, Mapping) else ""
        if kept and kept != self._criterion.name:
            raise InputError(
                f"this is the state of a monitor of {kept}, and this one is of "
                f"{self._criterion.name or 'no criterion'}: load its own, or start without."
            )
        self._record.load_state_dict(state)
        self._told = set(state.get("told", ()))
        self._pending, self._norms = [], {}
        self._found = self.checks() if self.last else ()

    # ----------------------------------------------------------------------------- what it hears

    def hear(self, heard: Heard) -> None:
        """A call of the criterion, with its counts where they are known: for adapters."""
        if self._handles:
            self._heard = weakref.ref(heard.loss)
            self._passes.hear(heard, self.steps + 1)
            if self._passes.waiting > self.every:
                self._look()

    @property
    def _unled(self) -> bool:
        """Whether nothing else says when a step is over: no optimiser of torch, no scaler."""
        return not self._parameters.stepped and self._scaler is None

    def _began(self) -> None:
        """A backward pass: of a new step, if the gradients of the last one were cleared.

        Those that were only changed in place, such as set to 0, are of a new step where no
        optimiser has been seen, or where a scaler has looked at them.
        """
        self._marks = self._parameters.marks()
        if not self._stepping:
            self._parameters.end_turn()
        if self._pending and not self._stepping:
            changed = self._marks != self._left
            led = self._parameters.stepped and self._scaler is None
            if not self._parameters.has_gradient() or (changed and not led):
                self._close(updated=self._unled)

    def _ended(self, calls: list[Call]) -> None:
        self._left = self._parameters.marks()
        if self._left == self._marks:  # torch.autograd.grad: for no update
            return
        if self._reader.world > 1:
            before = None if self._pending else self._norms
            self._agreement.compare(before, self._parameters.groups)
        self._norms = self._parameters.norms(scale_of(self._scaler))
        for call in calls:
            call.glance.clear()
            said, batch = self._reader(call, self.steps + 1)
            self._pending += said
            self._record.see(batch)

    def _will_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Before the update."""
        del args, kwargs
        self._stepping = self._parameters.watches(optimizer)

    def _stepped(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """After the update: closures may have held its backward passes."""
        del args, kwargs
        self._stepping = False
        if self._parameters.see(optimizer) and self._pending:
            self._close(updated=True)

    def _close(self, *, updated: bool) -> None:
        """The step is over; without an update it is none."""
        said, self._pending = self._pending, []
        norms = (  # undefined where processes have different ones
            Reading(f"grad_norm.{name}", n, float(name not in self._agreement.apart))
            for name, n in self._norms.items()
        )
        (self._record.end_step if updated else self._record.drop_step)([*said, *norms])
        if (updated and self.steps % self.every == 0) or self._record.dropped >= self.every:
            self.flush()

    def _look(self) -> None:
        """See whether losses without a backward pass were finite; the last may still have one."""
        older = self._passes.unread(keep=1)
        if older:
            self._record.look(older)
            self._tell()

    def _row(self) -> None:
        self._look()
        row = self._record.end_row(self._parameters.lr, scaled=self._scaler is not None)
        self._parameters.update()
        first = self._reader.world == 1 or joined.rank() == 0
        known = {k: v for k, v in row.items() if v is not None and k != "step"}
        for writer in self._writers if first else ():
            writer.log(self.steps, known)
        self._tell()

    def _tell(self) -> None:
        """Check, and tell what fires for the first time."""
        first = self._reader.world == 1 or joined.rank() == 0
        self._found = self.checks()
        for found in self.findings:
            said = f"{found.code} {found.severity}"
            if not self._told & {said, f"{found.code} problem"}:
                self._told.add(said)
                if first:
                    logger.warning("%s %s: %s", found.code, found.title, found.message)
                if self._on_finding is not None:
                    self._on_finding(found)

    def _finish(self) -> None:
        try:
            self._parameters.end_turn()
            if self._pending and not self._unled:
                self._close(updated=False)
            self.flush()
            self._record.look(self._passes.unread(keep=0))
            if self._record.calls:
                self._tell()
        finally:
            self.detach()
            for writer in self._writers:
                writer.close()
