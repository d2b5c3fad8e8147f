"""The nearest of each row of scores, with ties that go to the lower index.

A score is (d² − ‖q‖²)/2 = ‖g‖²/2 − ⟨q, g⟩: it orders as the distance d does, and is one product.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

CHUNK = 64  # columns: the smallest of so many at once costs next to nothing


def smallest(
    scores: Float[Tensor, "rows n"], m: int, widths: tuple[int, ...] = (CHUNK, 8)
) -> tuple[Float[Tensor, "rows m"], Int[Tensor, "rows m"]]:
    """The m smallest of each row and their columns, in no order.

    They lie in the m chunks with the smallest minima: one cheap pass leaves m chunks to search,
    by smaller chunks.
    """
    rows, n = scores.shape
    chunks, rest = divmod(n, widths[0]) if widths else (0, 0)
    if rest or chunks < 2 * m or scores.device.type != "cpu":
        found = scores.topk(m, dim=1, largest=False, sorted=False)
        return found.values, found.indices
    minima = scores.view(rows, chunks, widths[0]).amin(2)
    best, width = smallest(minima, m, ())[1], widths[0]
    flat = (best + torch.arange(0, rows * chunks, chunks)[:, None]).flatten()
    kept = scores.view(-1, width).index_select(0, flat).view(rows, m * width)
    values, inner = smallest(kept, m, widths[1:])
    return values, best.gather(1, inner // width) * width + inner % width


def resolution(
    squares: Float[Tensor, "rows 1"], squared: Float[Tensor, "rows m"]
) -> Float[Tensor, "rows m"]:
    """2⁻⁴³ (‖q‖ + d)²: squared distances d² that differ by no more are equal."""
    reach = squares.sqrt() + squared.sqrt()
    return reach.square().mul(2.0**-43).clamp_min(1e-300)


def nearest_first(
    squared: Float[Tensor, "rows m"],
    index: Int[Tensor, "rows m"],
    squares: Float[Tensor, "rows 1"],
) -> tuple[Float[Tensor, "rows m"], Int[Tensor, "rows m"], Bool[Tensor, "rows m-1"]]:
    """Both in rising order of distance, tied ones by index, and which tie with the next.

    A chain of ties is one tie.
    """
    squared, order = squared.sort(dim=1)
    index = index.gather(1, order)
    # Strictly below: an infinite distance ties with nothing.
    tie = squared.diff(dim=1) < resolution(squares, squared[:, 1:])
    tied = tie.any(1)
    if bool(tied.any()):
        group = torch.nn.functional.pad((~tie[tied]).cumsum(1), (1, 0))
        width = index.max() + 1
        index[tied] = (group * width + index[tied]).sort(dim=1).values % width
    return squared, index, tie


def settled(
    squared: Float[Tensor, "rows m"],
    tie: Bool[Tensor, "rows m-1"],
    k: int,
    beyond: Float[Tensor, "rows 1"],
    squares: Float[Tensor, "rows 1"],
) -> Bool[Tensor, " rows"]:
    """Whether the first k are final, when all not listed are at squared distances ≥ ``beyond``.

    They are if nothing beyond can tie with the last that ties with the k-th.
    """
    last = k - 1 + tie[:, k - 1 :].int().cumprod(1).sum(1, keepdim=True)
    border = squared.gather(1, last)
    # Farther ones tie over wider gaps: (r + √(d² + gap))² ≤ 2 (r + d)² + 2 gap.
    return (beyond - border > 4 * resolution(squares, border))[:, 0]


def nearest_of_rows(
    scores: Float[Tensor, "rows n"], k: int, squares: Float[Tensor, "rows 1"]
) -> tuple[Int[Tensor, "rows k"], Float[Tensor, "rows k"]]:
    """Columns and squared distances of the k nearest, from every score, in float64."""
    m = k + k // 4 + 4  # room for ties at the border
    if m > scores.shape[1] // 4:
        return _sorted_rows(scores, k, squares)
    top, index = smallest(scores, m)
    near, index, tie = nearest_first(_squared(top, squares), index, squares)
    done = settled(near, tie, k, near[:, -1:], squares)
    near, index = near[:, :k], index[:, :k]
    if not bool(done.all()):
        again = ~done
        index[again], near[again] = _sorted_rows(scores[again], k, squares[again])
    return index, near


def _sorted_rows(
    scores: Float[Tensor, "rows n"], k: int, squares: Float[Tensor, "rows 1"]
) -> tuple[Int[Tensor, "rows k"], Float[Tensor, "rows k"]]:
    columns = torch.arange(scores.shape[1], device=scores.device).expand(scores.shape)
    near, index, _ = nearest_first(_squared(scores, squares), columns, squares)
    return index[:, :k], near[:, :k]


def _squared(
    scores: Float[Tensor, "rows m"], squares: Float[Tensor, "rows 1"]
) -> Float[Tensor, "rows m"]:
    return (squares + 2 * scores).clamp_min_(0)
