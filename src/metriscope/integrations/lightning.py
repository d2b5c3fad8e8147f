"""A monitor as a callback of PyTorch Lightning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from metriscope.integrations._criterion import criterion_of, named, refuse_twins
from metriscope.integrations._extras import extra
from metriscope.integrations._names import PREFIX, prefixed
from metriscope.monitor import Monitor

with extra("lightning"):
    try:
        from lightning.pytorch import Callback
    except ModuleNotFoundError:
        from pytorch_lightning import Callback  # type: ignore[assignment]

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer


class MonitorCallback(Callback):
    """Watches the criterion from the first training step to the last, resumed runs included.

    Rows go to all loggers of the trainer, under ``metriscope/``, at the optimiser step of the row;
    the state is in every checkpoint. Give it in a list: ``Trainer(callbacks=[MonitorCallback()])``.

    Args:
        loss: the criterion: the name of an attribute of the module, dots allowed, or the criterion
            itself. A plain function cannot be heard: call ``callback.monitor(z, y)`` in its place,
            or ``callback.monitor.observe(loss, z, y)`` after it.
        prefix: before every name in the loggers. ``@`` is written ``_at_`` there.
        name: of its state and, after ``metriscope/``, of its rows: where there are several
            callbacks. Default: from ``prefix``, if that is given.
        options: of :class:`metriscope.Monitor`; ``scaler`` is the trainer's.

    Attributes:
        monitor: the monitor, from the start of training on, and after it; None before.

    Raises:
        InputError: a name that is no file's; at the start of training, if the module has no such
            attribute, two callbacks have one name, or the checkpoint's state is of another loss.
    """

    def __init__(
        self,
        loss: str | Callable[..., Any] | None = "criterion",
        *,
        prefix: str = PREFIX,
        name: str | None = None,
        **options: Any,
    ) -> None:
        self.name, self.prefix = named(name, prefix)
        self.loss, self.options = loss, options
        self.monitor: Monitor | None = None
        self._state: dict[str, Any] = {}
        self._watching = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Attach."""
        callbacks: list[Any] = vars(trainer)["callbacks"]
        refuse_twins(self, (each for each in callbacks if isinstance(each, MonitorCallback)))
        options = {"scaler": getattr(trainer.precision_plugin, "scaler", None), **self.options}
        options["writers"] = [*options.get("writers", ()), _Loggers(trainer, self.prefix)]
        self.monitor = Monitor(pl_module, criterion_of(pl_module, self.loss), **options)
        if self._state:
            self.monitor.load_state_dict(self._state)
        self.monitor.__enter__()
        self._watching = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Detach."""
        self._leave()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Detach; what was measured stays."""
        self._leave()

    @property
    def state_key(self) -> str:
        """Whose the state in a checkpoint is."""
        loss = self.loss if isinstance(self.loss, str) else type(self.loss).__name__
        name = self.name or ("" if loss == "criterion" else loss)
        return f"{super().state_key}[{name}]" if name else super().state_key

    def state_dict(self) -> dict[str, Any]:
        """What the checkpoint keeps."""
        return self._state if self.monitor is None else self.monitor.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What the checkpoint kept, for when training starts."""
        self._state = state_dict

    def _leave(self) -> None:
        if self.monitor is not None and self._watching:
            self._watching = False
            self.monitor.__exit__(None, None, None)


class _Loggers:
    """The loggers of a trainer, as a writer."""

    def __init__(self, trainer: Trainer, prefix: str) -> None:
        self._trainer, self._prefix = trainer, prefix

    def log(self, step: int, scores: Mapping[str, float]) -> None:
        """Keep these numbers."""
        for logger in self._trainer.loggers:
            logger.log_metrics(prefixed(scores, self._prefix), step=step)

    def close(self) -> None:
        """The trainer closes its loggers."""
