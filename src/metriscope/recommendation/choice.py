"""The loss, those that cannot be told apart from it, and what it costs to be wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metriscope.disk import plain_json
from metriscope.recommendation import guideline, words
from metriscope.recommendation.goals import AIMS, GOALS, Goal, outcomes_for
from metriscope.statistics import Outcomes, Pair, Rank, compare, gather, of_outcomes, rank_all
from metriscope.types import Results
from metriscope.types._errors import one_of


def recommend(
    results: Results, folder: Path | None, goal: Goal = "top1", *, level: float = 0.05
) -> Mapping[str, Any]:
    """The loss for a goal, and why, as plain JSON.

    Nothing of the test part is read, and of ``results.others`` nothing at all.

    Args:
        results: of one dataset.
        folder: where ``runs/`` is; None takes one number a run.
        goal: see :mod:`metriscope.recommendation.goals`.
        level: of the tests; intervals are at 1 − level.

    Returns:
        ``goal``, ``score``, ``part``, ``better``, ``level``; ``loss``, or None and the ``reason``;
        ``sure``: ``clear``, ``tied`` with those in ``alike``, or ``unknown`` of one seed, where all
        the others are; ``rows`` of the losses that were compared, the recommended first, then by
        the mean: ``difference`` is this loss minus the recommended, ``p`` adjusted, ``best`` and
        ``regret`` as in :class:`~metriscope.statistics.Rank`; ``chance`` and ``regret`` of the
        recommended; ``guideline``: see :mod:`metriscope.recommendation.guideline`; ``queries`` (0
        where the goal is one number a run), ``seeds``, ``missing`` (loss to why it was not
        compared), ``answer`` (two sentences) and ``notes``.

    Raises:
        InputError: no such goal.
    """
    one_of("goal", goal, GOALS)
    outcomes = outcomes_for(goal, results, folder)
    rows = _rows(outcomes, level) if len(outcomes.values) > 1 else []
    best: Mapping[str, Any] = rows[0] if rows else {}
    alike = [row["loss"] for row in rows[1:] if row["alike"]]
    seeds = len(outcomes.seeds) if rows else 0
    said = {
        "goal": goal,
        "score": AIMS[goal].score,
        "part": "validation",
        "better": AIMS[goal].better,
        "level": level,
        "loss": best.get("loss"),
        "reason": None if rows else words.reason(results, outcomes, AIMS[goal].score),
        "sure": "unknown" if seeds < 2 else "tied" if alike else "clear",
        "alike": alike,
        "rows": rows,
        "regret": best.get("regret"),
        "chance": best.get("best"),
        "guideline": guideline.judge(goal, rows, level),
        "queries": _queries(outcomes),
        "seeds": seeds,
        "missing": words.missing(results, outcomes),
    }
    said["answer"] = words.answer(said)
    said["notes"] = [*outcomes.notes, *words.notes(said, results), *_cost(said, results, folder)]
    found: Mapping[str, Any] = plain_json(said)
    return found


def _rows(outcomes: Outcomes, level: float) -> list[dict[str, Any]]:
    """One a loss, best first; each but the first compared with the first."""
    ranks = rank_all(outcomes, confidence=1 - level)
    first, *others = (rank.loss for rank in ranks)
    pairs = compare(outcomes, [(loss, first) for loss in others], level=level)
    return [
        _row(outcomes, rank, pair, level) for rank, pair in zip(ranks, [None, *pairs], strict=True)
    ]


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


def _cost(said: Mapping[str, Any], results: Results, folder: Path | None) -> list[str]:
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
        return [words.cost(loss, top, pair.difference)]
    return []
