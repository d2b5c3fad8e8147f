"""The triplets of a batch from one sort a row: who is nearer than whom, without a list of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metriscope.ops.pairs import equality

FARTHEST = 5.0  # beyond any distance of unit vectors, squared or not


class Ranking(NamedTuple):
    """Rows of samples in the order of their distance from an anchor. All (r, b).

    Attributes:
        columns: int64, which sample is at each place; the anchor itself comes last.
        negative: float64, 1 at the places of negatives, else 0.
        nearer: float64, how many negatives come up to this place, it included.
    """

    columns: Tensor
    negative: Tensor
    nearer: Tensor


def rank(
    d: Float[Tensor, "r b"],
    code: Int[Tensor, " b"],
    first: int,
    handicap: float,
    memory: Float[Tensor, "3 r b"],
) -> Ranking:
    """Sorts negatives by d and positives by d + handicap together.

    What an anchor's positive has before it are the negatives nearer than d + handicap, and what a
    negative has behind it are the positives that reach beyond it: every triplet is counted in
    O(b log b) a row. To within 2⁻⁴⁶ (b ≤ 8192).

    Args:
        d: float64 distances in [0, 4]; row i is of anchor first + i.
        code: integers, equal where labels are: ``ByClass.start``.
        memory: float64, which the ranking then lies in.
    """
    bits = (d.shape[1] - 1).bit_length()
    same = equality(code[first : first + len(d)], code, d.dtype, memory[0])
    keys = torch.add(d, same, alpha=handicap, out=memory[1]).clamp_max_(FARTHEST)
    keys.diagonal(first).fill_(FARTHEST)
    # A fixed-point number in the high bits, from the mantissa of a float64 whose exponent a large
    # addend fixes; then a bit for negatives, and the column. Sorting plain integers is several
    # times faster than an argsort.
    exponent = max(3, bits - 7)
    keys = keys.add_(2.0**exponent).view(torch.int64).sub_((1023 + exponent) << 52)
    column = torch.arange(d.shape[1], dtype=d.dtype, device=d.device)
    low = memory[2].view(torch.int64).copy_(same.mul_(-(1 << bits)).add_(column + (1 << bits)))
    keys = keys.bitwise_left_shift_(bits + 1).add_(low)
    if keys.device.type == "cpu":
        keys.numpy().sort(1)  # 4 times faster than torch's, which also finds the order
    else:
        keys = keys.sort(1).values
    negative = same.copy_(torch.bitwise_right_shift(keys, bits, out=low).bitwise_and_(1))
    nearer = torch.cumsum(negative, 1, out=low.view(d.dtype))
    return Ranking(keys.bitwise_and_((1 << bits) - 1), negative, nearer)
