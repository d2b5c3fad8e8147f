"""Which classes are several clumps: 2-means in each, and how far apart its halves are."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

LEAST_ROWS = 10
_PART = 0.1  # of its class
_VARIANCE = 1 / 9
_FAR = 0.5  # of the distance between classes
_ROUNDS = 20
_TINY = 1e-300


def clumped_classes(
    residuals: Float[Tensor, "n d"],
    index: Int[Tensor, " n"],
    means: Float[Tensor, "c d"],
    own: Bool[Tensor, " n"],
) -> Bool[Tensor, " c"]:
    """Which classes are; see the diagnostic ``class_clumps``.

    Args:
        residuals: rows minus the mean of their class. index: their class, a row of means.
        means: of the classes.
        own: rows whose nearest other row is of their class.
    """
    classes = len(means)
    group = 2 * index + _halves(residuals, index, classes)  # A and B of each class, in turn
    centres, sizes = _centres(residuals, group, 2 * classes)
    first, second = sizes[::2], sizes[1::2]
    enough = torch.minimum(first, second) >= (_PART * (first + second)).clamp_min(LEAST_ROWS / 2)
    apart = (centres[::2] - centres[1::2]).square().sum(1)
    typical = 2 * (means - means.mean(0)).square().sum() / max(classes - 1, 1)
    right = torch.bincount(group[own], minlength=2 * classes) > sizes / 2
    found: Tensor = _variance_left(residuals, group, centres, sizes) < _VARIANCE
    return found & enough & (apart > _FAR**2 * typical) & right[::2] & right[1::2]


def _halves(r: Float[Tensor, "n d"], index: Int[Tensor, " n"], classes: int) -> Int[Tensor, " n"]:
    """0 or 1 by row: 2-means in each class, from its first principal direction."""
    length = r.square().sum(1)
    farthest = length.new_zeros(classes).scatter_reduce_(0, index, length, "amax")
    start = (length == farthest[index]).nonzero()[:, 0]
    v = r.new_zeros(classes, r.shape[1])
    v[index[start]] = r[start]
    for _ in range(_ROUNDS):
        v /= v.norm(dim=1, keepdim=True).clamp_min(_TINY)
        v = torch.zeros_like(v).index_add_(0, index, r * (r * v[index]).sum(1, keepdim=True))
    half = ((r * v[index]).sum(1) > 0).long()
    for _ in range(_ROUNDS):
        centres, _ = _centres(r, 2 * index + half, 2 * classes)
        a, b = centres[::2], centres[1::2]
        middle = (a.square().sum(1) - b.square().sum(1)) / 2
        now = ((r * (a - b)[index]).sum(1) < middle[index]).long()
        if bool((now == half).all()):
            break
        half = now
    return half


def _centres(
    r: Float[Tensor, "n d"], group: Int[Tensor, " n"], groups: int
) -> tuple[Float[Tensor, "g d"], Float[Tensor, " g"]]:
    sizes = torch.bincount(group, minlength=groups).double()
    sums = r.new_zeros(groups, r.shape[1]).index_add_(0, group, r)
    return sums / sizes.clamp_min(1)[:, None], sizes


def _variance_left(
    r: Float[Tensor, "n d"],
    group: Int[Tensor, " n"],
    centres: Float[Tensor, "g d"],
    sizes: Float[Tensor, " g"],
) -> Float[Tensor, " c"]:
    """Share of the variance of t within the halves of each class; 1 if they are in wrong order."""
    other = centres[group ^ 1]
    own = centres[group]
    own = own + (own - r) / (sizes[group] - 1).clamp_min(1)[:, None]  # without the row itself
    apart = (own - other).norm(dim=1).clamp_min(_TINY)
    t = ((r - other).square().sum(1) - (r - own).square().sum(1)) / (2 * apart)
    t = torch.where(group % 2 == 0, t, -t)
    sums = torch.zeros_like(sizes).index_add_(0, group, t)
    mean = sums / sizes.clamp_min(1)
    within = torch.zeros_like(sizes).index_add_(0, group, (t - mean[group]).square())
    within = within[::2] + within[1::2]
    gap, (a, b) = mean[::2] - mean[1::2], (sizes[::2], sizes[1::2])
    between = gap.square() * a * b / (a + b)
    return torch.where(gap > 0, within / (within + between).clamp_min(_TINY), 1)
