"""The loss, those that cannot be told apart from it, and what it costs to be wrong."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

from metriscope.disk import plain_json
from metriscope.recommendation import caveats, guideline, words
from metriscope.recommendation.goals import (
    AIMS,
    GOALS,
    SAME,
    Goal,
    at_start,
    never,
    outcomes_for,
)
from metriscope.statistics import Outcomes, Pair, Rank, compare, gather, of_outcomes, rank_all
from metriscope.types import Results
from metriscope.types._errors import one_of


def recommend(
    results: Results, folder: Path | None, goal: Goal = "top1", *, level: float = 0.05
) -> Mapping[str, Any]:
    """The loss for a goal, and why, as plain JSON.

    Nothing of the test part is read, no finding, and of ``results.others`` nothing at all.

    Args:
        results: of one dataset.
        folder: where ``runs/`` is; None takes one number a run.
        goal: see :mod:`metriscope.recommendation.goals`.
        level: of the tests; intervals are at 1 − level.

    Returns:
        ``goal``, ``score``, ``part``, ``better``, ``level``; ``loss``, or None and the ``reason``;
        ``sure``: ``clear``, ``tied`` with those in ``alike``, or ``unknown``: of one seed, where
        all the others are alike, of too few queries, or where a loss that finished runs could not
        be compared; ``rows`` of the losses that were compared, the recommended first, then by
        the mean: ``difference`` is this loss minus the recommended, ``p`` after Holm's correction
        over all pairs, ``best`` and ``regret`` as in :class:`~metriscope.statistics.Rank`,
        ``never`` the seeds that did not reach the target of ``fast``, whose mean and differences
        have no interval; ``tied``: losses of exactly the same mean as the recommended, which only
        stands before them in the list; ``chance`` and ``regret`` of the recommended;
        ``untrained``: the score of the untrained features, None where it is not known;
        ``guideline``: see :mod:`metriscope.recommendation.guideline`; ``queries`` (0 where the
        goal is one number a run), ``seeds``, ``missing`` (loss to why it was not compared),
        ``answer`` (two sentences) and ``notes``.

    Raises:
        InputError: no such goal.
    """
    one_of("goal", goal, GOALS)
    outcomes = outcomes_for(goal, results, folder)
    started = at_start(results, outcomes) if goal == "fast" else None
    compared = len(outcomes.values) > 1 and started is None
    rows = _rows(outcomes, never(results, outcomes) if goal == "fast" else {}, level, compared)
    best: Mapping[str, Any] = rows[0] if rows else {}
    said = {
        "goal": goal,
        "score": AIMS[goal].score,
        "part": "validation",
        "better": AIMS[goal].better,
        "level": level,
        "loss": best.get("loss"),
        "reason": None if rows else started or words.reason(results, outcomes, AIMS[goal].score),
        "alike": [row["loss"] for row in rows[1:] if row["alike"]],
        "tied": [row["loss"] for row in rows[1:] if abs(row["mean"] - best["mean"]) < SAME],
        "rows": rows,
        "regret": best.get("regret"),
        "chance": best.get("best"),
        "untrained": caveats.untrained(AIMS[goal].score, results),
        "guideline": guideline.judge(goal, rows, level),
        "queries": _queries(outcomes),
        "seeds": len(outcomes.seeds) if rows else 0,
        "missing": words.missing(results, outcomes),
    }
    said["sure"] = _sure(said, results)
    warned = caveats.found(said, results)
    cost = _cost(said, results, folder)
    said["answer"], rest = words.answer(said, [*warned, *cost])
    said["notes"] = [*rest, *outcomes.notes, *words.notes(said, results)]
    found: Mapping[str, Any] = plain_json(said)
    return found


def _sure(said: Mapping[str, Any], results: Results) -> str:
    asked = caveats.asked(said, results)
    few = asked is not None and asked < caveats.HARDLY
    if said["seeds"] < 2 or few or caveats.left_out(said["missing"], results):
        return "unknown"
    return "tied" if said["alike"] else "clear"


def _rows(
    outcomes: Outcomes, unreached: Mapping[str, int], level: float, compared: bool
) -> list[dict[str, Any]]:
    """One a loss, best first; each but the first compared with the first, among all pairs."""
    if not compared:
        return []
    ranks = rank_all(outcomes, confidence=1 - level)
    first, *others = (rank.loss for rank in ranks)
    every = [*((loss, first) for loss in others), *combinations(others, 2)]
    pairs = compare(outcomes, every, level=level)[: len(others)]
    rows = [
        _row(outcomes, rank, pair, level) for rank, pair in zip(ranks, [None, *pairs], strict=True)
    ]
    for row in rows:
        row["never"] = unreached.get(row["loss"], 0)
        if row["never"]:  # a time that did not end has no mean to put an interval around
            row["low"] = row["high"] = None
        if row["never"] or rows[0]["never"]:
            row["difference_low"] = row["difference_high"] = None
    return rows


def _row(outcomes: Outcomes, rank: Rank, pair: Pair | None, level: float) -> dict[str, Any]:
    found = of_outcomes(outcomes, rank.loss, confidence=1 - level)
    between = None if pair is None else pair.difference
    low, high = found.interval or (None, None)
    queries_low, queries_high = found.queries_interval or (None, None)
    rank_low, rank_high = rank.interval or (None, None)
    apart = (between.interval if between else None) or (None, None)
    return {
        "loss": rank.loss,
        "mean": found.mean,
        "low": low,
        "high": high,
        "queries_low": queries_low,
        "queries_high": queries_high,
        "sd": found.sd,
        "seeds": found.seeds,
        "rank": rank.rank,
        "rank_low": rank_low,
        "rank_high": rank_high,
        "best": rank.best,
        "regret": rank.regret,
        "difference": between.mean if between else None,
        "difference_low": apart[0],
        "difference_high": apart[1],
        "p": pair.adjusted if pair else None,
        "alike": pair is not None and pair.verdict != "different",
    }


def _queries(outcomes: Outcomes) -> int:
    if not outcomes.per_query or not outcomes.values:
        return 0
    return int(next(iter(outcomes.values.values())).shape[1])


def _cost(said: Mapping[str, Any], results: Results, folder: Path | None) -> list[caveats.Caveat]:
    """What a compact or fast loss gives up in validation Recall@1."""
    loss = said["loss"]
    if loss is None or said["goal"] not in ("compact", "fast"):
        return []
    recall = gather(results, folder, "val.recall@1", "validation")
    if loss not in recall.values:
        return []
    top = max(recall.values, key=lambda name: float(recall.values[name].mean()))
    if top == loss:
        return []
    (pair,) = compare(recall, [(top, loss)], level=said["level"])
    if pair.verdict == "different":
        return [words.cost(top, pair.difference)]
    return []
