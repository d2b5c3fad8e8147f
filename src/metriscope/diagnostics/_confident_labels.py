"""Whether labels contradict a classifier where it is surest."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

_FOLDS = 5
_FAR = 1e6
_SUREST = 0.1  # of the rows that are given to a class
_MARGIN = 2.0  # of log densities; classes in one place have less
_SHRINKAGE = 0.1  # of the covariance to a multiple of the identity
_NUMBERS = 1 << 21  # rows × classes that are held at once
_Z = 1.96


class Contradicted(NamedTuple):
    """Shares of labels that are not the class a row is given.

    ``surest``: of the surest rows; ``low``: its 95 % lower bound. ``all``: of all rows.
    """

    surest: float
    low: float
    all: float


def contradicted(
    x: Float[Tensor, "n r"],
    label: Int[Tensor, " n"],
    voters: Int[Tensor, "n k"],
    classes: int,
) -> Contradicted | None:
    """How often labels contradict a classifier, where it is surest and everywhere.

    Overlap of classes contradicts the surest rows least; wrong labels all rows alike, whatever
    class they are of. Rows are given to the class of the nearest mean, by the Mahalanobis distance
    within classes; means and covariance are of the other four fifths. The surest are the tenth
    with the largest margin to the second class, of the rows given to each class, if it is 2 or
    more. Their labels count as contradicted if more of the nearest neighbours are of the class
    given, too. The bound is Wilson's, of 95 %. None where under half of the tenth has it.

    Args:
        x: rows. label: codes 0 … ``classes`` − 1.
        voters: codes of the nearest of each row, −1 for none.
    """
    fold = x.square().sum(1).argsort(stable=True).argsort() % _FOLDS  # whatever the order of rows
    given, margin = torch.empty_like(label), x.new_empty(len(x))
    for k in range(_FOLDS):
        kept, rows = fold != k, (fold == k).nonzero()[:, 0]
        means, whiten = _fitted(x[kept], label[kept], classes)
        for block in rows.split(max(_NUMBERS // classes, 1)):
            s = x[block] @ whiten @ means.T - means.square().sum(1) / 2
            largest, order = s.topk(2)
            given[block], margin[block] = order[:, 0], largest[:, 0] - largest[:, 1]
    surest = _surest(given, margin, classes)
    if len(surest) < _SUREST * len(x) / 2:
        return None
    ours, theirs = ((voters == c[:, None]).sum(1)[surest] for c in (label, given))
    wrong = (given[surest] != label[surest]) & (theirs > ours)
    share, everywhere = (float(part.double().mean()) for part in (wrong, given != label))
    return Contradicted(share, _lower(share, len(surest)), everywhere)


def _fitted(
    x: Float[Tensor, "n r"], label: Int[Tensor, " n"], classes: int
) -> tuple[Float[Tensor, "c r"], Float[Tensor, "r r"]]:
    """Whitened means of the classes, far away where one has no rows, and what whitens."""
    counts = torch.bincount(label, minlength=classes)
    means = x.new_zeros(classes, x.shape[1]).index_add_(0, label, x)
    means /= counts.clamp_min(1)[:, None]
    whiten = whitening(x - means[label])
    return (means @ whiten).masked_fill(counts[:, None] == 0, _FAR), whiten


def _surest(
    given: Int[Tensor, " n"], margin: Float[Tensor, " n"], classes: int
) -> Int[Tensor, " m"]:
    """Rows of the largest margins among those given to the same class."""
    order = margin.argsort(descending=True, stable=True)
    order = order[given[order].argsort(stable=True)]
    counts = torch.bincount(given, minlength=classes)
    rank = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[given[order]]
    rows: Tensor = order[(rank < _SUREST * counts[given[order]]) & (margin[order] >= _MARGIN)]
    return rows


def whitening(residuals: Float[Tensor, "n r"]) -> Float[Tensor, "r r"]:
    """What makes the covariance of rows, somewhat shrunk, the identity."""
    covariance = residuals.T @ residuals / len(residuals)
    mean = covariance.diagonal().mean()
    if not bool(mean > 0):  # each class is one point
        mean = torch.ones_like(mean)
    values, vectors = torch.linalg.eigh(covariance / mean)
    shrunk = (1 - _SHRINKAGE) * values.clamp_min(0) + _SHRINKAGE
    whitening: Tensor = vectors / (mean * shrunk).sqrt()
    return whitening


def _lower(share: float, n: int) -> float:
    weight = _Z * _Z / n
    half = _Z * math.sqrt((share * (1 - share) + weight / 4) / n)
    return max((share + weight / 2 - half) / (1 + weight), 0.0)
