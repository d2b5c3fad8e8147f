"""The pairs of a batch: distances, their gradient, and who is whose positive."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import threshold

EPS = 1e-6  # norm below which a vector has no direction
EQUAL = 1e-14  # squared distance up to which two rows are equal: 30 times float64's rounding
BLOCK = {"cpu": 1 << 17}  # distances at a time, that they stay in a core's cache; see `PairBlocks`


def normalize(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """x / max(‖x‖, 1e-6), row by row. A zero row stays zero, with a finite gradient."""
    return torch.nn.functional.normalize(x, dim=1, eps=EPS)


# -------------------------------------------------------------------------------------- distances


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
        x = x - x.mean(0)
        norms = x.square().sum(1)
        d = _squared(x, x, norms, norms).sqrt_()
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


def _squared(
    x: Tensor, y: Tensor, x_norms: Tensor, y_norms: Tensor, out: Tensor | None = None
) -> Tensor:
    """‖x_i − y_j‖², exactly 0 for equal rows; NaN stays NaN."""
    squared = torch.addmm(y_norms, x, y.T, alpha=-2, out=out).add_(x_norms[:, None])
    return threshold(squared, EQUAL, 0.0, inplace=True)


def distances_to(
    z: Float[Tensor, "b d"], other: Int[Tensor, " b"], squared: bool = False
) -> Float[Tensor, " b"]:
    """Distance, or its square, of each row to the row ``other`` names, in float64.

    From differences: no digit is lost, however near they are. Gradient 0 between equal rows.
    """
    x = z.double()
    d2 = (x - x.index_select(0, other)).square().sum(1)
    if squared:
        return d2
    equal = d2 <= EQUAL
    return torch.where(equal, 1, d2).sqrt() * ~equal


class PairBlocks:
    """The squared distances of a batch in blocks of rows, and the gradient that their weights make.

    Nothing of size (b, b) exists: a block is used up before the next overwrites it.

    Distances are float64. The gradient is computed in z's own precision from centred rows: of the
    order of what one rounding of z changes, in clumps far apart; exact to 1e-6 in one cone.

    Args:
        z: (b, d).
        upper: only the columns from a block's first row on: every pair i < j, and in the square
            at the block's start also j ≤ i.

    Attributes:
        x: (b, d) z less its mean: the same differences.
        wanted: whether autograd will ask for a gradient.
    """

    def __init__(self, z: Float[Tensor, "b d"], *, upper: bool = False) -> None:
        exact = z.detach().double()
        self._exact = exact - exact.mean(0)
        self._norms = self._exact.square().sum(1)
        self.x = self._exact.to(z.dtype)
        self.wanted = wants_gradient(z)
        self._upper = upper
        self._memory: dict[str, Tensor] = {}

    def __iter__(self) -> Iterator[tuple[slice, slice, Float[Tensor, "r m"]]]:
        """(rows, columns, squared distances between them) of each block."""
        b = len(self.x)
        step = max(1, BLOCK.get(self.x.device.type, 1 << 24) // b)
        for start in range(0, b, step):
            rows = slice(start, min(start + step, b))
            columns = slice(start if self._upper else 0, b)
            sides = (self._exact[rows], self._exact[columns])
            shape = (rows.stop - start, columns.stop - columns.start)
            out = self._reuse("squared", shape, torch.float64)
            yield rows, columns, _squared(*sides, self._norms[rows], self._norms[columns], out)

    def scratch(
        self, n: int, like: Float[Tensor, "r m"], dtype: torch.dtype
    ) -> Float[Tensor, "n r m"]:
        """Memory for n blocks, the same each time: new pages cost as much as the arithmetic."""
        return self._reuse("scratch", (n, *like.shape), dtype)

    def _reuse(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        size = math.prod(shape)
        if name not in self._memory:  # the first block is the largest
            self._memory[name] = torch.empty(size, dtype=dtype, device=self.x.device)
        return self._memory[name][:size].view(shape)

    def add_gradient(
        self, gradient: Float[Tensor, "b d"], w: Float[Tensor, "r m"], rows: slice, columns: slice
    ) -> None:
        """Adds that of ½ Σ w_ij ‖x_i − x_j‖² over a block: w_ij (x_i − x_j) to i, −that to j."""
        x, y = self.x[rows], self.x[columns]
        gradient[rows].addcmul_(w.sum(1)[:, None], x).addmm_(w, y, alpha=-1)
        gradient[columns].addcmul_(w.sum(0)[:, None], y).addmm_(w.T, x, alpha=-1)


def wants_gradient(z: Tensor) -> bool:
    """Whether autograd may ask for the gradient at z."""
    return z.requires_grad and torch.is_grad_enabled()


def with_gradient(
    z: Float[Tensor, "b d"], value: Float[Tensor, ""], gradient: Float[Tensor, "b d"]
) -> Float[Tensor, ""]:
    """``value``, a function of z whose derivative is ``gradient``, as autograd should see it.

    A second derivative raises RuntimeError.
    """
    out: Tensor = _WithGradient.apply(z, value, gradient)  # type: ignore[no-untyped-call]
    return out


class _WithGradient(torch.autograd.Function):
    @staticmethod
    def forward(z: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        z, _, gradient = inputs
        ctx.save_for_backward(z, gradient)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        z, gradient = ctx.saved_tensors
        return _Once.apply(z, gradient) * grad, None, None  # type: ignore[no-untyped-call]


class _Once(torch.autograd.Function):
    """A gradient that is known, but not its own derivative with respect to z."""

    @staticmethod
    def forward(z: Tensor, gradient: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None]:
        raise RuntimeError(
            "this loss has no second derivative: its gradient is written out, not recorded."
        )


# ------------------------------------------------------------------------------------------ labels


class ByClass(NamedTuple):
    """A batch in the order of its labels. All (b,) integers.

    Attributes:
        order: the samples, sorted by label, those of one class in the order of the batch.
        start: of each sample, where its class starts in ``order``; also a code of the class.
        size: of each sample, that of its class.
    """

    order: Tensor
    start: Tensor
    size: Tensor


def by_class(labels: Int[Tensor, " b"]) -> ByClass:
    """Who has which label, in O(b log b), without a (b, b) mask and without a look at a value."""
    ordered, order = labels.sort(stable=True)
    start = torch.searchsorted(ordered, labels)
    count = torch.searchsorted(ordered, labels, right=True) - start
    return ByClass(order, start, count)


def equality(
    a: Int[Tensor, " r"],
    b: Int[Tensor, " m"],
    dtype: torch.dtype,
    out: Float[Tensor, "r m"] | None = None,
) -> Float[Tensor, "r m"]:
    """1 where a_i = b_j, else 0, for integers below 2²⁴ such as ``ByClass.start``.

    Made and used several times faster than a boolean mask.
    """
    if out is None:
        out = torch.empty(len(a), len(b), dtype=dtype, device=a.device)
    return torch.eq(a.to(dtype)[:, None], b.to(dtype), out=out)


def same_class(labels: Int[Tensor, " b"]) -> Bool[Tensor, "b b"]:
    """True where two rows have one label, the diagonal included."""
    return labels[:, None] == labels[None, :]


def positives(labels: Int[Tensor, " b"]) -> Bool[Tensor, "b b"]:
    """True where j ≠ i has the label of i."""
    return same_class(labels).fill_diagonal_(False)
