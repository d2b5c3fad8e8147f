"""The pairs of a batch: distances, and who is whose positive."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

EPS = 1e-6  # norm below which a vector has no direction


def normalize(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """x / max(‖x‖, 1e-6), row by row. A zero row stays zero, with a finite gradient."""
    return torch.nn.functional.normalize(x, dim=1, eps=EPS)


def euclidean(z: Float[Tensor, "b d"]) -> Float[Tensor, "b b"]:
    """All distances ‖z_i − z_j‖, in float64: exactly 0 with gradient 0 for equal rows.

    From the Gram matrix, which float64 can afford: the error of d² is about 1e-16, and a product
    is several times faster than summing differences. d² below 1e-14 counts as 0.
    """
    distances: Tensor = _Euclidean.apply(z)  # type: ignore[no-untyped-call]
    return distances


class _Euclidean(torch.autograd.Function):
    """Keeps z and d for the backward pass, where autograd would keep six (b, b) matrices."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        x = z.double()
        norms = x.square().sum(1)
        squared = torch.addmm(norms, x, x.T, alpha=-2).add_(norms[:, None])
        d = squared.masked_fill_(squared <= 1e-14, 0).sqrt_()
        ctx.save_for_backward(z, d)
        return d

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        z, d = ctx.saved_tensors
        # ∂d_ij/∂z_i = (z_i − z_j) / d_ij, and every distance appears twice.
        w = grad / d.masked_fill(d == 0, torch.inf)
        w = w + w.T
        x = z.double()
        gradient: Tensor = w.sum(1, keepdim=True) * x - w @ x
        return gradient.to(z.dtype)


def same_class(labels: Int[Tensor, " b"]) -> Bool[Tensor, "b b"]:
    """True where two rows have one label, the diagonal included."""
    return labels[:, None] == labels[None, :]


def positives(labels: Int[Tensor, " b"]) -> Bool[Tensor, "b b"]:
    """True where j ≠ i has the label of i."""
    return same_class(labels).fill_diagonal_(False)


def masked_logsumexp(x: Float[Tensor, "b m"], mask: Bool[Tensor, "b m"]) -> Float[Tensor, " b"]:
    """log Σ exp over the masked-in entries of each row.

    A row without any gives a large negative finite number, not −inf, whose gradient would be NaN.
    """
    return x.masked_fill(~mask, torch.finfo(x.dtype).min / 2).logsumexp(1)
