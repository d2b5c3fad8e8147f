"""What a diagnostic is, and the shared view of an embedding space that it reads."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metriscope import ops
from metriscope.diagnostics import DIAGNOSTICS
from metriscope.types import Embeddings, InputError, Scores, Trace

Reads = Literal["embeddings", "step", "trace"]
Values = Mapping[str, float | Tensor | None]  # what a diagnostic of embeddings returns
Group = Literal["geometry", "retrieval", "classification", "greediness"]

RESOLUTION = 1e-14
"""Distance between unit vectors at or below which it is rounding: nothing is divided by it."""


def singular_values(x: Float[Tensor, "n d"]) -> Float[Tensor, " r"]:
    """min(n, d) of them, falling. Those of R in x = QR, which is square: as exact, and faster."""
    square = torch.linalg.qr(x, mode="r").R if len(x) > x.shape[1] else x
    values: Tensor = torch.linalg.svdvals(square)
    return values


@dataclass(frozen=True)
class Score:
    """One number a diagnostic returns.

    Attributes:
        name: as in results.
        better: ``higher``, ``lower``, or None where neither is.
        lower, upper: bounds it cannot leave; infinite where there is none.
    """

    name: str
    better: Literal["higher", "lower"] | None = None
    lower: float = -math.inf
    upper: float = math.inf


class Diagnostic:
    """A registered diagnostic: call it with what it ``reads``.

    ``embeddings``: ``(space) -> Values``. ``step``: ``(step) -> dict[str, Share]``, summed over an
    epoch as Σ part / Σ whole. ``trace``: ``(trace) -> Scores``.
    """

    def __init__(
        self,
        name: str,
        reads: Reads,
        group: Group,
        scores: Sequence[Score],
        compute: Callable[[Any], Any],
    ) -> None:
        self.name, self.reads, self.group, self.scores = name, reads, group, tuple(scores)
        self.compute = compute
        functools.update_wrapper(self, compute)

    def __call__(self, source: Any) -> Any:
        """Compute the scores."""
        return self.compute(source)


def diagnostic(
    name: str, *, reads: Reads, group: Group, scores: Sequence[Score]
) -> Callable[[Callable[[Any], Any]], Diagnostic]:
    """Decorator: register a function as the diagnostic ``name``, named like its file.

    Args:
        name: its name. reads: what it is called with. scores: every score it returns.
        group: ``geometry``, ``retrieval``, ``classification`` or ``greediness``.
    """

    def make(compute: Callable[[Any], Any]) -> Diagnostic:
        return DIAGNOSTICS.register(name)(Diagnostic(name, reads, group, scores, compute))

    return make


class Space:
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
    def centred(self) -> Float[Tensor, "n d"]:
        """z minus the mean of all rows."""
        return self.z - self.z.mean(0)

    @cached_property
    def collapsed(self) -> bool:
        """Whether all embeddings are one point, up to rounding: nothing can be ranked."""
        return bool(self.centred.norm(dim=1).max() <= RESOLUTION)

    @cached_property
    def moments(self) -> ops.ClassMoments:
        """Counts and sums by class of ``z``."""
        return ops.class_moments(self.z, self.y)

    @cached_property
    def class_index(self) -> Int[Tensor, " n"]:
        """Which row of ``moments`` is the class of each row of ``z``."""
        return torch.searchsorted(self.moments.codes, self.y)

    @cached_property
    def residuals(self) -> Float[Tensor, "n d"]:
        """z minus the mean of its class."""
        return self.z - self.moments.means[self.class_index]

    @cached_property
    def class_spread(self) -> Float[Tensor, " c"]:
        """(1/N_c) Σ ‖z − m_c‖² of each present class."""
        squares = self.residuals.square().sum(1)
        sums = torch.zeros_like(self.moments.counts).index_add_(0, self.class_index, squares)
        return sums / self.moments.counts

    @cached_property
    def pair_cos(self) -> Float[Tensor, " c2"]:
        """Mean cosine distance over pairs i ≠ j of each class of at least two rows.

        N_c/(N_c − 1) times ``class_spread``, which also counts each row with itself.
        """
        counts = self.moments.counts
        several = counts > 1
        return (self.class_spread * counts)[several] / (counts[several] - 1)

    @cached_property
    def mean_cos(self) -> Float[Tensor, " pairs"]:
        """Cosine distance of class means, over unordered pairs of classes that have a direction."""
        means = self.moments.means
        directions = ops.normalize(means[means.norm(dim=1) > ops.EPS])
        halves: Tensor = torch.nn.functional.pdist(directions).square() / 2
        return halves

    @cached_property
    def singular_values(self) -> Float[Tensor, " r"]:
        """Of z, not centred; min(n, d) of them, falling."""
        return singular_values(self.z)

    @cached_property
    def neighbours(self) -> ops.Neighbours:
        """What a search of every row among the others found."""
        return ops.find_neighbours(self.z, self.y)

    def _unit(self, embeddings: Embeddings) -> Float[Tensor, "n d"]:
        x = torch.from_numpy(np.array(embeddings.x, np.float64))
        return ops.normalize(x.to(self.device))

    def _codes(self, embeddings: Embeddings) -> Int[Tensor, " n"]:
        return torch.from_numpy(np.array(embeddings.y)).to(self.device)


def ratio(
    part: Float[Tensor, ""], whole: Float[Tensor, ""], noise: float = 0.0
) -> Float[Tensor, ""] | None:
    """part / whole; None where the whole is not above ``noise``."""
    return part / whole if bool(whole > noise) else None


def mean(values: Float[Tensor, " k"]) -> Float[Tensor, ""] | None:
    """The mean; None of no values."""
    return values.mean() if len(values) else None


def spread(values: Float[Tensor, " k"]) -> Float[Tensor, ""] | None:
    """The standard deviation (ddof 0); None of no values."""
    return values.std(correction=0) if len(values) else None


def measure(space: Space, only: Iterable[str] | None = None) -> Scores:
    """Every score of the diagnostics that read embeddings.

    Args:
        space: what to examine.
        only: names of diagnostics; all by default.

    Returns:
        Score names to floats; None where a score is undefined on this input.

    Raises:
        InputError: no diagnostic has one of the names in ``only``.
    """
    chosen = None if only is None else {DIAGNOSTICS.get(name).name for name in only}
    scores: Scores = {}
    for found in reading("embeddings"):
        if chosen is None or found.name in chosen:
            scores |= _numbers(found, found(space))
    return scores


def reading(what: Reads) -> list[Diagnostic]:
    """The diagnostics that read ``what``."""
    return [found for found in DIAGNOSTICS.all().values() if found.reads == what]


def measure_trace(trace: Trace) -> Scores:
    """Every score of the diagnostics that read a trace."""
    scores: Scores = {}
    for found in reading("trace"):
        scores |= _numbers(found, found(trace))
    return scores


def all_scores() -> dict[str, Score]:
    """What is known of each score, by name."""
    return {s.name: s for d in DIAGNOSTICS.all().values() for s in d.scores}


def _numbers(found: Diagnostic, values: Values) -> Scores:
    known = {score.name: score for score in found.scores}
    for name in values:
        if name not in known:
            raise InputError(
                f"diagnostic {found.name!r} returned {name!r} but does not declare it: "
                "add it to scores= of its decorator."
            )
    return {name: _number(value, known[name]) for name, value in values.items()}


def _number(value: float | Tensor | None, score: Score) -> float | None:
    if value is None:
        return None
    number = float(value)
    if not math.isfinite(number):
        return None
    # Rounding may carry a value past its bound by a few units in the last place.
    clipped = float(min(max(number, score.lower), score.upper))
    return clipped if abs(number - clipped) < 1e-12 else number
