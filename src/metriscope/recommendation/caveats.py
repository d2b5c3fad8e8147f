"""What may be wrong with the loss that came first: reasons not to act on it as it stands.

All of it is read from the validation part, like the choice itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from metriscope.recommendation.goals import AIMS
from metriscope.types import Results

FEW, HARDLY = 100, 20  # queries
COLLAPSED = 0.01  # as finding MS101, of ‖z − z̄‖²
_ERRORS = 2.0  # standard errors that guessing may lie above itself


@dataclass(frozen=True)
class Caveat:
    """A reason to hesitate, as a clause without a full stop.

    ``grave``: nothing else about the choice matters as much.
    """

    text: str
    grave: bool = False


def found(said: Mapping[str, Any], results: Results) -> list[Caveat]:
    """Of a recommendation, those that matter most first; none where no loss was named."""
    if said["loss"] is None:
        return []
    every = (
        _collapsed(said, results),
        _guessing(said, results),
        _needless(said),
        _not_compared(said, results),
        _few(said, results),
        _by_order(said),
    )
    return [one for one in every if one is not None]


def untrained(score: str, results: Results) -> float | None:
    """The score of the untrained features on the validation part; None where it is not known."""
    before = results.about.get("baseline_validation") or {}
    return _number(before.get(score.removeprefix("val.")))


def asked(said: Mapping[str, Any], results: Results) -> float | None:
    """How many validation queries there are, or rows where those are not known."""
    return said["queries"] or _number(results.about.get("validation_rows")) or None


def left_out(missing: Mapping[str, str], results: Results) -> list[str]:
    """Losses that finished a run and were not compared."""
    return [
        loss
        for loss, runs in results.by_loss().items()
        if loss in missing and any(run.status == "done" for run in runs)
    ]


def _collapsed(said: Mapping[str, Any], results: Results) -> Caveat | None:
    """Within classes + between them is about the spread of the whole space, 0 to 1."""
    within = _mean(results, said["loss"], "val.intra.pair_cos.mean")
    between = _mean(results, said["loss"], "val.inter.euclid.mean")
    if within is None or between is None or (spread := within + between**2 / 2) >= COLLAPSED:
        return None
    return Caveat(
        f"its embeddings have collapsed (spread {spread:.2g} of at most 1, finding MS101): do not "
        "use it before that is mended",
        True,
    )


def _guessing(said: Mapping[str, Any], results: Results) -> Caveat | None:
    recall = _mean(results, said["loss"], "val.recall@1")
    chance = _number(results.about.get("chance_validation"))
    if chance is None and (classes := _number(results.about.get("classes"))):
        chance = 1 / classes
    queries = asked(said, results)
    if recall is None or chance is None or not queries or not 0 < chance < 1:
        return None
    if recall > chance + _ERRORS * math.sqrt(chance * (1 - chance) / queries):
        return None
    return Caveat(
        f"its Recall@1, {recall:.3f}, is no better than guessing ({chance:.3f}): nothing was "
        "learnt that a choice could rest on",
        True,
    )


def _needless(said: Mapping[str, Any]) -> Caveat | None:
    """Untrained features that are not clearly worse."""
    before, best, aim = said["untrained"], said["rows"][0], AIMS[said["goal"]]
    if before is None:
        return None
    ends = [best["mean"]]
    ends += [best[end] for end in ("low", "high") if best[end] is not None]
    if best["low"] is None:
        ends += [best[f"queries_{end}"] for end in ("low", "high")]
    known = [end for end in ends if end is not None]
    worse = before < min(known) if aim.better == "higher" else before > max(known)
    if worse:
        return None
    return Caveat(
        f"the untrained features reach {aim.number(before)} there: training a head gains nothing "
        "that can be seen",
        True,
    )


def _not_compared(said: Mapping[str, Any], results: Results) -> Caveat | None:
    names = left_out(said["missing"], results)
    if not names:
        return None
    others = f" and {len(names) - 1} more are" if len(names) > 1 else " is"
    return Caveat(f"{names[0]}{others} not compared, and may be better")


def _few(said: Mapping[str, Any], results: Results) -> Caveat | None:
    count = asked(said, results)
    if count is None or count >= FEW:
        return None
    what = "queries" if said["queries"] else "rows"
    return Caveat(f"only {count:.0f} validation {what}: hardly enough to choose by")


def _by_order(said: Mapping[str, Any]) -> Caveat | None:
    if not said["tied"]:
        return None
    others = said["tied"][0] if len(said["tied"]) == 1 else f"{len(said['tied'])} others"
    return Caveat(f"{others} did exactly as well, and {said['loss']} only comes first in the list")


def _mean(results: Results, loss: str, score: str) -> float | None:
    runs = results.by_loss().get(loss, [])
    known = [_number(run.scores.get(score)) for run in runs if run.status == "done"]
    values = [value for value in known if value is not None]
    return float(np.mean(values)) if values else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
