"""Which of the nearest few hundred or thousand are of a query's class."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metriscope.ops.ranking import CHUNK, nearest_of_rows, resolution

_EMPTY = 2.0**1000  # its last bit is 0
_SAMPLE = 512  # columns; numpy sorts as many float32 at the speed of memory


def same_in_order(
    scores: Float[Tensor, "rows padded"],
    squares: Float[Tensor, "rows 1"],
    y: Int[Tensor, " n"],
    mine: Int[Tensor, " rows"],
    k: int,
) -> Bool[Tensor, "rows k"]:
    """Whether the i-th nearest is of the query's class, i ≤ k, ties by index.

    On the CPU the scores below a threshold, with the answer in their last bit, are sorted without
    their columns. Where a tie might matter, and on other devices, by ``nearest_of_rows``.
    """
    rows = len(scores)
    unsure = torch.ones(rows, dtype=torch.bool, device=scores.device)
    same = torch.zeros(rows, k, dtype=torch.bool, device=scores.device)
    if scores.device.type == "cpu" and 4 * k <= 3 * len(y) and len(y) >= 4 * _SAMPLE:
        same, unsure = _by_values(scores, squares, y, mine, k)
    left = unsure.nonzero()[:, 0]
    if len(left):
        index, _ = nearest_of_rows(scores[left], k, squares[left])
        same[left] = y[index] == mine[left, None]
    return same


def _by_values(
    scores: Float[Tensor, "rows padded"],
    squares: Float[Tensor, "rows 1"],
    y: Int[Tensor, " n"],
    mine: Int[Tensor, " rows"],
    k: int,
) -> tuple[Bool[Tensor, "rows k"], Bool[Tensor, " rows"]]:
    """Also, where ties might change the answer."""
    values, (rows, padded) = scores.numpy(), scores.shape
    # A threshold that a few more than k are below, from a sample: its quantile, and 3 SD.
    chunks = values.reshape(rows, -1, CHUNK)[:, :: padded // CHUNK // 64 or 1, :8]
    sample = np.sort(chunks.reshape(rows, -1).astype(np.float32), axis=1)
    share = k / len(y)
    place = share * sample.shape[1] + 3 * np.sqrt(share * (1 - share) * sample.shape[1])
    threshold = sample[:, min(int(place) + 1, sample.shape[1] - 1), None].astype(np.float64)
    threshold = np.minimum(threshold, np.finfo(np.float32).max)  # nor the padding

    flat = np.flatnonzero(values <= threshold)
    ends = np.searchsorted(flat, np.arange(1, rows + 1) * padded)
    counts = np.diff(ends, prepend=0)
    row = np.repeat(np.arange(rows), counts)
    bits = values.reshape(-1)[flat].view(np.int64)
    bits = bits & ~1 | (y.numpy()[flat - row * padded] == mine.numpy()[row])

    wide = max(int(counts.max()), k + 1)
    listed = np.full((rows, wide), _EMPTY)
    listed[row, np.arange(len(flat)) - (ends - counts)[row]] = bits.view(np.float64)
    listed.sort(axis=1)
    same = (listed.view(np.int64) & 1).astype(bool)

    # Ties as wide as those of the farthest in the list; of one class they change nothing, unless
    # they may go on beyond the list.
    farthest = (squares + 2 * torch.from_numpy(threshold)).clamp_min_(0)
    tie = 2 * (listed[:, 1:] - listed[:, :-1]) <= 2 * resolution(squares, farthest).numpy()
    unsure = (tie & (same[:, 1:] != same[:, :-1])).any(1)
    ended = ~tie[:, k - 1 :] & (listed[:, k:] < _EMPTY)
    unsure |= ~ended.any(1)
    return torch.from_numpy(same[:, :k].copy()), torch.from_numpy(unsure)
