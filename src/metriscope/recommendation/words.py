"""What is said about a choice, in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metriscope.recommendation.goals import AIMS, SHARE, Aim, target_of
from metriscope.statistics import Difference, Outcomes
from metriscope.types import Results, RunResult

NAMED = 3  # losses in a sentence; the others are counted


def answer(said: Mapping[str, Any]) -> str:
    """Two sentences for a busy person."""
    if said["loss"] is None:
        return f"No loss can be recommended. {said['reason']}"
    best, aim = said["rows"][0], AIMS[said["goal"]]
    where = f"{said['queries']:,} validation queries" if said["queries"] else "the validation part"
    sure = f"{100 * (1 - said['level']):.0f} %"
    within = []
    if best["low"] is not None:
        within.append(f"{sure} interval {_range(aim, best['low'], best['high'])}")
    elif best["queries_low"] is not None:
        of_queries = _range(aim, best["queries_low"], best["queries_high"])
        within.append(f"{sure} interval {of_queries} over queries alone")
    within.append("one seed" if said["seeds"] == 1 else f"{said['seeds']} seeds")
    first = f"Take {said['loss']}: {aim.says(best['mean'])} on {where} ({', '.join(within)})."
    return f"{first} {_others(said)}"


def _others(said: Mapping[str, Any]) -> str:
    step, alike = AIMS[said["goal"]].step, said["alike"]
    if said["sure"] == "unknown":
        return (
            "Nobody can say from one seed whether another would put another loss first: run three "
            "or more (--seeds 3) before anything depends on it."
        )
    if said["sure"] == "clear":
        nearest = said["rows"][1]
        every = "The other loss" if len(said["rows"]) == 2 else "Every other loss"
        return (
            f"{every} is worse; the nearest, {nearest['loss']}, by "
            f"{step(nearest['difference'])} (adjusted p {p_value(nearest['p'])})."
        )
    return (
        f"{listed(alike)} cannot be told apart from it; the expected cost of choosing wrong is "
        f"{step(said['regret'])}."
    )


def reason(results: Results, outcomes: Outcomes, score: str) -> str:
    """Why there is none."""
    done = [run for run in results.runs if run.status == "done"]
    if not done:
        return "No run has finished."
    if not any(run.spec.validation for run in done):
        return (
            "The runs had no validation part to choose by, and test scores are not for choosing: "
            "compare again with --validation 0.1."
        )
    if not outcomes.values:
        return f"No finished run has {score}."
    return f"Only {next(iter(outcomes.values))} could be scored, and one loss is no choice."


def missing(results: Results, outcomes: Outcomes) -> dict[str, str]:
    """Why losses were not compared."""
    runs = results.by_loss()
    return {
        loss: _why(runs[loss], count, len(outcomes.seeds))
        for loss, count in (outcomes.missing or {}).items()
    }


def _why(runs: Sequence[RunResult], scored: int, wanted: int) -> str:
    failed = [run for run in runs if run.status == "failed"]
    said = f"scored with {scored} of {len(runs)} seeds"
    if failed:
        first = ((failed[0].error or "").strip() or "no reason was kept").splitlines()[0]
        return f"{said}; seed {failed[0].spec.seed} failed: {first[:200]}"
    return said if scored < wanted else f"{said}, but not with those that are compared"


def notes(said: Mapping[str, Any], results: Results) -> list[str]:
    """What else a person should know."""
    if said["loss"] is None:
        return []
    found = []
    if said["sure"] == "tied":
        near = next(row for row in said["rows"] if row["loss"] == said["alike"][0])
        half = (near["difference_high"] - near["difference_low"]) / 2
        found.append(
            f"So many seeds and queries can only show differences from {near['loss']} above about "
            f"{AIMS[said['goal']].step(half)}."
        )
    if said["seeds"] == 2:
        found.append("Two seeds hardly say how much seeds matter: intervals are wide.")
    if results.about.get("tuning"):
        found.append(
            "Settings were tuned on the same validation part, which flatters every loss a little."
        )
    if said["goal"] == "fast":
        found += _about_speed(said, results)
    return found


def _about_speed(said: Mapping[str, Any], results: Results) -> list[str]:
    target = target_of(results) or 0.0
    found = [
        f"Epochs until validation Recall@1 is first {target:.3f}, {100 * SHARE:.0f} % of the best "
        "loss's final mean (of at most 1,000 validation rows)."
    ]
    last = max(run.spec.epochs for run in results.runs)
    never = [row["loss"] for row in said["rows"] if row["mean"] > last]
    if never:
        found.append(
            f"Never reached by {listed(never)}: counted as one epoch more than there were."
        )
    return found


def cost(loss: str, best: str, difference: Difference) -> str:
    """What the goal costs in Recall@1."""
    low, high = difference.interval or (difference.mean, difference.mean)
    return (
        f"{loss} is not the best at retrieval: validation Recall@1 of {best} is higher by "
        f"{difference.mean:.3f} ({low:.3f} to {high:.3f})."
    )


def listed(names: Sequence[str]) -> str:
    """``a, b and c``; ``a, b, c and 2 more``."""
    if len(names) > NAMED + 1:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def p_value(p: float) -> str:
    """``below 0.001``, ``0.034``."""
    return "below 0.001" if p < 0.001 else f"{p:.3f}"


def _range(aim: Aim, low: float, high: float) -> str:
    return f"{aim.number(low)} to {aim.number(high)}"
