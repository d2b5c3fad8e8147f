"""Scores as metrics of an MLflow run."""

from __future__ import annotations

from collections.abc import Mapping

from metriscope.integrations._extras import extra
from metriscope.integrations._names import PREFIX, prefixed
from metriscope.types import InputError

with extra("mlflow"):
    import mlflow


class MlflowWriter:
    """Logs to a run that exists; never starts one, so never makes a store where none was chosen.

    Args:
        run_id: of the run; by default the one that is active now.
        prefix: before every name. ``@``, which MLflow refuses, is written ``_at_``.

    Raises:
        InputError: no run is active and none is given.
    """

    def __init__(self, run_id: str | None = None, *, prefix: str = PREFIX) -> None:
        if run_id is None:
            active = mlflow.active_run()
            if active is None:
                raise InputError(
                    "no MLflow run is active in this thread: make the writer inside "
                    "`with mlflow.start_run():`, or give run_id=."
                )
            run_id = active.info.run_id
        self._run, self._prefix = run_id, prefix

    def log(self, step: int, scores: Mapping[str, float]) -> None:
        """Keep these numbers."""
        mlflow.log_metrics(
            prefixed(scores, self._prefix), step=step, run_id=self._run, synchronous=True
        )

    def close(self) -> None:
        """Nothing is held back; the run stays open for whoever started it."""
