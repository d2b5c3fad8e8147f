"""Logistic regression of many rows by Newton's method."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

_GAP = 1e-7  # nats a row that the loss may be above its minimum
_GOLDEN = 0.6180339887498949


def logistic_regression(
    x: Float[Tensor, "n d"], y: Int[Tensor, " n"], classes: int, *, penalty: float = 1.0
) -> tuple[Float[Tensor, "c d"], Float[Tensor, " c"]]:
    """W and b that minimise Σ −log softmax(W xᵢ + b)_{yᵢ} + penalty ‖W‖²/2.

    Newton steps by conjugate gradients, two products of x in float32 each, preconditioned by one
    (d, d) matrix for all classes: Σ wᵢ xᵢxᵢᵀ + penalty I, wᵢ the mean of p(1 − p), over a sample of
    the rows. It stops where the Newton decrement says that the minimum is within 1e-7 a row.

    Args:
        x: (n, d), standardised; n well above d.
        y: (n,) codes below ``classes``.
        classes: how many.
        penalty: of W; b has none.

    Returns:
        W (classes, d) and b (classes,), float64.
    """
    n = len(x)
    x = torch.nn.functional.pad(x.float(), (0, 1), value=1)
    weight = torch.full((x.shape[1],), penalty, dtype=torch.float64, device=x.device)
    weight[-1] = 0
    target = torch.nn.functional.one_hot(y, classes).float()
    some = min(n, max(4096, 4 * x.shape[1]))
    sample = (torch.arange(some, device=x.device).double() * _GOLDEN % 1 * n).long()

    w = weight.new_zeros(classes, x.shape[1])
    logits = x.new_zeros(n, classes)
    loss = _loss(logits, target, w, weight)
    for _ in range(50):
        p = logits.softmax(1)
        gradient = ((p - target).T @ x).double() + weight * w
        spread = (p[sample] * (1 - p[sample])).sum(1) * (n / some / classes)
        curvature = ((x[sample] * spread[:, None]).T @ x[sample]).double()
        curvature.diagonal().add_(weight + 1e-9 * n)
        step, change = _newton_step(x, p, gradient, weight, torch.linalg.cholesky(curvature))
        decrement = -float((gradient * step).sum())
        size = 1.0
        while True:
            after = _loss(logits + size * change, target, w + size * step, weight)
            if after <= loss - 1e-4 * size * decrement or size < 1e-4:
                break
            size /= 2
        w, logits, loss = w + size * step, logits + size * change, after
        if decrement < 2 * _GAP * n:
            break
    return w[:, :-1], w[:, -1]


def _loss(
    logits: Float[Tensor, "n c"],
    target: Float[Tensor, "n c"],
    w: Float[Tensor, "c d"],
    weight: Float[Tensor, " d"],
) -> float:
    each = logits.logsumexp(1) - (logits * target).sum(1)
    return float(each.sum(dtype=torch.float64) + (weight * w.square()).sum() / 2)


def _newton_step(
    x: Float[Tensor, "n d"],
    p: Float[Tensor, "n c"],
    gradient: Float[Tensor, "c d"],
    weight: Float[Tensor, " d"],
    factor: Float[Tensor, "d d"],
) -> tuple[Float[Tensor, "c d"], Float[Tensor, "n c"]]:
    """−H⁻¹ times the gradient, roughly, and what it adds to the logits."""
    step, change = torch.zeros_like(gradient), torch.zeros_like(p)
    residual = -gradient
    towards = torch.cholesky_solve(residual.T, factor).T
    direction, size = towards, (residual * towards).sum()
    enough = 0.1 * size
    for _ in range(100):
        u = x @ direction.T.float()
        s = p * u
        s -= p * s.sum(1, keepdim=True)
        curved = (s.T @ x).double() + weight * direction
        length = size / (direction * curved).sum()
        step += length * direction
        change += length.float() * u
        residual = residual - length * curved
        towards = torch.cholesky_solve(residual.T, factor).T
        before, size = size, (residual * towards).sum()
        if bool(size <= enough):
            break
        direction = towards + size / before * direction
    return step, change
