"""What a diagnostic is, and the shared view of an embedding space that it reads."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metriscope import ops
from metriscope.diagnostics import DIAGNOSTICS
from metriscope.types import Embeddings, Scores, Share, Step, Trace

Reads = Literal["embeddings", "step", "trace"]
Values = Mapping[str, float | Tensor | None]  # what a diagnostic of embeddings returns
Group = Literal["geometry", "retrieval", "classification", "greediness"]


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

    Args:
        test: the embeddings to examine.
        train: embeddings of the training data, for those that classify; may be absent.
        device: where to compute.
    """

    def __init__(
        self, test: Embeddings, train: Embeddings | None = None, device: str = "cpu"
    ) -> None:
        self.test, self.train, self.device = test, train, device

    @cached_property
    def z(self) -> Float[Tensor, "n d"]:
        """Unit vectors, float64."""
        return self._unit(self.test)

    @cached_property
    def y(self) -> Int[Tensor, " n"]:
        """Class codes."""
        return torch.as_tensor(self.test.y, device=self.device)

    @cached_property
    def train_z(self) -> Float[Tensor, "m d"] | None:
        """Unit vectors of the training data, float64."""
        return None if self.train is None else self._unit(self.train)

    @cached_property
    def moments(self) -> ops.ClassMoments:
        """Counts and sums by class of ``z``."""
        return ops.class_moments(self.z, self.y)

    @cached_property
    def class_spread(self) -> Float[Tensor, " c"]:
        """(1/N_c) Σ ‖z − m_c‖² of each present class, from differences: exact when collapsed."""
        index = torch.searchsorted(self.moments.codes, self.y)
        squares = (self.z - self.moments.means[index]).square().sum(1)
        sums = torch.zeros_like(self.moments.counts).index_add_(0, index, squares)
        return sums / self.moments.counts

    def _unit(self, embeddings: Embeddings) -> Float[Tensor, "n d"]:
        x = torch.as_tensor(embeddings.x, device=self.device)
        return ops.normalize(x.double())


def measure(space: Space, only: Iterable[str] | None = None) -> Scores:
    """Every score of the diagnostics that read embeddings.

    Args:
        space: what to examine.
        only: names of diagnostics; all by default.

    Returns:
        Score names to floats; None where a score is undefined on this input.
    """
    names = set(DIAGNOSTICS.names() if only is None else only)
    scores: Scores = {}
    for name in DIAGNOSTICS.names():
        if name in names:
            found = DIAGNOSTICS.get(name)
            if found.reads == "embeddings":
                scores.update({k: _plain(v) for k, v in found(space).items()})
    return scores


def measure_step(step: Step) -> Mapping[str, Share]:
    """Every share of the diagnostics that read a step; no synchronisation with a device."""
    shares: dict[str, Share] = {}
    for found in DIAGNOSTICS.all().values():
        if found.reads == "step":
            shares.update(found(step))
    return shares


def measure_trace(trace: Trace) -> Scores:
    """Every score of the diagnostics that read a trace."""
    scores: Scores = {}
    for found in DIAGNOSTICS.all().values():
        if found.reads == "trace":
            scores.update({k: _plain(v) for k, v in found(trace).items()})
    return scores


def all_scores() -> dict[str, Score]:
    """What is known of each score, by name."""
    return {s.name: s for d in DIAGNOSTICS.all().values() for s in d.scores}


def _plain(value: float | Tensor | None) -> float | None:
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None
