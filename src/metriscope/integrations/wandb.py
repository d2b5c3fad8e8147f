"""Scores in the history of a Weights & Biases run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metriscope.integrations._extras import extra
from metriscope.integrations._names import PREFIX, prefixed
from metriscope.types import InputError

with extra("wandb"):
    import wandb


class WandbWriter:
    """Logs to a run, with ``metriscope/step`` as the x-axis of every score.

    W&B's own step is left to the run: a number given for it that is lower than the last is thrown
    away there, so two loggers cannot share it. Whoever else logs to the run should likewise name
    an axis of its own (``run.define_metric``), and not pass ``step=``.

    Args:
        run: by default the one that is active, or else a new one, which ``close`` then finishes.
        prefix: before every name. ``@`` is written ``_at_``, the same in every tracker.
        init: of the new run, as ``wandb.init`` takes it: ``project=``, ``mode="offline"``.

    Raises:
        InputError: settings for a new run where there is one.
    """

    def __init__(self, run: Any = None, *, prefix: str = PREFIX, **init: Any) -> None:
        run = wandb.run if run is None else run
        if run is not None and init:
            raise InputError(
                f"a W&B run is there already, so {', '.join(init)} would be ignored: "
                "leave them out, or finish that run first."
            )
        self._own = run is None
        self._run, self._prefix = wandb.init(**init) if run is None else run, prefix
        self._run.define_metric(f"{prefix}step", hidden=True)
        self._run.define_metric(f"{prefix}*", step_metric=f"{prefix}step")

    def log(self, step: int, scores: Mapping[str, float]) -> None:
        """Keep these numbers."""
        self._run.log({f"{self._prefix}step": step, **prefixed(scores, self._prefix)})

    def close(self) -> None:
        """Finish the run, if it was made here."""
        if self._own:
            self._run.finish()
