"""Retrieval and geometry as ``torchmetrics.Metric`` classes.

``torchmetrics.retrieval.RetrievalRecall`` is another quantity: the share of all relevant items that
are found, not whether one is, and it leaves out what scores 0 or less, so pairs at right angles.

Labels are integers (b,), embeddings (b, d) of any float type, normalised here. NaN in gives NaN
out; a zero vector has no direction and is at cosine distance 1/2 from every other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from metriscope import ops
from metriscope.diagnostics.base import Moments, Space, Values, measure, reading
from metriscope.diagnostics.retrieval import retrieval
from metriscope.integrations._extras import extra
from metriscope.types import Embeddings, InputError, Scores

with extra("torchmetrics"):
    from torchmetrics import Metric
    from torchmetrics.utilities import dim_zero_cat
    from torchmetrics.utilities.distributed import gather_all_tensors

__all__ = ["Geometry", "MAPAtR", "RPrecision", "RecallAtK", "Retrieval"]

_NAN = float("nan")


class _Labelled(Metric):
    """A metric of embeddings and labels.

    Args:
        kwargs: as ``torchmetrics.Metric`` takes them.
    """

    is_differentiable = False
    higher_is_better: bool | None = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"dist_sync_fn": _gather, **kwargs})

    def _checked(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        if embeddings.ndim != 2 or not embeddings.is_floating_point():
            raise InputError(
                f"{type(self).__name__} takes embeddings (batch, dimensions) of floating point, "
                f"not {embeddings.dtype} of shape {tuple(embeddings.shape)}."
            )
        if labels.shape != embeddings.shape[:1] or labels.is_floating_point():
            raise InputError(
                f"{type(self).__name__} takes {len(embeddings)} integer labels, one a row, not "
                f"{labels.dtype} of shape {tuple(labels.shape)}."
            )
        return embeddings.detach(), labels.detach().long()

    def _nothing(self) -> InputError:
        return InputError(
            f"{type(self).__name__} has seen no embeddings: call update(embeddings, labels) "
            "before compute()."
        )


class _Retrieval(_Labelled):
    """All rows are kept, 4 d bytes each in float32, and searched once, exactly, at the end."""

    full_state_update = False
    embeddings: list[Tensor]  # one tensor, once processes are joined
    labels: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("embeddings", [], dist_reduce_fx="cat")
        self.add_state("labels", [], dist_reduce_fx="cat")

    def update(self, embeddings: Tensor, labels: Tensor) -> None:
        """Keep a batch."""
        embeddings, labels = self._checked(embeddings, labels)
        if len(labels):
            self.embeddings.append(embeddings)
            self.labels.append(labels)

    def _space(self) -> Space | None:
        """All rows; None where one is not finite."""
        if not len(self.labels):
            raise self._nothing()
        x, y = dim_zero_cat(self.embeddings), dim_zero_cat(self.labels)
        if not bool(x.isfinite().all()):
            return None
        names, codes = torch.unique(y, return_inverse=True)
        rows = Embeddings(
            x.double().cpu().numpy(),
            codes.cpu().numpy(),
            tuple(map(str, names.tolist())),
            origin="torchmetrics",
        )
        return Space(rows, device=str(x.device))

    def _scores(self) -> Values:
        """What a comparison and a diagnosis say of the same rows."""
        space = self._space()
        if space is None:
            return {score.name: None for score in retrieval.scores}
        scores: Values = retrieval(space)
        return scores


class Retrieval(_Retrieval):
    """``recall@1``, ``@5``, ``@10``, ``r_precision``, ``map@r``, ``queries.excluded``, as a dict.

    One search for all of them. See :mod:`metriscope.diagnostics.retrieval` for the formulas; a
    score that is undefined is NaN.
    """

    def compute(self) -> dict[str, Tensor]:
        """Score names to () tensors."""
        return {name: _tensor(value, self.device) for name, value in self._scores().items()}


class RPrecision(_Retrieval):
    """R-precision, as in :mod:`metriscope.diagnostics.retrieval`, in [0, 1]."""

    def compute(self) -> Tensor:
        """A () tensor; NaN where undefined."""
        return _tensor(self._scores()["r_precision"], self.device)


class MAPAtR(_Retrieval):
    """MAP@R, as in :mod:`metriscope.diagnostics.retrieval`, in [0, 1]."""

    def compute(self) -> Tensor:
        """A () tensor; NaN where undefined."""
        return _tensor(self._scores()["map@r"], self.device)


class RecallAtK(_Retrieval):
    """Recall@k: the share of rows with one of their class among their k nearest others, in [0, 1].

    Rows that are alone in their class are left out. Undefined as in
    :mod:`metriscope.diagnostics.retrieval`.

    Args:
        k: neighbours, from 1; all others where those are fewer.
        kwargs: as ``torchmetrics.Metric`` takes them.
    """

    def __init__(self, k: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(k, int) or k < 1:
            raise InputError(f"k is {k!r}; it must be a whole number, 1 or more.")
        self.k = k

    def compute(self) -> Tensor:
        """A () tensor; NaN where undefined."""
        space = self._space()
        if space is None or space.collapsed:
            return _tensor(None, self.device)
        return ops.recall(space.z, space.y, [self.k])[0]


class Geometry(_Labelled):
    """Every score that class moments decide, as :func:`metriscope.geometry` gives them, as a dict.

    No row is kept: O(C d + d²) float64 for C classes, whatever the number of rows. Counts, means
    and squared residuals about those means are joined as Chan, Golub and LeVeque (1979) do, across
    batches as across processes, so that a space collapsed to a cone keeps its digits.

    Args:
        only: names of diagnostics, as ``metriscope list diagnostics`` has them; default all.
        kwargs: as ``torchmetrics.Metric`` takes them.
    """

    full_state_update = False
    higher_is_better = None
    codes: list[Tensor]
    counts: list[Tensor]
    means: list[Tensor]
    squares: list[Tensor]
    scatter: list[Tensor]

    def __init__(self, only: Sequence[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        known = {found.name: found for found in reading("moments")}
        for name in () if only is None else only:
            if name not in known:
                raise InputError(
                    f"only names {name!r}, which is no diagnostic of class moments; "
                    f"those are {', '.join(known)}."
                )
        self.only = tuple(known if only is None else only)
        self._names = [score.name for name in self.only for score in known[name].scores]
        for name in ("codes", "counts", "means", "squares", "scatter"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, embeddings: Tensor, labels: Tensor) -> None:
        """Add a batch to the moments."""
        embeddings, labels = self._checked(embeddings, labels)
        if not len(labels):
            return
        z, _ = ops.unit_rows(embeddings.double().clone())
        new = ops.class_moments(z, labels)
        residuals = z - new.means[torch.searchsorted(new.codes, labels)]
        for state, value in (
            (self.codes, new.codes),
            (self.counts, new.counts),
            (self.means, new.means),
            (self.squares, new.squares),
            (self.scatter, residuals.T @ residuals),
        ):
            state.append(value.to(state[0].device) if state else value)  # see compute_on_cpu
        self._join()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch, and say what it alone gives."""
        found = super().forward(*args, **kwargs)
        self._join()
        return found

    def compute(self) -> dict[str, Tensor]:
        """Score names to () tensors; NaN where undefined."""
        if not len(self.codes):
            raise self._nothing()
        moments, scatter = self._joined()
        scores: Scores = dict.fromkeys(self._names)
        if bool(scatter.isfinite().all()):
            scores = measure(Moments(moments, scatter), only=self.only)
        return {name: _tensor(value, self.device) for name, value in scores.items()}

    def _join(self) -> None:
        """One part of several."""
        if len(self.codes) > 1:
            found, scatter = self._joined()
            self.codes, self.counts = [found.codes], [found.counts]
            self.means, self.squares, self.scatter = [found.means], [found.squares], [scatter]

    def _joined(self) -> tuple[ops.ClassMoments, Tensor]:
        """Moments of all parts, of batches or processes, and the scatter within classes."""
        counts, means = dim_zero_cat(self.counts), dim_zero_cat(self.means)  # (p,), (p, d)
        codes, own = torch.unique(dim_zero_cat(self.codes), return_inverse=True)

        def total(parts: Tensor) -> Tensor:
            return parts.new_zeros(len(codes), *parts.shape[1:]).index_add_(0, own, parts)

        n = total(counts)
        centres = total(means * (counts / n[own])[:, None])
        steps = (means - centres[own]) * counts.sqrt()[:, None]
        squares = total(dim_zero_cat(self.squares) + steps.square().sum(1))
        within = dim_zero_cat(self.scatter).unflatten(0, (-1, means.shape[1])).sum(0)
        return ops.ClassMoments(codes, n, centres, squares), within + steps.T @ steps


def _tensor(value: float | Tensor | None, device: torch.device) -> Tensor:
    return torch.as_tensor(_NAN if value is None else value, dtype=torch.float64, device=device)


def _gather(state: Tensor, group: Any = None) -> list[Tensor]:
    """Every process's part of a state; of one that saw no rows none, where torchmetrics fails."""
    shapes: list[tuple[torch.Size, torch.dtype]] = [(state.shape, state.dtype)]
    shapes *= torch.distributed.get_world_size(group)
    torch.distributed.all_gather_object(shapes, (state.shape, state.dtype), group)
    shape, dtype = max(shapes, key=lambda each: each[0].numel())
    if not state.numel():
        state = state.new_empty((0, *shape[1:]), dtype=dtype)
    found: list[Tensor] = gather_all_tensors(state, group)
    return found
