"""The geometry of one batch."""

from __future__ import annotations

import torch
from torch import Tensor

from metriscope import ops
from metriscope.diagnostics.base import Space, measure, reading
from metriscope.types import Scores

WITHOUT_LABELS = ("centre.norm_sq", "spread.total", "rank.", "spectral_decay")  # how names start


class Batch(Space):
    """A batch's embeddings as a space: what it says of moments, from its rows."""

    def __init__(self, z: Tensor, y: Tensor) -> None:
        self._z, self._y, self.device = z, y, str(z.device)

    @property
    def z(self) -> Tensor:
        """Unit vectors."""
        return self._z

    @property
    def y(self) -> Tensor:
        """Class codes."""
        return self._y


def batch_scores(embeddings: Tensor, labels: Tensor | None) -> Scores:
    """Every score of the diagnostics that read moments; without labels those of the whole alone.

    Of embeddings (b, d) that are not all finite none is defined. This waits for the device.
    """
    found = reading("moments")
    z = embeddings.detach().to(torch.float64, copy=True)
    if not bool(z.isfinite().all()):
        return {score.name: None for diagnostic in found for score in diagnostic.scores}
    one = torch.zeros(len(z), dtype=torch.int64, device=z.device)
    unit, _ = ops.unit_rows(z)
    batch = Batch(unit, one if labels is None else labels.to(z.device))
    scores = measure(batch, only=[diagnostic.name for diagnostic in found])
    kept = WITHOUT_LABELS if labels is None else ("",)
    return {name: value if name.startswith(kept) else None for name, value in scores.items()}
