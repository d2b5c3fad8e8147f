"""A recommendation as results have it, read with care: anybody can edit ``results.json``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metriscope.types import InputError, Interval, Results


@dataclass(frozen=True)
class Ranked:
    """A loss among those that were compared.

    Attributes:
        loss: which. mean, sd: of the score, over ``seeds``. interval: of the mean.
        rank: its place, by the mean. places: those that are as plausible.
        best: chance that it is the best. regret: the expected cost of choosing it.
        difference: from the recommended loss. apart: its interval. p: adjusted.
        alike: whether it cannot be told apart from that one.
    """

    loss: str
    mean: float
    seeds: int
    rank: int
    sd: float | None
    interval: Interval | None
    places: Interval | None
    best: float | None
    regret: float | None
    difference: float | None
    apart: Interval | None
    p: float | None
    alike: bool


@dataclass(frozen=True)
class Guideline:
    """What the paper would have advised: ``supports`` and ``opposes`` are sentences."""

    losses: tuple[str, ...]
    says: str
    supports: tuple[str, ...]
    opposes: tuple[str, ...]
    verdict: str


@dataclass(frozen=True)
class Advice:
    """See :func:`metriscope.recommendation.recommend`. ``loss`` is None where none can be named.

    ``problems``: what findings say against that loss.
    """

    goal: str
    score: str
    loss: str | None
    answer: str
    alike: tuple[str, ...]
    rows: tuple[Ranked, ...]
    missing: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    guideline: Guideline | None
    untrained: float | None = None
    problems: tuple[str, ...] = ()


def read(results: Results) -> Advice | None:
    """The recommendation of the results of one dataset; None without one.

    Raises:
        InputError: it is not what a comparison writes.
    """
    said = results.recommendation
    if not said:
        return None
    try:
        guideline = said.get("guideline")
        return Advice(
            str(said["goal"]),
            str(said["score"]),
            None if said["loss"] is None else str(said["loss"]),
            str(said["answer"]),
            _texts(said["alike"]),
            tuple(_ranked(row) for row in said["rows"]),
            tuple((str(loss), str(why)) for loss, why in dict(said["missing"]).items()),
            _texts(said["notes"]),
            None if guideline is None else _guideline(guideline),
            _number(said.get("untrained")),
            _problems(results, said["loss"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"the recommendation in results.json is not what a comparison writes ({error!r}): run "
            "`metriscope compare` again with the same --out; finished runs are not repeated."
        ) from error


def against(said: Advice) -> list[str]:
    """A sentence, if findings speak against the loss."""
    if not said.problems:
        return []
    return [
        f"Before you take {said.loss}, look at what was found about it: {'; '.join(said.problems)}."
    ]


def _problems(results: Results, loss: object) -> tuple[str, ...]:
    found = [f for f in results.findings if f.severity == "problem" and f.loss and f.loss == loss]
    return tuple(f"{problem.code}: {problem.title}" for problem in found)


def _ranked(row: Mapping[str, Any]) -> Ranked:
    mean = _number(row["mean"])
    if mean is None:
        raise ValueError("a loss without a mean")
    return Ranked(
        str(row["loss"]),
        mean,
        int(row["seeds"]),
        int(row["rank"]),
        _number(row["sd"]),
        _interval(row["low"], row["high"]),
        _interval(row["rank_low"], row["rank_high"]),
        _number(row["best"]),
        _number(row["regret"]),
        _number(row["difference"]),
        _interval(row["difference_low"], row["difference_high"]),
        _number(row["p"]),
        bool(row["alike"]),
    )


def _guideline(said: Mapping[str, Any]) -> Guideline:
    return Guideline(
        _texts(said["losses"]),
        str(said["says"]),
        _texts(said["for"]),
        _texts(said["against"]),
        str(said["verdict"]),
    )


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list | tuple):
        raise ValueError(f"{values!r:.40} is no list")
    return tuple(map(str, values))


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r:.40} is no number")
    return value


def _interval(low: Any, high: Any) -> Interval | None:
    ends = _number(low), _number(high)
    return None if ends[0] is None or ends[1] is None else Interval(ends[0], ends[1])
