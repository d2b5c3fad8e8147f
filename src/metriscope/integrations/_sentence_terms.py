"""Which terms of a sentence-transformers loss are active, from the embeddings it was given.

Anchors are rows of the first column; rows of the other columns anchor nothing, so are excluded.
Active: a term above 0, or, where terms never are 0, a violated constraint:

* ``BatchAllTripletLoss``: triplets with d_ap − d_an + m > 0. ``BatchHardTripletLoss``: anchors, by
  their hardest. ``BatchSemiHardTripletLoss``: pairs (a, p), by the nearest n beyond p, or else the
  farthest n. ``BatchHardSoftMarginTripletLoss``: anchors with d_ap > d_an, by their hardest.
* ``TripletLoss``: rows. ``ContrastiveLoss``: pairs; all similar ones, others with d < m.
* ``MultipleNegativesRankingLoss`` and its cached twin, of queries against documents: queries with
  max_n s_qn ≥ s_qp, to within 1e-6.

Others are undefined, and so are subclasses of these: they may count otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from metriscope.losses.base import TIE
from metriscope.types import LossOutput

Columns = Sequence[Tensor]  # (b, d) each
Terms = tuple[Tensor, Tensor]  # of each anchor (b,): how many are active, how many there are


def count_terms(
    loss: nn.Module, value: Tensor, columns: Columns, labels: Tensor | None
) -> LossOutput | None:
    """The counts of a batch; None of a loss whose terms are not known.

    Args:
        loss: that was called. value: () what it returned. columns: (b, d) each, detached.
        labels: (b,) as the loss got them.
    """
    rule = _RULES.get(type(loss).__name__)
    found = None if rule is None else rule(loss, columns, labels)
    if found is None:
        return None
    active, total = found
    rows = sum(map(len, columns))
    samples = nn.functional.pad(active > 0, (0, rows - len(active)))
    return LossOutput(value.detach(), active.sum(), total.sum(), samples, rows - (total > 0).sum())


def _masks(labels: Tensor) -> tuple[Tensor, Tensor]:
    """(b, b) positives of each anchor, and negatives."""
    same = labels[:, None] == labels
    return same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device), ~same


def _batch_all(loss: Any, columns: Columns, labels: Tensor | None) -> Terms | None:
    if labels is None:
        return None
    d, (positive, negative) = loss.distance_metric(columns[0]), _masks(labels.view(-1))
    rising = d.where(negative, torch.inf).sort(1).values
    nearer = torch.searchsorted(rising, d + loss.triplet_margin)  # (a, p): n with d_an < d_ap + m
    return (nearer * positive).sum(1), positive.sum(1) * negative.sum(1)


def _hardest(loss: Any, columns: Columns, labels: Tensor) -> tuple[Tensor, Tensor]:
    """(b,) d_ap − d_an of each anchor's hardest; which anchors have both."""
    d, (positive, negative) = loss.distance_metric(columns[0]), _masks(labels.view(-1))
    gaps = d.where(positive, -torch.inf).amax(1) - d.where(negative, torch.inf).amin(1)
    return gaps, positive.any(1) & negative.any(1)


def _batch_hard(loss: Any, columns: Columns, labels: Tensor | None) -> Terms | None:
    if labels is None:
        return None
    gaps, valid = _hardest(loss, columns, labels)
    return ((gaps + loss.triplet_margin > 0) & valid).long(), valid.long()


def _batch_hard_soft(loss: Any, columns: Columns, labels: Tensor | None) -> Terms | None:
    if labels is None:
        return None
    gaps, valid = _hardest(loss, columns, labels)
    return ((gaps > 0) & valid).long(), valid.long()


def _batch_semi_hard(loss: Any, columns: Columns, labels: Tensor | None) -> Terms | None:
    if labels is None:
        return None
    d, (positive, negative) = loss.distance_metric(columns[0]), _masks(labels.view(-1))
    rising = d.where(negative, torch.inf).sort(1).values
    beyond = torch.searchsorted(rising, d, right=True).clamp_max(len(d) - 1)
    beyond = rising.gather(1, beyond)
    farthest = d.where(negative, -torch.inf).amax(1, keepdim=True)
    chosen = beyond.where(beyond.isfinite(), farthest)
    terms = positive & negative.any(1, keepdim=True)
    return ((d - chosen + loss.margin > 0) & terms).sum(1), terms.sum(1)


def _triplet(loss: Any, columns: Columns, labels: Tensor | None) -> Terms | None:
    if len(columns) != 3:
        return None
    anchor, positive, negative = columns
    gaps = loss.distance_metric(anchor, positive) - loss.distance_metric(anchor, negative)
    return (gaps + loss.triplet_margin > 0).long(), torch.ones_like(gaps, dtype=torch.int64)


def _contrastive(loss: Any, columns: Columns, labels: Tensor | None) -> Terms | None:
    if labels is None or len(columns) != 2:
        return None
    d = loss.distance_metric(*columns)
    active = torch.where(labels.view(-1) > 0, d > 0, d < loss.margin)
    return active.long(), torch.ones_like(active, dtype=torch.int64)


def _ranking(loss: Any, columns: Columns, labels: Tensor | None) -> Terms | None:
    if len(columns) < 2 or loss.gather_across_devices or tuple(loss.directions) != _ONE_WAY:
        return None
    s = loss.similarity_fct(columns[0], torch.cat(list(columns[1:])))  # (b, b·k), own p on diagonal
    own = s.diagonal()
    others = s.masked_fill(torch.eye(*s.shape, dtype=torch.bool, device=s.device), -torch.inf)
    valid = torch.full_like(own, s.shape[1] > 1, dtype=torch.bool)
    return ((others.amax(1) >= own - TIE) & valid).long(), valid.long()


_ONE_WAY = ("query_to_doc",)
_RULES: dict[str, Callable[[Any, Columns, Tensor | None], Terms | None]] = {
    "BatchAllTripletLoss": _batch_all,
    "BatchHardTripletLoss": _batch_hard,
    "BatchHardSoftMarginTripletLoss": _batch_hard_soft,
    "BatchSemiHardTripletLoss": _batch_semi_hard,
    "TripletLoss": _triplet,
    "ContrastiveLoss": _contrastive,
    "MultipleNegativesRankingLoss": _ranking,
    "CachedMultipleNegativesRankingLoss": _ranking,
}
