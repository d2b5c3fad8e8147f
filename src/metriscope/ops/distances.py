"""All pairs of a space, in pieces."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor


def upper_pairs(matrix: Float[Tensor, "c c"]) -> Float[Tensor, " pairs"]:
    """The entries above the diagonal: each unordered pair once."""
    rows, columns = torch.triu_indices(len(matrix), len(matrix), offset=1, device=matrix.device)
    return matrix[rows, columns]


def squared_pair_blocks(
    z: Float[Tensor, "n d"], *, block_bytes: int = 1 << 25
) -> Iterator[Float[Tensor, " pairs"]]:
    """Squared distances of all n(n − 1)/2 unordered pairs, in pieces of about ``block_bytes``.

    From a product of vectors centred on their mean: the error is about 1e-16 of the largest
    squared distance, so a space collapsed to a cone is measured as finely as any other.
    """
    z = z.double()
    z = z - z.mean(0)
    squares = z.square().sum(1)
    rows = max(1, block_bytes // (8 * max(len(z), 1)))
    for start in range(0, len(z), rows):
        stop = min(start + rows, len(z))
        d2 = torch.addmm(squares[start:], z[start:stop], z[start:].T, alpha=-2)
        d2 = d2.add_(squares[start:stop, None]).clamp_min_(0)
        yield upper_pairs(d2[:, : stop - start])
        yield d2[:, stop - start :].flatten()
