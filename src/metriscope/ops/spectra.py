"""Singular values of tall matrices."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from metriscope.ops.moments import gram

_WIDE = 512  # columns above which two factorisations cost more than a product
_TRUSTED = 1e-8  # share of the largest eigenvalue: above, the root of one has ten digits


def triangle(x: Float[Tensor, "n d"]) -> Float[Tensor, "r d"]:
    """R with RᵀR = xᵀx and no more rows than columns, of x = QR."""
    if len(x) <= x.shape[1]:
        return x
    r: Tensor = torch.linalg.qr(x, mode="r").R
    return r


def singular_values(x: Float[Tensor, "n d"]) -> Float[Tensor, " r"]:
    """min(n, d) of them, falling, to about 1e-16 of the largest; of more than 512 columns to 1e-10.

    Those of R in x = QR, or, of many columns, roots of the eigenvalues of xᵀx, which is four times
    faster. What xᵀx cannot hold, values below 1e-4 of the largest, is then found on the space that
    they span, by itself; without a clear gap before it all are taken from R.
    """
    if len(x) < x.shape[1]:
        x = x.T
    if x.shape[1] <= _WIDE:
        return _svdvals(triangle(x))
    square = gram(x)
    values: Tensor = torch.linalg.eigvalsh(square).flip(0)
    large = int((values > _TRUSTED * values[0]).sum())
    roots = values[:large].sqrt()
    small = len(values) - large
    if not small:
        return roots
    if not large or small > len(values) // 4 or values[large] > 1e-3 * values[large - 1]:
        return _svdvals(triangle(x))
    return torch.cat([roots, _svdvals(triangle(x @ _lowest(square, small)))])


def _lowest(square: Float[Tensor, "d d"], k: int) -> Float[Tensor, "d k"]:
    """The space of the k smallest eigenvalues, orthonormal, by inverse iteration."""
    d = len(square)
    shift = 4 * d * torch.finfo(square.dtype).eps * torch.linalg.matrix_norm(square, ord=1)
    factor = torch.linalg.cholesky(
        square + shift * torch.eye(d, dtype=square.dtype, device=square.device)
    )
    start = torch.randn(d, k, dtype=square.dtype, generator=torch.Generator().manual_seed(0))
    v: Tensor = start.to(square.device)
    for _ in range(5):  # each divides what is not of the space by 1e3 and more
        v, _ = torch.linalg.qr(torch.cholesky_solve(v, factor))
    return v


def _svdvals(x: Float[Tensor, "m d"]) -> Float[Tensor, " r"]:
    values: Tensor = torch.linalg.svdvals(x)
    return values
