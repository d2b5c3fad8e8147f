"""The paper's claims on data at hand.

A claim holds if all its comparisons do. It is *supported* where every one of them comes out as
claimed, judged by the largest p (an intersection-union test needs no further correction), and
*contradicted* where one comes out the other way, judged by the smallest p of those that do, times
the number of comparisons (Bonferroni). Over the claims tested on a dataset p is adjusted after
Holm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from metriscope import statistics
from metriscope.paper import _numbers
from metriscope.paper.claims import CLAIMS, HALF, MEASURES, Claim, Comparison, Correlation
from metriscope.paper.tables import LOSSES, canonical
from metriscope.statistics import Outcomes
from metriscope.statistics.gather import paired
from metriscope.types import Interval, Results, RunResult

Verdict = Literal["supported", "not supported", "contradicted", "cannot say"]
Values = Mapping[str, np.ndarray]  # loss to (s, q), the seeds and queries of all alike
_EPOCHS = ("epochs_to.50", HALF)


@dataclass(frozen=True)
class Tested:
    """A claim on one dataset.

    Attributes:
        dataset: which. verdict: on it.
        sentence: how many comparisons came out as claimed, and the one that decided.
        value: of that one: a difference, or a correlation. interval: of it, at 95 %.
        adjusted: p after Holm, over the claims tested on the dataset; None of one seed.
        held, of: comparisons that came out as claimed, and all.
    """

    dataset: str
    verdict: Verdict
    sentence: str
    value: float
    interval: Interval | None
    adjusted: float | None
    held: int
    of: int


@dataclass(frozen=True)
class Judged:
    """A claim on all datasets at hand.

    ``verdict``: ``contradicted`` where it is on one, ``supported`` where it is on all,
    ``cannot say`` of one seed each, else ``not supported``: no evidence either way.
    """

    claim: Claim
    verdict: Verdict
    on: tuple[Tested, ...]


@dataclass(frozen=True)
class _Outcome:
    """Of one comparison: ``value`` is positive where it came out as claimed."""

    what: str
    value: float
    shown: float
    interval: Interval | None
    p: float | None


def judge(
    parts: Mapping[str, Results],
    outcomes: Callable[[str, str], Outcomes],
    *,
    level: float = 0.05,
) -> tuple[Judged, ...]:
    """Every claim that these results can be held against, in the order of the codes.

    A loss that has no finished run takes no part: a claim is held to those that have.

    Args:
        parts: results by dataset.
        outcomes: of a dataset and a score: see :func:`metriscope.statistics.gather`.
        level: of the adjusted p.
    """
    found: dict[str, list[Tested]] = {claim.code: [] for claim in CLAIMS}
    for dataset, part in parts.items():
        tested = [
            (claim, tested)
            for claim in CLAIMS
            if (not claim.datasets or canonical(dataset) in claim.datasets)
            and (tested := _test(claim, dataset, part, outcomes)) is not None
        ]
        for (claim, one), adjusted in zip(tested, _holm([t for _, t in tested]), strict=True):
            found[claim.code].append(_decide(one, adjusted, level))
    return tuple(
        Judged(claim, _overall([one.verdict for one in found[claim.code]]), tuple(on))
        for claim in CLAIMS
        if (on := found[claim.code])
    )


def _test(
    claim: Claim, dataset: str, part: Results, outcomes: Callable[[str, str], Outcomes]
) -> Tested | None:
    """With p as it is, ``adjusted`` only by name; None where nothing of it can be tested."""

    def values(measure: str) -> Values:
        return _epochs(part, measure) if measure in _EPOCHS else outcomes(dataset, measure).values

    made = [
        _correlate(test, values) if isinstance(test, Correlation) else _compare(test, values)
        for test in claim.tests
    ]
    seen = [outcome for outcome in made if outcome is not None]
    if not seen:
        return None
    against = [outcome for outcome in seen if outcome.value < 0]
    if against:
        decisive = min(against, key=_p)
        p = None if decisive.p is None else min(1.0, decisive.p * len(seen))
    else:
        decisive = max(seen, key=_p)
        p = decisive.p
    held = sum(outcome.value > 0 for outcome in seen)
    interval = (
        f" [{decisive.interval.low:.4g}, {decisive.interval.high:.4g}]" if decisive.interval else ""
    )
    count = "" if len(seen) == 1 else f"{held} of {len(seen)} comparisons as claimed. "
    left = _left_out(claim, part)
    return Tested(
        dataset,
        "cannot say",
        f"{count}{decisive.what}: {decisive.shown:+.4g}{interval}{left}",
        decisive.shown,
        decisive.interval,
        p,
        held,
        len(seen),
    )


def _p(outcome: _Outcome) -> float:
    return 1.0 if outcome.p is None else outcome.p


def _left_out(claim: Claim, part: Results) -> str:
    done = {run.spec.loss for run in part.runs if run.status == "done"}
    named = {
        loss
        for test in claim.tests
        if isinstance(test, Comparison)
        for loss in (test.first, *test.others)
    }
    missing = [name for loss, name in LOSSES.items() if loss in named - done]
    return f"; without {', '.join(missing)}" if missing else ""


def _holm(tested: Sequence[Tested]) -> list[float | None]:
    known = [one.adjusted for one in tested if one.adjusted is not None]
    adjusted = iter(statistics.holm(known))
    return [None if one.adjusted is None else next(adjusted) for one in tested]


def _decide(tested: Tested, adjusted: float | None, level: float) -> Tested:
    if adjusted is None:
        return replace(tested, sentence=tested.sentence + "; one seed: no test.", adjusted=None)
    verdict: Verdict = "not supported"
    if adjusted < level:
        verdict = "supported" if tested.held == tested.of else "contradicted"
    shown = "p < 0.0001" if adjusted < 1e-4 else f"p = {adjusted:.4f}"
    sentence = f"{tested.sentence}; {shown} (Holm)."
    return replace(tested, verdict=verdict, sentence=sentence, adjusted=adjusted)


def _overall(verdicts: Sequence[Verdict]) -> Verdict:
    if "contradicted" in verdicts:
        return "contradicted"
    told = [verdict for verdict in verdicts if verdict != "cannot say"]
    if not told:
        return "cannot say"
    return "supported" if set(verdicts) == {"supported"} else "not supported"


# ------------------------------------------------------------------------------------ comparisons


def _compare(test: Comparison, values: Callable[[str], Values]) -> _Outcome | None:
    found = values(test.measure)
    others = {loss: found[loss] for loss in test.others if loss in found}
    if test.first not in found or (test.others and not others):
        return None
    mine, name = found[test.first], LOSSES[test.first]
    if not test.others:
        theirs, against = np.full_like(mine, test.limit, dtype=float), f"{test.limit:g}"
    elif test.best:
        sign = 1 if test.higher else -1
        loss = max(others, key=lambda one: sign * others[one].mean())
        theirs, against = others[loss], LOSSES[loss]
    else:
        theirs = np.mean(list(others.values()), axis=0)
        names = [LOSSES[loss] for loss in others]
        against = names[0] if len(names) == 1 else f"the mean of {', '.join(names)}"
    if test.share != 1:
        theirs, against = test.share * theirs, f"{test.share:g} × {against}"
    if test.measure in _EPOCHS:
        difference = statistics.seeds_difference(mine[:, 0], theirs[:, 0], grain=1.0)
    else:
        difference = statistics.difference(mine, theirs)
    return _Outcome(
        f"{name} − {against}, {MEASURES[test.measure]}",
        difference.mean if test.higher else -difference.mean,
        difference.mean,
        difference.interval,
        difference.p,
    )


def _correlate(test: Correlation, values: Callable[[str], Values]) -> _Outcome | None:
    x, y = values(test.x), values(test.y)
    means = {loss: (float(x[loss].mean()), float(np.nanmean(y[loss]))) for loss in x if loss in y}
    kept = [pair for pair in means.values() if pair[0] >= test.least]
    found = _numbers.spearman([a for a, _ in kept], [b for _, b in kept])
    if found is None:
        return None
    every = _numbers.rank_correlation(*zip(*means.values(), strict=True))
    collapsed = len(means) - len(kept)
    also = (
        f", {every:.2f} with {collapsed} that collapsed" if every is not None and collapsed else ""
    )
    return _Outcome(
        f"Spearman's ρ over {found.n} losses of {MEASURES[test.x]} with {MEASURES[test.y]}{also}",
        found.rho,
        found.rho,
        None,
        found.p if min(len(seeds) for seeds in x.values()) > 1 else None,
    )


def _epochs(part: Results, measure: str) -> Values:
    """(s, 1) epochs, paired by seed; a loss that never gets there takes one more than it had."""
    read = _half_of_fall if measure == HALF else _epochs_to_50
    outcomes, _ = paired(part, measure, read, higher=False, grain=1.0)
    return outcomes.values


def _epochs_to_50(run: RunResult) -> float | None:
    if "epochs_to.50" not in run.scores:
        return None
    value = run.scores["epochs_to.50"]
    return float(run.spec.epochs + 1) if value is None else value


def _half_of_fall(run: RunResult) -> float | None:
    """The first e with L_0 − L_e ≥ (L_0 − min L)/2; one more epoch than it had if none falls."""
    losses = [math.nan if value is None else value for value in run.trace.get("loss", ())]
    known = [value for value in losses if math.isfinite(value)]
    if len(known) < 2 or not math.isfinite(losses[0]):
        return None
    if min(known) >= losses[0]:
        return float(run.spec.epochs + 1)
    limit = (losses[0] + min(known)) / 2
    return float(next(epoch for epoch, value in enumerate(losses) if value <= limit))
