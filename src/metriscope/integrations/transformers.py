"""A monitor as a callback of the Hugging Face ``Trainer``."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from metriscope.integrations._criterion import criterion_of, named, refuse_twins
from metriscope.integrations._extras import extra
from metriscope.integrations._names import PREFIX, prefixed
from metriscope.monitor import Monitor
from metriscope.types import InputError

with extra("transformers"):
    from transformers import TrainerCallback

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments

STATE = "metriscope_monitor.pt"
"""In each checkpoint's folder; tensors and plain values only. With the callback's name, if any."""

_log = logging.getLogger("metriscope")
_watching: weakref.WeakSet[MonitorCallback] = weakref.WeakSet()


class MonitorCallback(TrainerCallback):
    """Watches the criterion from the first training step to the last, resumed runs included.

    Rows go to ``trainer.state.log_history``, under ``metriscope/``, and to ``writers``: a callback
    cannot reach what ``report_to`` names, so give a writer of the same tracker. A run resumes from
    ``<output_dir>/checkpoint-<step>``; from a copy elsewhere, name it with ``resume_from``.

    Args:
        loss: the criterion: the name of an attribute of the model, dots allowed, or the criterion
            itself, as an overridden ``compute_loss`` calls it. A plain function cannot be heard:
            call ``callback.monitor(z, y)`` in its place, or ``callback.monitor.observe(loss, z,
            y)`` after it.
        prefix: before every name in the history. ``@`` is written ``_at_`` there.
        name: of its state's file and, after ``metriscope/``, of its rows: where there are several
            callbacks. Default: from ``prefix``, if that is given.
        resume_from: folder of the checkpoint, if it is not where the trainer wrote it.
        options: of :class:`metriscope.Monitor`; ``scaler`` is the trainer's.

    Attributes:
        monitor: the monitor, from the start of training on, and after it; None before.

    Raises:
        InputError: a name that is no file's; at the start of training, if the model has no such
            attribute, two callbacks have one name, or the checkpoint's state is of another loss.
    """

    def __init__(
        self,
        loss: str | Callable[..., Any] | None = "criterion",
        *,
        prefix: str = PREFIX,
        name: str | None = None,
        resume_from: str | Path | None = None,
        **options: Any,
    ) -> None:
        self.name, self.prefix = named(name, prefix)
        self.loss, self.resume_from, self.options = loss, resume_from, options
        self.monitor: Monitor | None = None
        self._run: TrainerState | None = None  # while it is watched

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Attach; also where a run before this ended with an exception."""
        self.detach()
        others = [each for each in _watching if each._run is state]
        try:
            refuse_twins(self, others)
        except InputError:
            for each in others:  # the trainer does not tell them
                each.detach()
            raise
        options = {"scaler": getattr(kwargs.get("optimizer"), "scaler", None), **self.options}
        options["writers"] = [*options.get("writers", ()), _History(state, self.prefix)]
        self.monitor = self.make(kwargs["model"], options)
        if state.global_step:
            self._resume(Path(self.resume_from or _folder(args, state)))
        self.monitor.__enter__()
        self._run = state
        _watching.add(self)

    def make(self, model: nn.Module, options: dict[str, Any]) -> Monitor:
        """The monitor of this run."""
        return Monitor(model, criterion_of(model, self.loss), **options)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Put the state beside the model."""
        folder = _folder(args, state)
        if self.monitor is not None and args.should_save and folder.is_dir():
            torch.save(self.monitor.state_dict(), folder / self._file)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Detach."""
        self.detach()

    def detach(self) -> None:
        """Stop watching. The trainer does not tell callbacks of exceptions: call it after one."""
        if self.monitor is not None and self._run is not None:
            self._run = None
            _watching.discard(self)
            self.monitor.__exit__(None, None, None)

    @property
    def _file(self) -> str:
        stem, ending = STATE.split(".")
        return f"{stem}.{self.name}.{ending}" if self.name else STATE

    def _resume(self, folder: Path) -> None:
        assert self.monitor is not None
        if (folder / self._file).is_file():
            self.monitor.load_state_dict(torch.load(folder / self._file, weights_only=True))
        else:
            _log.warning(
                "no %s in %s: the monitor starts anew. Name the checkpoint with resume_from=.",
                self._file,
                folder,
            )


def _folder(args: TrainingArguments, state: TrainerState) -> Path:
    return Path(args.output_dir or ".") / f"checkpoint-{state.global_step}"


class _History:
    """The log history of a trainer, as a writer."""

    def __init__(self, state: TrainerState, prefix: str) -> None:
        self._state, self._prefix = state, prefix

    def log(self, step: int, scores: Mapping[str, float]) -> None:
        """Keep these numbers."""
        row = prefixed(scores, self._prefix)
        self._state.log_history.append({"epoch": self._state.epoch, "step": step, **row})

    def close(self) -> None:
        """The trainer writes its history."""
