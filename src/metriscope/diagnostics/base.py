"""What a diagnostic is, and how all of them are run."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor

from metriscope.diagnostics import DIAGNOSTICS
from metriscope.diagnostics._space import RESOLUTION, Moments, Space
from metriscope.types import InputError, Scores, Trace

__all__ = [
    "RESOLUTION",
    "Diagnostic",
    "Group",
    "Moments",
    "Reads",
    "Score",
    "Space",
    "Values",
    "all_scores",
    "diagnostic",
    "mean",
    "measure",
    "measure_trace",
    "ratio",
    "reading",
    "spread",
]

Reads = Literal["moments", "embeddings", "diagnosis", "step", "trace"]
Values = Mapping[str, float | Tensor | None]  # what a diagnostic of embeddings returns
Group = Literal["geometry", "retrieval", "classification", "greediness", "data"]


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

    ``moments``: ``(moments) -> Values``, of a space as of a stream of rows. ``embeddings``:
    ``(space) -> Values``, where rows or pairs of them are needed. ``diagnosis``: the same, for
    what only a diagnosis asks, or what takes longer than a run should. ``step``:
    ``(step) -> dict[str, Share]``, summed over an epoch as Σ part / Σ whole. ``trace``:
    ``(trace) -> Scores``.
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
        group: ``geometry``, ``retrieval``, ``classification``, ``greediness`` or ``data``.
    """

    def make(compute: Callable[[Any], Any]) -> Diagnostic:
        return DIAGNOSTICS.register(name)(Diagnostic(name, reads, group, scores, compute))

    return make


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


def measure(space: Moments, only: Iterable[str] | None = None, *, deep: bool = False) -> Scores:
    """Every score of the diagnostics that read embeddings, or, without rows, their moments.

    Args:
        space: what to examine: a :class:`Space`, or moments alone.
        only: names of diagnostics; all by default.
        deep: also those that only a diagnosis asks for; by name they need not be asked for twice.

    Returns:
        Score names to floats; None where a score is undefined on this input.

    Raises:
        InputError: no diagnostic has one of the names in ``only``.
    """
    chosen = None if only is None else {DIAGNOSTICS.get(name).name for name in only}
    scores: Scores = {}
    candidates = reading("embeddings" if isinstance(space, Space) else "moments")
    if isinstance(space, Space) and (deep or chosen is not None):
        candidates += reading("diagnosis")
    for found in candidates:
        if chosen is None or found.name in chosen:
            scores |= _numbers(found, found(space))
    return scores


def reading(what: Reads) -> list[Diagnostic]:
    """The diagnostics that read ``what``; embeddings have moments too."""
    wanted = ("moments", what) if what == "embeddings" else (what,)
    return [found for found in DIAGNOSTICS.all().values() if found.reads in wanted]


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
