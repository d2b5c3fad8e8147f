"""What is said about a choice, in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metriscope.recommendation.caveats import Caveat
from metriscope.recommendation.goals import AIMS, SHARE, Aim, target_of
from metriscope.statistics import Difference, Outcomes
from metriscope.types import Results, RunResult

NAMED = 3  # losses in a sentence; the others are counted
_WORDS = ("every", "its", "one", "only", "the", "validation")  # that a clause here may begin with


def answer(said: Mapping[str, Any], warned: Sequence[Caveat]) -> tuple[str, list[str]]:
    """Two sentences for a busy person, and those that they left no room for.

    The first says which loss, and how well it did; the second what cannot be told apart from it,
    with the caveat that matters most, or that caveat alone where nothing else matters then.
    """
    if said["loss"] is None:
        return f"No loss can be recommended. {said['reason']}", []
    best, aim = said["rows"][0], AIMS[said["goal"]]
    where = f"{said['queries']:,} validation queries" if said["queries"] else "the validation part"
    sure = f"{100 * (1 - said['level']):.0f} %"
    within = []
    if best["low"] is not None:
        within.append(f"{sure} interval {_range(aim, best['low'], best['high'])}")
    elif best["queries_low"] is not None:
        of_queries = _range(aim, best["queries_low"], best["queries_high"])
        within.append(f"{sure} interval {of_queries} over queries alone")
    if best["never"]:
        within.append(f"not reached in {best['never']} of {_count(said['seeds'], 'seed')}")
    else:
        within.append("one seed" if said["seeds"] == 1 else f"{said['seeds']} seeds")
    grave = bool(warned) and warned[0].grave
    head = f"{said['loss']} comes first" if grave else f"Take {said['loss']}"
    first = f"{head}: {aim.says(best['mean'])} on {where} ({', '.join(within)})."
    others, rest = _others(said), [_sentence(one.text) for one in warned[1:]]
    if grave:
        return f"{first} {_sentence(warned[0].text)}", [_sentence(others), *rest]
    second = f"{others}; {warned[0].text}" if warned else others
    return f"{first} {_sentence(second)}", rest


def _others(said: Mapping[str, Any]) -> str:
    """How the others stand to it, as a clause."""
    step, alike, rows = AIMS[said["goal"]].step, said["alike"], said["rows"]
    if said["seeds"] < 2:
        return "one seed cannot say whether another would put another loss first (use --seeds 3)"
    if not alike:
        near = rows[1]
        every = f"{near['loss']} is worse" if len(rows) == 2 else "every other loss is worse"
        if len(rows) > 2 and said["missing"]:
            every = "the others compared are worse"
        nearest = "" if len(rows) == 2 else f", the nearest, {near['loss']},"
        return f"{every}{nearest} by {step(near['difference'])} (adjusted p {p_value(near['p'])})"
    return f"{listed(alike)} cannot be told apart from it{_wrong(said)}"


def _wrong(said: Mapping[str, Any]) -> str:
    """What the wrong choice costs; nothing where that is 0 or not known."""
    aim, cost = AIMS[said["goal"]], said["regret"]
    if not cost:
        return ""
    least = 0.1 if aim.unit else 0.001
    shown = f"under {least:g}{aim.unit}" if cost < least else aim.step(cost)
    return f" (expected cost of choosing wrong: {shown})"


def _sentence(clause: str) -> str:
    """Names are not capitalised: they would be other names."""
    word = clause.split(maxsplit=1)[0]
    start = clause[0].upper() if word in _WORDS else clause[0]
    return f"{start}{clause[1:]}."


def reason(results: Results, outcomes: Outcomes, score: str) -> str:
    """Why there is none."""
    done = [run for run in results.runs if run.status == "done"]
    if not done:
        return "No run has finished."
    if not any(run.spec.validation for run in done):
        return (
            "The runs had no validation part to choose by, and test scores are not for choosing: "
            "compare again with --validation 0.2."
        )
    if not outcomes.values:
        return f"No finished run has {score}."
    return f"Only {next(iter(outcomes.values))} could be scored, and one loss is no choice."


def missing(results: Results, outcomes: Outcomes) -> dict[str, str]:
    """Why losses were not compared."""
    runs = results.by_loss()
    return {loss: _why(runs[loss], outcomes.why[loss]) for loss in outcomes.missing or {}}


def _why(runs: Sequence[RunResult], why: str) -> str:
    failed = [run for run in runs if run.status == "failed"]
    if not failed:
        return why
    first = ((failed[0].error or "").strip() or "no reason was kept").splitlines()[0]
    return f"{why}; seed {failed[0].spec.seed} failed: {first[:200]}"


def notes(said: Mapping[str, Any], results: Results) -> list[str]:
    """What else a person should know."""
    if said["loss"] is None:
        return []
    found = [*_resolution(said)]
    if said["seeds"] == 2:
        found.append("Two seeds hardly say how much seeds matter: intervals are wide.")
    if results.about.get("tuning"):
        found.append(
            "Settings were tuned on the same validation part, which flatters losses, those with "
            "more parameters most."
        )
    if said["goal"] == "fast":
        found += _about_speed(said, results)
    return found


def _resolution(said: Mapping[str, Any]) -> list[str]:
    """How large a difference must be to be seen, where one was not."""
    aim = AIMS[said["goal"]]
    near = next((row for row in said["rows"] if row["alike"]), None)
    if near is None or near["difference_low"] is None:
        return []
    half = (near["difference_high"] - near["difference_low"]) / 2
    if not float(aim.number(half)):
        return []
    seeds = _count(said["seeds"], "seed")
    of = f"{seeds} and {_count(said['queries'], 'query')}" if said["queries"] else seeds
    return [f"{of} can only show differences from {near['loss']} above about {aim.step(half)}."]


def _count(number: int, of: str) -> str:
    """``1 seed``, ``400 queries``."""
    many = {"query": "queries"}.get(of, f"{of}s")
    return f"{number:,} {of if number == 1 else many}"


def _about_speed(said: Mapping[str, Any], results: Results) -> list[str]:
    target = target_of(results) or 0.0
    found = [
        f"Epochs until validation Recall@1 is first {target:.3f}, {100 * SHARE:.0f} % of the best "
        "loss's final mean (of at most 1,000 validation rows)."
    ]
    late = [
        f"{row['loss']} in {row['never']} of {_count(row['seeds'], 'seed')}"
        for row in said["rows"]
        if row["never"]
    ]
    if late:
        found.append(
            f"Not reached by {listed(late)}: counted as one epoch more than there were, so no "
            "interval is given."
        )
    return found


def cost(best: str, difference: Difference) -> Caveat:
    """What the goal costs in Recall@1."""
    low, high = difference.interval or (difference.mean, difference.mean)
    return Caveat(
        f"validation Recall@1 of {best} is higher by {difference.mean:.3f} ({low:.3f} to "
        f"{high:.3f})"
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
