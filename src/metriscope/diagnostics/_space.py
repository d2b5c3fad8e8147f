"""What diagnostics of geometry look at: rows in memory, or what a stream of them left."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metriscope import ops
from metriscope.diagnostics._clumps import clumped_classes
from metriscope.diagnostics._label_noise import LabelNoise, label_noise
from metriscope.diagnostics._suspects import far_out
from metriscope.types import Embeddings, InputError

RESOLUTION = 1e-14
"""Distance between unit vectors at or below which it is rounding: nothing is divided by it."""


class Moments:
    """What class moments tell of unit vectors z, without their rows.

    Everything is float64 and from sums of squared differences, never from 1 − cos, so that a space
    collapsed to a cone keeps its digits. Singular values come from the scatter within classes,
    which holds those above 1e-8 of its largest; below, they are rounding, or 0.

    Args:
        moments: of unit vectors.
        scatter: (d, d) Σ (z − m_c)(z − m_c)ᵀ over all rows.
    """

    def __init__(self, moments: ops.ClassMoments, scatter: Float[Tensor, "d d"]) -> None:
        self._given, self._scatter = moments, scatter

    @cached_property
    def moments(self) -> ops.ClassMoments:
        """Counts, means and squares by class."""
        return self._given

    @cached_property
    def rows(self) -> int:
        """n."""
        return int(self.moments.counts.sum())

    @cached_property
    def mean(self) -> Float[Tensor, " d"]:
        """z̄ of all rows."""
        return self.moments.counts @ self.moments.means / self.rows

    @cached_property
    def total_spread(self) -> Float[Tensor, ""]:
        """(1/n) Σ ‖z − z̄‖²."""
        return (self.moments.squares.sum() + self._between.square().sum()) / self.rows

    @cached_property
    def class_spread(self) -> Float[Tensor, " c"]:
        """(1/N_c) Σ ‖z − m_c‖² of each present class."""
        return self.moments.squares / self.moments.counts

    @cached_property
    def pair_cos(self) -> Float[Tensor, " c2"]:
        """Mean cosine distance over pairs i ≠ j of each class of at least two rows.

        N_c/(N_c − 1) times ``class_spread``, which also counts each row with itself.
        """
        several = self.moments.counts > 1
        return self.moments.squares[several] / (self.moments.counts[several] - 1)

    @cached_property
    def directions(self) -> Float[Tensor, "k d"]:
        """m_c/‖m_c‖ of the classes whose mean has a direction."""
        means = self.moments.means
        return ops.normalize(means[means.norm(dim=1) > ops.EPS])

    @property
    def mean_cos(self) -> Float[Tensor, " pairs"]:
        """Cosine distance of class means, over unordered pairs of ``directions``."""
        halves: Tensor = torch.nn.functional.pdist(self.directions).square_().div_(2)
        return halves

    @cached_property
    def between_cos(self) -> ops.Summary | None:
        """Mean and SD of ``mean_cos``, whatever the number of pairs; None of none."""
        return ops.summary(d.square_().div_(2) for d in ops.pair_distances(self.directions))

    @cached_property
    def singular_values(self) -> Float[Tensor, " r"]:
        """Of z, not centred; min(n, d) of them, falling."""
        rows = torch.cat([self._root, self.mean[None] * self.rows**0.5])
        return ops.singular_values(rows)[: self.rows]

    @cached_property
    def centred_singular_values(self) -> Float[Tensor, " r"]:
        """Of z minus its mean."""
        return ops.singular_values(self._root)[: self.rows]

    def within_along(self, v: Float[Tensor, "d k"]) -> Float[Tensor, " k"]:
        """Σ ((z − m_c)ᵀ v)² over all rows, of each column."""
        return ((self._scatter @ v) * v).sum(0).clamp_min(0)

    @property
    def _between(self) -> Float[Tensor, "c d"]:
        """Rows √N_c (m_c − z̄), which scatter as class means do."""
        return self.moments.counts.sqrt()[:, None] * (self.moments.means - self.mean)

    @cached_property
    def _root(self) -> Float[Tensor, "r d"]:
        """R with RᵀR = Σ (z − z̄)(z − z̄)ᵀ, from sums of squares alone."""
        values, vectors = torch.linalg.eigh(self._scatter)
        noise = len(values) * torch.finfo(values.dtype).eps * values[-1]
        within = values.where(values > noise, 0).sqrt()[:, None] * vectors.T
        return ops.triangle(torch.cat([within, self._between]))


class Space(Moments):
    """A labelled embedding space on the unit sphere, with what several diagnostics share.

    Everything is float64 and from differences of vectors, never from 1 − cos, so that a space
    collapsed to a cone keeps its digits. The cosine distance of two unit vectors is ‖u − v‖²/2; by
    that reading a zero vector, which has no direction, is at 1/2 from every unit vector.

    Args:
        test: the embeddings to examine.
        train: embeddings of the training data, for those that classify; may be absent.
        device: where to compute.

    Raises:
        InputError: train and test have other dimensions or class names.
    """

    def __init__(
        self, test: Embeddings, train: Embeddings | None = None, device: str = "cpu"
    ) -> None:
        if train is not None and train.x.shape[1] != test.x.shape[1]:
            raise InputError(
                f"the training embeddings have {train.x.shape[1]} dimensions and the test "
                f"embeddings {test.x.shape[1]}; both must come from one model."
            )
        if train is not None and train.class_names != test.class_names:
            raise InputError(
                "training and test embeddings have different class names; "
                "give both the names of all classes, in one order."
            )
        self.test, self.train, self.device = test, train, device

    @cached_property
    def z(self) -> Float[Tensor, "n d"]:
        """Unit vectors."""
        return self._unit(self.test)

    @cached_property
    def y(self) -> Int[Tensor, " n"]:
        """Class codes."""
        return self._codes(self.test)

    @cached_property
    def train_z(self) -> Float[Tensor, "m d"] | None:
        """Unit vectors of the training data."""
        return None if self.train is None else self._unit(self.train)

    @cached_property
    def train_y(self) -> Int[Tensor, " m"] | None:
        """Class codes of the training data."""
        return None if self.train is None else self._codes(self.train)

    @cached_property
    def seen(self) -> Bool[Tensor, " n"] | None:
        """Rows whose class the training data have: no classifier can know another's."""
        return None if self.train_y is None else torch.isin(self.y, self.train_y)

    @cached_property
    def moments(self) -> ops.ClassMoments:
        """Counts, means and squares by class of ``z``."""
        return ops.class_moments(self.z, self.y)

    @cached_property
    def centred(self) -> Float[Tensor, "n d"]:
        """z minus the mean of all rows."""
        return self.z - self.mean

    @cached_property
    def collapsed(self) -> bool:
        """Whether all embeddings are one point, up to rounding: nothing can be ranked."""
        return bool(self.centred.norm(dim=1).max() <= RESOLUTION)

    @cached_property
    def class_index(self) -> Int[Tensor, " n"]:
        """Which row of ``moments`` is the class of each row of ``z``."""
        return torch.searchsorted(self.moments.codes, self.y)

    @cached_property
    def residuals(self) -> Float[Tensor, "n d"]:
        """z minus the mean of its class."""
        return self.z - self.moments.means[self.class_index]

    @cached_property
    def singular_values(self) -> Float[Tensor, " r"]:
        """Of z, not centred; min(n, d) of them, falling."""
        return ops.singular_values(self.z)

    @cached_property
    def centred_singular_values(self) -> Float[Tensor, " r"]:
        """Of z minus its mean."""
        return ops.singular_values(self.centred)

    @cached_property
    def neighbours(self) -> ops.Neighbours:
        """What a search of every row among the others found."""
        return ops.find_neighbours(self.z, self.y)

    @cached_property
    def neighbour_distances(self) -> Float[Tensor, "n k"]:
        """Of each row to its nearest others, rising."""
        return _distances(self.z, self.z, self.neighbours.nearest)

    @cached_property
    def train_neighbours(self) -> tuple[Int[Tensor, "n k"], Float[Tensor, "n k"]] | None:
        """The 20 nearest training rows of each row, or all, and the squared distances to them."""
        if self.train_z is None:
            return None
        blocks = ops.neighbour_blocks(self.z, self.train_z, min(20, len(self.train_z)))
        _, index, squared = zip(*blocks, strict=True)
        return torch.cat(index), torch.cat(squared)

    @cached_property
    def train_distances(self) -> Float[Tensor, "n k"] | None:
        """Of each row to its 10 nearest training rows, rising."""
        if self.train_z is None or self.train_neighbours is None:
            return None
        return _distances(self.z, self.train_z, self.train_neighbours[0][:, :10])

    @cached_property
    def clumped(self) -> Bool[Tensor, " c"]:
        """Which classes of ``moments`` are several clumps; see ``class_clumps``."""
        own = self.y[self.neighbours.nearest[:, 0]] == self.y
        return clumped_classes(self.residuals, self.class_index, self.moments.means, own)

    @cached_property
    def far_out(self) -> tuple[Bool[Tensor, " n"], Float[Tensor, " n"]] | None:
        """Rows far from everything, and how many times as far as usual; see ``outliers``."""
        if self.collapsed:
            return None
        mates = self.moments.counts[self.class_index].long() - 1
        return far_out(self.neighbour_distances, self.neighbours.nearest, mates)

    @cached_property
    def label_noise(self) -> LabelNoise | None:
        """What the space says of its labels; None where it can say nothing."""
        return None if self.collapsed else label_noise(self.z, self.y, self.neighbours.nearest)

    def within_along(self, v: Float[Tensor, "d k"]) -> Float[Tensor, " k"]:
        """Σ ((z − m_c)ᵀ v)² over all rows, of each column."""
        return (self.residuals @ v).square().sum(0)

    def _unit(self, embeddings: Embeddings) -> Float[Tensor, "n d"]:
        x = torch.from_numpy(np.array(embeddings.x, np.float64))
        z, _ = ops.unit_rows(x.to(self.device))
        return z

    def _codes(self, embeddings: Embeddings) -> Int[Tensor, " n"]:
        return torch.from_numpy(np.array(embeddings.y)).to(self.device)


def _distances(
    queries: Float[Tensor, "n d"], among: Float[Tensor, "m d"], nearest: Int[Tensor, "n k"]
) -> Float[Tensor, "n k"]:
    """From differences, so that copies are at 0; rising, where ties went by rows."""
    parts = [
        (among[index] - z[:, None]).norm(dim=2)
        for z, index in zip(queries.split(1024), nearest.split(1024), strict=True)
    ]
    return torch.cat(parts).sort(dim=1).values
