"""Scores as TensorBoard event files."""

from __future__ import annotations

import os
from collections.abc import Mapping

from metriscope.integrations._extras import extra
from metriscope.integrations._names import PREFIX, prefixed

with extra("tensorboard"):
    from torch.utils.tensorboard import SummaryWriter


class TensorBoardWriter:
    """Writes every score as a scalar; values are float32 there.

    Args:
        folder: of event files; made, and added to, as ``tensorboard --logdir`` reads it.
        prefix: before every name; TensorBoard shows what comes before ``/`` as a section.
            ``@`` is written ``_at_``, the same in every tracker.
    """

    def __init__(self, folder: str | os.PathLike[str], *, prefix: str = PREFIX) -> None:
        self._events, self._prefix = SummaryWriter(os.fspath(folder)), prefix

    def log(self, step: int, scores: Mapping[str, float]) -> None:
        """Keep these numbers."""
        for name, value in prefixed(scores, self._prefix).items():
            self._events.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is held back."""
        self._events.close()
